"""Where the probabilities of a case come from: kept by a training by folds, in a folder of `medseg predict`, or from weights at hand.

An answer is an array (classes, *S) of 0 to 1, without the background, on the image's own grid, with the axes of the label; float16 for
volumes, since those of a whole CT are large.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from medseg_monai.bundle.paths import find_weights, named_bundle
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import SPLITS, Dataset, DatasetSpec, read_dataset
from medseg_monai.dataset.cases import Case, as_list, main_file, stem
from medseg_monai.folds.run import DATA_FOLDER, PROBABILITIES
from medseg_monai.folds.split import POOL
from medseg_monai.inference.cases import find_cases
from medseg_monai.outputs.naming import probability_files
from medseg_monai.outputs.reading import Probabilities, read_probabilities
from medseg_monai.predictor import Predictor
from medseg_monai.training.folder import WEIGHTS_FILE

logger = logging.getLogger(__name__)

MISSING = "it has no probabilities of a network that has not seen it"


@dataclass(frozen=True)
class Answer:
    """How to get a case's probabilities.

    Args:
        origin: where they come from, for people: ``fold 2``.
        read: from the case to its probabilities. Raises what reading files raises.
    """

    origin: str
    read: Callable[[Case], Probabilities]


Answers: TypeAlias = Mapping[str, Answer]
"""By case id; cases without any are not there."""


def kept_answers(folder: Path, dataset: Dataset) -> dict[str, Answer]:
    """The probabilities in a folder of `medseg train --folds K`, or of `medseg predict --probabilities`.

    If a training by folds has not kept them (``--keep-probabilities``), the fold's weights predict again; the ensemble predicts the test
    split, which it has not seen.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it holds no probabilities of these cases.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    folds = sorted((folder / DATA_FOLDER).glob("fold_*.json"))
    answers = dict(_folds(folder, folds, dataset) if folds else _predictions(folder, dataset))
    if not answers:
        hint = "is the training finished, and of this data set?" if folds else "predict with --probabilities"
        raise ValueError(f"{folder} holds no probabilities of the cases of {dataset.spec.name}: {hint}")
    if folds and (folder / WEIGHTS_FILE).is_file() and dataset.test:
        ensemble = named_bundle(Trained.read(folder).bundle)
        answers |= asked_answers(ensemble, folder, dataset, splits=("test",), origin="ensemble of folds")
    return answers


def _folds(folder: Path, files: Sequence[Path], dataset: Dataset) -> Iterator[tuple[str, Answer]]:
    """Each case with the answer of the fold that has not seen it: the probabilities that were kept, else those that its weights give."""
    images = {case["id"]: as_list(case["image"]) for split in POOL for case in dataset.cases(split)}
    for number, file in enumerate(files, 1):
        fold, place = read_dataset(file), folder / f"fold_{number}"
        cases = [case for case in fold.cases("validation") if images.get(case["id"]) == as_list(case["image"])]
        kept = _kept(place / PROBABILITIES, cases, fold.spec)
        asked: _Asked | None = None
        if len(kept) < len(cases) and (place / WEIGHTS_FILE).is_file():
            asked = _Asked(named_bundle(Trained.read(place).bundle), place / WEIGHTS_FILE, {})
        for case in cases:
            read = _reader(kept[case["id"]], fold.spec) if case["id"] in kept else asked
            if read is not None:
                yield case["id"], Answer(f"fold {number}", read)


def _kept(folder: Path, cases: Sequence[Case], spec: DatasetSpec) -> dict[str, list[Path]]:
    """The files of probabilities of a fold's cases, by case; their names are those that prediction gave to the same images."""
    single = [case for case in cases if len(as_list(case["image"])) == 1 and Path(main_file(case["image"])).exists()]
    if not folder.is_dir() or not single:
        return {}
    names = {
        found["image"]: found["id"] for found in find_cases([main_file(case["image"]) for case in single], spec=spec)
    }
    found = {case["id"]: names.get(main_file(case["image"])) for case in single}
    files = {case: probability_files(folder / name, spec) for case, name in found.items() if name is not None}
    return {case: where for case, where in files.items() if any(file.is_file() for file in where)}


def _predictions(folder: Path, dataset: Dataset) -> Iterator[tuple[str, Answer]]:
    """Probabilities of a folder of predictions, by the case's id, or by its image's name if no other case has that name."""
    cases = [case for split in SPLITS for case in dataset.cases(split)]
    stems = Counter(stem(Path(main_file(case["image"]))) for case in cases)
    for case in cases:
        own = stem(Path(main_file(case["image"])))
        for name in (case["id"], own) if stems[own] == 1 else (case["id"],):
            files = probability_files(folder / name, dataset.spec)
            if any(file.is_file() for file in files):
                yield case["id"], Answer("predictions", _reader(files, dataset.spec))
                break


def _reader(files: Sequence[Path], spec: DatasetSpec) -> Callable[[Case], Probabilities]:
    return lambda case: read_probabilities(files, spec, image=case["image"])


def asked_answers(
    bundle_root: Path,
    weights: str | Path | None,
    dataset: Dataset,
    *,
    splits: Sequence[str] | None = None,
    origin: str = "",
    assignments: Mapping[str, Any] | None = None,
) -> dict[str, Answer]:
    """The answers of trained weights for the cases that they have not been trained on.

    Args:
        bundle_root: the bundle's folder.
        weights: as `find_weights` takes them.
        dataset: the cases.
        splits: those that the weights have not seen; by default as `unseen_splits` says.
        origin: for people; by default the bundle's name.
        assignments: as `Predictor` takes them.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they know other classes, or have seen all cases.
    """
    file = find_weights(bundle_root, weights, dataset=dataset.spec.name)
    trained = Trained.read(file.parent)
    if trained.dataset.classes != dataset.spec.classes:
        raise ValueError(
            f"the weights know {', '.join(trained.dataset.classes)}, data set {dataset.spec.name} has "
            f"{', '.join(dataset.spec.classes)}"
        )
    unseen = unseen_splits(trained, dataset.spec) if splits is None else splits
    cases = [case for split in unseen for case in dataset.cases(split)]
    if not cases:
        raise ValueError(
            f"{file} was trained on {trained.dataset.name} and has seen all cases: leave the bundle out, for quick folds, or "
            "name a training by folds with --probabilities"
        )
    predictor = _Asked(bundle_root, file, assignments or {})
    return {case["id"]: Answer(origin or bundle_root.name, predictor) for case in cases}


def unseen_splits(trained: Trained, spec: DatasetSpec) -> tuple[str, ...]:
    """The splits of a data set that weights have not been trained on: all of them, if they were trained on a data set of another name.

    Validation cases were used to choose the best epoch, but not to train; an ensemble of folds was trained on them too.
    """
    if trained.dataset.name != spec.name:
        return SPLITS
    return ("test",) if "folds" in trained.training else ("validation", "test")


class _Asked:
    """Weights that are loaded when the first case is asked for."""

    def __init__(self, bundle_root: Path, weights: Path, assignments: Mapping[str, Any]) -> None:
        self._make = partial(Predictor, bundle_root, weights=weights, assignments=assignments, calibration="off")
        self._predictor: Predictor | None = None

    def __call__(self, case: Case) -> Probabilities:
        self._predictor = self._predictor or self._make()
        image = case["image"]
        stack = self._predictor.spec.slice_stride is not None  # whose neighbours are found by the slice's own file
        found = self._predictor(main_file(image) if stack or len(as_list(image)) == 1 else as_list(image))
        return found.grid.kind.as_shown(found.probabilities)  # it is its own inverse
