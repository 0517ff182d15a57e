"""A case on the page: what was found in it, what was corrected, and the way back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg_monai.clicks import Click
from medseg_monai.outputs.order import PredictedCase
from medseg_monai.predictor import Prediction

Shown: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
MOST_STEPS = 100
"""That can be undone."""


@dataclass
class Opened:
    """A case.

    Attributes:
        id: below the dropped folder, without suffix.
        path: the image.
        prediction: as the network gave it; None before, and if it failed.
        failure: why there is no prediction; "" if there is one, or none yet.
        saved: whether the mask as it is now lies in a file.
        clicks: since the last stroke, by which the mask was corrected.
    """

    id: str
    path: Path
    prediction: Prediction | None = None
    failure: str = ""
    saved: bool = False
    clicks: tuple[Click, ...] = ()
    _mask: NDArray[np.uint8] | None = None
    _clicked: NDArray[np.uint8] | None = None
    _before: list[_Step] = field(default_factory=list)

    def set_prediction(self, prediction: Prediction) -> None:
        """What the network found; corrections of an earlier one are gone."""
        self.prediction, self.failure, self.saved = _light(prediction), "", False
        self._mask, self._before, self.clicks = prediction.mask.copy(), [], ()

    @property
    def mask(self) -> NDArray[np.uint8]:
        """As it is now, in `Prediction.mask`'s form.

        Raises:
            ValueError: nothing was predicted yet.
        """
        if self._mask is None:
            raise ValueError(f"{self.id} is not segmented yet")
        return self._mask

    @property
    def corrected(self) -> bool:
        """Whether the mask is another than the network's."""
        return bool(self._before)

    def answer(self) -> Prediction:
        """The prediction with the mask as it is now.

        Raises:
            ValueError: nothing was predicted yet.
        """
        mask = self.mask
        assert self.prediction is not None
        return replace(self.prediction, mask=mask)

    def planes(self) -> NDArray[np.bool_]:
        """The mask of each class, (classes, *S)."""
        mask, classes = self.mask, self._classes
        if self._overlapping:
            return mask > 0
        return np.stack([mask == number for number in range(1, len(classes) + 1)])

    def pixels(self) -> dict[str, int]:
        """Pixels or voxels of each class."""
        counts = (int(np.count_nonzero(plane)) for plane in self.planes())
        return dict(zip(self._classes, counts, strict=True))

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts cases: failures first, then what a person should look at, then the others, then what is not segmented yet."""
        if self.failure:
            return 0, self.id
        if self.prediction is None:
            return 2, self.id
        return 1, self.summary().urgency

    def summary(self) -> PredictedCase:
        """What predictions.csv would say of the network's mask."""
        found = self.prediction
        assert found is not None
        return PredictedCase(
            self.id, self.pixels(), found.uncertainty, found.flagged, found.reason, dict(found.predicted_dice) or None
        )

    def paint(self, stamp: NDArray[np.bool_], shown: Shown, class_number: int, *, erase: bool) -> None:
        """Give a class the pixels of a stamp, or take them away.

        Args:
            stamp: bool (H, W).
            shown: function from an array (C, *S) to the part that is shown, (C, H, W), a view.
            class_number: from 0.
            erase: take away.
        """
        self._remember()
        self.clicks = ()
        part = shown(self._channels())
        plane = part[class_number if self._overlapping else 0]
        value = 1 if self._overlapping else class_number + 1
        if erase:
            plane[stamp & (plane == value)] = 0
        else:
            plane[stamp] = value
        self.saved = False

    def click(self, click: Click, found: Prediction) -> None:
        """Correct the mask by a click.

        Args:
            click: what a person says of a pixel.
            found: the network's answer, with its probabilities.

        Raises:
            ValueError: the click contradicts an earlier one.
        """
        before = self.mask if not self.clicks or self._clicked is None else self._clicked
        corrected = replace(found, mask=before).correct([*self.clicks, click])
        self._remember()
        self._clicked, self._mask = before, corrected.mask
        self.clicks, self.saved = (*self.clicks, click), False

    def undo(self) -> bool:
        """Take the last correction back; whether there was one."""
        if not self._before:
            return False
        step = self._before.pop()
        self._mask, self.clicks, self._clicked, self.saved = step.mask(), step.clicks, step.clicked, False
        return True

    def _remember(self) -> None:
        self._before = [*self._before[-MOST_STEPS + 1 :], _Step.of(self.mask, self.clicks, self._clicked)]

    def _channels(self) -> NDArray[np.uint8]:
        return self.mask if self._overlapping else self.mask[None]

    @property
    def _classes(self) -> Sequence[str]:
        assert self.prediction is not None
        return self.prediction.classes

    @property
    def _overlapping(self) -> bool:
        """Whether each class has a channel of its own."""
        assert self.prediction is not None
        return self.prediction.task == "multilabel"


