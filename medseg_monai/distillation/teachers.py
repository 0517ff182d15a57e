"""Teachers: trained weights of one or several bundles, whose probabilities are averaged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.bundle.paths import find_bundle, find_named_weights, list_bundles, named_bundle
from medseg_monai.bundle.trained import SPEC_FILE, Trained
from medseg_monai.dataset.cases import as_list
from medseg_monai.dataset.leaks import content_hash
from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.prediction import Prediction
from medseg_monai.predictor import Predictor
from medseg_monai.program.messages import did_you_mean, nearest_path


@dataclass(frozen=True)
class Teacher:
    """Trained weights.

    Attributes:
        bundle: the folder of their bundle.
        weights: the file.
        trained: what they say of themselves.
    """

    bundle: Path
    weights: Path
    trained: Trained

    @classmethod
    def find(cls, named: str | Path, spec: DatasetSpec) -> Teacher:
        """The weights that a name, a folder or a file stands for.

        Args:
            named: a bundle's name for the weights that it ships, else a folder or a file of a training.
            spec: the data set that they are to answer for.

        Raises:
            FileNotFoundError: there are no such weights.
            ValueError: they know other classes, or take another kind of image.
        """
        own = Path(named)
        folder = own if own.is_dir() else own.parent
        if (own.is_dir() or own.is_file()) and (folder / "spec.json").is_file():
            trained = Trained.read(folder)
            bundle = named_bundle(trained.bundle)
        else:
            try:
                bundle = find_bundle(named)
            except FileNotFoundError:
                raise FileNotFoundError(_no_teacher(own)) from None
            trained = Trained.read(find_named_weights(bundle, named).parent)
        check_teacher(trained.dataset, spec, str(named))
        return cls(bundle, find_named_weights(bundle, named), trained)


def _no_teacher(named: Path) -> str:
    """Why a path that is no bundle's name stands for no weights either."""
    wanted = f"a teacher is a bundle's name, or a folder or file of weights with their {SPEC_FILE}"
    if named.exists():
        return f"{named}: there is no {SPEC_FILE} {'in it' if named.is_dir() else 'beside it'}; {wanted}"
    near = nearest_path(named) or did_you_mean(named, [bundle.name for bundle in list_bundles()])
    return f"{named}: no such folder or file, and no bundle of this name{near}; {wanted}"


def check_teacher(known: DatasetSpec, wanted: DatasetSpec, named: str) -> None:
    """Refuse weights that cannot answer for a data set.

    Raises:
        ValueError: says in what they differ.
    """
    for what, theirs, ours in (
        ("classes", ", ".join(known.classes), ", ".join(wanted.classes)),
        ("task", known.task, wanted.task),
        ("number of axes", known.spatial_dims, wanted.spatial_dims),
        ("channels", ", ".join(known.channels), ", ".join(wanted.channels)),
        ("neighbouring slices", known.slice_stride, wanted.slice_stride),
    ):
        if theirs != ours:
            raise ValueError(
                f"teacher {named} was trained for other data than {wanted.name}: {what}: {theirs} there, {ours} here"
            )


@dataclass
class Teachers:
    """Several teachers as one: the mean of their probabilities, before any calibration or cleaning.

    Args:
        members: one or more.
        options: of inference.json, for all of them: ``tta``, ``device`` …

    Raises:
        ValueError: there are none.
    """

    members: Sequence[Teacher]
    options: Mapping[str, Any] = field(default_factory=dict)
    _loaded: list[Predictor] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("name at least one teacher: weights to learn from")

    @property
    def digest(self) -> str:
        """Hexadecimal digits that change with the weights and with how they are asked."""
        told = [content_hash(each.weights) for each in self.members], sorted(self.options.items())
        return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()

    def load(self) -> None:
        """Load the networks, unless they are.

        Raises:
            OSError, ValueError: weights that cannot be read, or an option that does not exist.
        """
        if not self._loaded:
            self._loaded = [
                Predictor(each.bundle, weights=each.weights, calibration="off", **self.options) for each in self.members
            ]

    def __call__(self, image: Any) -> Prediction:
        """What the first one says of an image, with the mean of all probabilities and the mask that follows from it.

        Raises:
            FileNotFoundError, ValueError: the image is missing or unusable.
        """
        self.load()
        source = as_list(image)
        given = source[0] if len(source) == 1 else source
        first = self._loaded[0](given)
        total = first.probabilities.astype(np.float32)  # one map at a time: those of a whole CT are large
        for ask in self._loaded[1:]:
            total += ask(given).probabilities
        total /= len(self._loaded)
        return replace(first, probabilities=total, mask=mask_of(total, first.task), source=image)


def mask_of(probabilities: NDArray[np.floating[Any]], task: Task) -> NDArray[np.uint8]:
    """The mask that probabilities of the classes, (classes, *S), mean: like `Prediction.mask`.

    >>> mask_of(np.array([[0.4, 0.3, 0.6], [0.5, 0.3, 0.1]]), "multiclass").tolist()
    [2, 0, 1]
    """
    if task != "multiclass":
        above = (probabilities > 0.5).astype(np.uint8)
        return above if task == "multilabel" else above[0]
    rest = 1 - probabilities.sum(axis=0, keepdims=True)
    number: NDArray[np.uint8] = np.concatenate([rest, probabilities]).argmax(axis=0).astype(np.uint8)
    return number
