"""The region whose logits are averaged into the explained score, and the truth, which may be the region.

====================== ====================================================================================
region                 the score is the class's mean logit over
====================== ====================================================================================
``predicted``          the predicted mask of the class
``truth``              its true mask
``image``              the whole image, without the bars that pad it
``pixel:X,Y``          one pixel, counted from 0 at the left and the top (``X,Y,Z`` in a volume)
``box:X,Y,W,H``        a box: first pixel, then width and height (``X,Y,Z,W,H,D`` in a volume)
``mask:FILE``          a mask of two levels (for a volume 0 and 1); in a folder, the file named like the image
====================== ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset import FILE_NAMES, SPLITS, read_dataset
from medseg_monai.dataset.cases import label_coding, main_file
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.truth import read_truth
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES
from medseg_monai.program.messages import did_you_mean

Kind = Literal["predicted", "truth", "image", "pixel", "box", "mask"]
MASK_NAMES = ("{}", "{}_mask", "{}_segmentation")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """The part of an image over which a score is computed; see the table above.

    Attributes:
        kind: kind of region.
        numbers: coordinates of a pixel or a box, in pixels of the image itself.
        path: path of a mask.
    """

    kind: Kind
    numbers: tuple[int, ...] = ()
    path: str = ""

    @classmethod
    def parse(cls, text: str, *, spatial_dims: int = 2) -> Region:
        """From the words of the table above.

        Raises:
            ValueError: the region is unknown, or its numbers are wrong.

        >>> Region.parse("box:10,20,64,48")
        Region(kind='box', numbers=(10, 20, 64, 48), path='')
        """
        name, _, rest = str(text).partition(":")
        if name not in get_args(Kind):
            raise ValueError(f"region: got {text!r}{did_you_mean(name, get_args(Kind))}")
        if name == "mask":
            if not Path(rest).exists():
                raise FileNotFoundError(f"region {text}: no such file or folder")
            return cls("mask", path=rest)
        wanted = {"pixel": spatial_dims, "box": 2 * spatial_dims}.get(name, 0)
        numbers = _whole_numbers(rest)
        if numbers is None or len(numbers) != wanted:
            example = f"{name}:{','.join('0' * wanted)}" if wanted else name
            raise ValueError(f"region: got {text!r}; expected {wanted or 'no'} whole numbers, as in {example}")
        if name == "box" and min(numbers[spatial_dims:]) < 1:
            raise ValueError(f"region: got {text!r}; a box must be at least one pixel wide")
        return cls(name, numbers)  # type: ignore[arg-type]  # one of the kinds

    def mask(
        self, case: Mapping[str, Any], spec: DatasetSpec, *, size: Sequence[int], predicted: Mask, truth: Mask | None
    ) -> Mask:
        """The region on the image's own grid, bool (*size).

        Args:
            case: the image's, with ``id``.
            spec: the data set.
            size: of the image.
            predicted: the class's predicted mask.
            truth: its true mask, if known.

        Raises:
            ValueError: the truth is needed but unknown, or the pixel or the box is not inside the image.
        """
        if self.kind == "predicted":
            return predicted
        if self.kind == "truth":
            if truth is None:
                raise ValueError("the region is the truth, which is unknown: name it with --truth")
            return truth
        if self.kind == "mask":
            file = self.path if Path(self.path).is_file() else file_for(case["id"], Path(self.path))
            return read_region(file, case, spec)
        inside = np.zeros(size, dtype=np.bool_)
        inside[self._slices(size)] = True
        return inside

    def _slices(self, size: Sequence[int]) -> tuple[slice, ...]:
        if self.kind == "image":
            return (slice(None),) * len(size)
        first = self.numbers[: len(size)]
        lengths = self.numbers[len(size) :] or (1,) * len(size)
        ends = [start + length for start, length in zip(first, lengths, strict=True)]
        if any(start < 0 or end > side for start, end, side in zip(first, ends, size, strict=True)):
            sides = "x".join(map(str, size))
            raise ValueError(f"the {self.kind} {','.join(map(str, self.numbers))} is not inside the image ({sides})")
        return tuple(slice(start, end) for start, end in zip(first, ends, strict=True))


def read_region(file: str | Path, case: Mapping[str, Any], spec: DatasetSpec) -> Mask:
    """A region from a mask of two levels, a picture with the image's size or a volume on its grid: bool (W, H) or (I, J, K)."""
    binary = replace(spec, task="binary", classes=("region",))
    found: Mask = read_truth({"image": case["image"], "label": str(file)}, None, binary)[0] > 0
    return found


def with_truth(cases: Sequence[Mapping[str, Any]], truth: str | Path | None, spec: DatasetSpec) -> list[dict[str, Any]]:
    """The cases, with a ``label`` if the truth is known.

    Args:
        cases: with ``image`` and ``id``.
        truth: a data set with the images, a folder with a mask for each image, or the mask of the only image; empty for none.
        spec: the network's spec.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is one mask for several images, or a data set with other classes.
    """
    if not truth:
        return [dict(case) for case in cases]
    path = Path(truth)
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {truth}")
    if path.name in FILE_NAMES or any((path / name).is_file() for name in FILE_NAMES):
        return _from_dataset(cases, path, spec)
    if path.is_file():
        if len(cases) != 1:
            raise ValueError(f"{truth} is one mask for {len(cases)} images: name a folder with a mask for each")
        return [{**cases[0], "label": str(path)}]
    return [{**case, "label": str(file_for(case["id"], path))} for case in cases]


def _from_dataset(cases: Sequence[Mapping[str, Any]], path: Path, spec: DatasetSpec) -> list[dict[str, Any]]:
    dataset = read_dataset(path)
    if (dataset.spec.task, dataset.spec.classes) != (spec.task, spec.classes):
        raise ValueError(
            f"{path}: has the classes {', '.join(dataset.spec.classes)}, but the weights know {', '.join(spec.classes)}"
        )
    known = {_resolved(case): case["label"] for split in SPLITS for case in dataset.cases(split)}
    labels = [known.get(_resolved(case)) for case in cases]
    coding = label_coding(dataset.spec)
    return [
        {**case, "label": label, **coding} if label else dict(case) for case, label in zip(cases, labels, strict=True)
    ]


def _resolved(case: Mapping[str, Any]) -> Path:
    return Path(main_file(case["image"])).resolve()


def file_for(case_id: str, folder: Path) -> Path:
    """The mask in `folder` that is named like the case, optionally followed by ``_mask`` or ``_segmentation``.

    Raises:
        FileNotFoundError: there is none.
    """
    names = [name.format(case_id) for name in MASK_NAMES]
    for name in names:
        for suffix in (*SUFFIXES, *VOLUME_SUFFIXES):
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    raise FileNotFoundError(f"{folder} contains no mask for {case_id} (looked for {', '.join(names)})")


def _whole_numbers(text: str) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        return None