@dataclass(frozen=True)
class _Step:
    """A mask, small, since masks are long runs of few values; and the clicks that led to it from another one."""

    content: bytes
    shape: tuple[int, ...]
    clicks: tuple[Click, ...]
    clicked: NDArray[np.uint8] | None

    @classmethod
    def of(cls, mask: NDArray[np.uint8], clicks: tuple[Click, ...], clicked: NDArray[np.uint8] | None) -> _Step:
        return cls(zlib.compress(mask.tobytes(), 1), mask.shape, clicks, clicked)

    def mask(self) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = np.frombuffer(zlib.decompress(self.content), np.uint8).reshape(self.shape).copy()
        return mask


def _light(prediction: Prediction) -> Prediction:
    """Without the probabilities: those of a thousand photographs do not fit into memory, and are made again when they are looked at."""
    return replace(prediction, probabilities=np.zeros((0,), np.float32))


def stroke_stamp(
    points: Sequence[tuple[float, float]], radius: float, size: tuple[int, int], sides: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.bool_]:
    """The pixels that a round brush passes over.

    Args:
        points: (x, y) in pixels; pixel (0, 0) reaches from 0 to 1.
        radius: of the brush, in the narrower side of pixels.
        size: width and height of the picture.
        sides: width and height of a pixel: where they differ the brush is an ellipse.

    Returns:
        bool (H, W).

    >>> stroke_stamp([(1.5, 1.5)], 1, (4, 3)).astype(int).tolist()
    [[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]]
    """
    width, height = size
    narrow = min(sides)
    reach = radius * narrow / sides[0], radius * narrow / sides[1]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inside = np.zeros((height, width), bool)
    for start, end in zip(points, [*points[1:], points[-1]], strict=True):
        box = _box(start, end, reach, size)
        inside[box] |= _near_segment(
            columns[box] / reach[0], rows[box] / reach[1], _scaled(start, reach), _scaled(end, reach)
        )
    return inside


def _box(
    start: tuple[float, float], end: tuple[float, float], reach: tuple[float, float], size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns around a part of a stroke."""
    bounds = []
    for axis in (1, 0):
        low, high = min(start[axis], end[axis]) - reach[axis], max(start[axis], end[axis]) + reach[axis]
        bounds.append(slice(max(0, int(np.floor(low))), max(0, min(size[axis], int(np.ceil(high)) + 1))))
    return bounds[0], bounds[1]


def _scaled(point: tuple[float, float], reach: tuple[float, float]) -> tuple[float, float]:
    return point[0] / reach[0], point[1] / reach[1]


def _near_segment(
    x: NDArray[np.float64], y: NDArray[np.float64], start: tuple[float, float], end: tuple[float, float]
) -> NDArray[np.bool_]:
    """Whether points lie within 1 of a line from start to end."""
    along = end[0] - start[0], end[1] - start[1]
    length = along[0] ** 2 + along[1] ** 2
    share = (
        np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1) if length else np.zeros_like(x)
    )
    near: NDArray[np.bool_] = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1]) <= 1
    return near
