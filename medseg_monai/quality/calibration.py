"""Probabilities that mean what they say: temperatures learnt on validation, and how far they bring probabilities to frequencies.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599: logits are divided by one number. Of sigmoids each
class has its own; of a softmax there is one for all, because several would change which class is the likeliest.

A temperature leaves 0.5 where it is and the order of all probabilities too. Masks are made of the network's own probabilities, so that
thresholds chosen before (`medseg tune`) keep their meaning; people get the calibrated ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.quality.stored import from_json, is_number

Array = NDArray[np.float64]
BINS = 15
"""Of the probabilities, equally wide, as in Guo et al."""
SMALLEST = 1e-4
"""To learn from, probabilities are kept this far from 0 and 1: what volumes keep of them has steps of 0.0005 near 1."""
LEAST, MOST = 0.1, 20.0
"""Between these a temperature is looked for."""
PIXELS = 20_000
"""So many pixels of a case are learnt from."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures, and what they did on the cases that they were learnt from.

    Args:
        temperature: what logits are divided by: one per class, or a single one for classes that exclude each other.
        cases: learnt from.
        ece_before, ece_after: expected calibration error, mean over classes.
        brier_before, brier_after: Brier score, mean over classes.

    Raises:
        ValueError: values that cannot be.
    """

    temperature: tuple[float, ...]
    cases: int
    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float

    def __post_init__(self) -> None:
        values = self.temperature if isinstance(self.temperature, list | tuple) else [self.temperature]
        if not values or not all(is_number(value) and 0 < value < math.inf for value in values):
            raise ValueError(f"calibration: temperatures are numbers above 0, not {self.temperature!r}")
        object.__setattr__(self, "temperature", tuple(map(float, values)))
        if type(self.cases) is not int or self.cases < 0:
            raise ValueError(f"calibration: cases is a number of cases, not {self.cases!r}")
        for key in ("ece_before", "ece_after", "brier_before", "brier_after"):
            if not (is_number(getattr(self, key)) and 0 <= getattr(self, key) <= 1):
                raise ValueError(f"calibration: {key} lies between 0 and 1, got {getattr(self, key)!r}")

    def check(self, spec: DatasetSpec) -> None:
        """Raise a ValueError if the temperatures are not for these classes."""
        wanted = 1 if spec.task == "multiclass" else len(spec.classes)
        if len(self.temperature) != wanted:
            raise ValueError(
                f"calibration: {len(self.temperature)} temperatures for {wanted} ({spec.task}, {', '.join(spec.classes)})"
            )

    def apply(self, probabilities: Tensor, task: Task) -> Tensor:
        """Calibrated probabilities, float32.

        Args:
            probabilities: (C, *S) as the network's channels are, background first for multiclass.
            task: of the data set.

        >>> sharp = Calibration((2.0,), cases=1, ece_before=0, ece_after=0, brier_before=0, brier_after=0)
        >>> [round(float(p), 3) for p in sharp.apply(torch.tensor([[0.0, 0.1, 0.5, 0.9, 1.0]]), "binary")[0]]
        [0.0, 0.25, 0.5, 0.75, 1.0]
        """
        probs = probabilities.float()
        if task == "multiclass":
            return (probs.log() / self.temperature[0]).softmax(dim=0)
        temperature = probs.new_tensor(self.temperature).view(-1, *[1] * (probs.ndim - 1))
        return (probs.logit() / temperature).sigmoid()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "temperature": list(self.temperature)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_dict`.

        Raises:
            ValueError: an unknown key, a missing one, or a wrong value.
        """
        return from_json(cls, content, "calibration")

    def __str__(self) -> str:
        return (
            f"temperature {', '.join(f'{value:.2f}' for value in self.temperature)}: calibration error "
            f"{self.ece_before:.4f} before, {self.ece_after:.4f} after; Brier score {self.brier_before:.4f} and {self.brier_after:.4f}"
        )


@dataclass
class Reliability:
    """How often what was given a probability was true: counts that cases are added to; every case weighs the same.

    Args:
        classes: their names.

    Attributes:
        sums: (classes, BINS, 3): of each bin of the probabilities the pixels' share, their summed probability and their summed truth.
        squares: summed squared errors, by class.
        cases: added so far.
    """

    classes: Sequence[str]
    sums: Array = field(init=False)
    squares: Array = field(init=False)
    cases: int = 0

    def __post_init__(self) -> None:
        self.sums = np.zeros((len(self.classes), BINS, 3))
        self.squares = np.zeros(len(self.classes))

    def add(
        self, probabilities: NDArray[Any], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
    ) -> Array:
        """Add a case, and return its own calibration error and Brier score, (2, classes): 0 for a class all of whose pixels are ignored.

        Args:
            probabilities: (classes, *S), without the background.
            truth: (classes, *S).
            ignored: (1 or classes, *S): pixels that count for nothing.
        """
        counted = np.broadcast_to(True if ignored is None else ~ignored, truth.shape)
        there = counted.any(axis=tuple(range(1, truth.ndim)))
        sums, squares = np.zeros_like(self.sums), np.zeros_like(self.squares)
        for number in np.flatnonzero(there):
            probs = probabilities[number][counted[number]].astype(np.float64)
            true = truth[number][counted[number]].astype(np.float64)
            place = np.minimum((probs * BINS).astype(np.intp), BINS - 1)
            for column, weights in enumerate((np.ones_like(probs), probs, true)):
                sums[number, :, column] = np.bincount(place, weights, BINS) / len(probs)
            squares[number] = float(np.mean((probs - true) ** 2))
        if there.all():
            self.cases += 1
            self.sums += sums
            self.squares += squares
        return np.stack([_errors(sums), squares])

    def ece(self) -> Array:
        """Expected calibration error of each class: the mean distance between probability and frequency, bin by bin.

        Raises:
            ValueError: no case was added.
        """
        self._check()
        return _errors(self.sums) / self.cases

    def brier(self) -> Array:
        """Mean squared error of the probabilities of each class."""
        self._check()
        return self.squares / self.cases

    def curve(self, number: int) -> tuple[Array, Array, Array]:
        """Of a class's bins that are not empty: mean probability, frequency, share of the pixels."""
        share, probability, true = self.sums[number].T
        there = share > 0
        return probability[there] / share[there], true[there] / share[there], share[there] / max(self.cases, 1)

    def _check(self) -> None:
        if not self.cases:
            raise ValueError("calibration: no case to measure it on")


def _errors(sums: Array) -> Array:
    """From (classes, bins, [share, probability, frequency]) to the distance between probability and frequency, summed over bins."""
    return np.asarray(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=1))


class CalibrationCases:
    """Validation cases that temperatures are learnt from.

    Args:
        spec: the data set.
        seed: of the choice of pixels.
    """

    def __init__(self, spec: DatasetSpec, *, seed: int = 0) -> None:
        self.spec = spec
        self._random = np.random.default_rng(seed)
        self._probabilities: list[NDArray[np.float32]] = []
        self._truths: list[NDArray[np.bool_]] = []

    def add(
        self, probabilities: NDArray[Any], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
    ) -> None:
        """Keep some pixels of a case.

        Args:
            probabilities: (C, *S) as the network's channels are, not calibrated.
            truth: (classes, *S).
            ignored: (1 or classes, *S).
        """
        flat, true = probabilities.reshape(len(probabilities), -1), truth.reshape(len(truth), -1)
        places = np.arange(flat.shape[1])
        if ignored is not None:
            places = places[~ignored.reshape(len(ignored), -1).any(axis=0)]
        if len(places) > PIXELS:
            places = self._random.choice(places, PIXELS, replace=False)
        if len(places):
            self._probabilities.append(flat[:, places].astype(np.float32))
            self._truths.append(true[:, places])

    @property
    def cases(self) -> int:
        """How many were added that have pixels which count."""
        return len(self._probabilities)

    def with_those_of(self, others: CalibrationCases) -> CalibrationCases:
        """The cases of both."""
        both = CalibrationCases(self.spec)
        both._probabilities = self._probabilities + others._probabilities
        both._truths = self._truths + others._truths
        return both

    def learn(self, *, least: int = 1) -> Calibration:
        """The temperatures of the greatest likelihood, every case weighing the same.

        Args:
            least: fewer cases say nothing, and temperatures are 1.

        Raises:
            ValueError: no case.
        """
        if not self._probabilities:
            raise ValueError("calibration: no case to learn from")
        if len(self._probabilities) < least:
            return self._measured((1.0,) * (1 if self.spec.task == "multiclass" else len(self.spec.classes)))
        weights = np.concatenate([np.full(probs.shape[1], 1 / probs.shape[1]) for probs in self._probabilities])
        probs = np.concatenate(self._probabilities, axis=1).astype(np.float64).clip(SMALLEST, 1 - SMALLEST)
        truth = np.concatenate(self._truths, axis=1)
        if self.spec.task == "multiclass":
            numbers = np.where(truth.any(axis=0), truth.argmax(axis=0) + 1, 0)
            found = [_best_temperature(partial(_softmax_loss, np.log(probs), numbers, weights))]
        else:
            logits = np.log(probs) - np.log1p(-probs)
            signs = np.where(truth, 1.0, -1.0)
            found = [_best_temperature(partial(_sigmoid_loss, margin, weights)) for margin in signs * logits]
        return self._measured(tuple(found))

    def _measured(self, temperature: tuple[float, ...]) -> Calibration:
        plain = Calibration(temperature, len(self._probabilities), 0, 0, 0, 0)
        before, after = Reliability(self.spec.classes), Reliability(self.spec.classes)
        for probs, truth in zip(self._probabilities, self._truths, strict=True):
            before.add(probs[-len(truth) :], truth)
            after.add(plain.apply(torch.from_numpy(probs), self.spec.task).numpy()[-len(truth) :], truth)
        measured = (before.ece(), after.ece(), before.brier(), after.brier())
        return Calibration(temperature, plain.cases, *(round(float(values.mean()), 6) for values in measured))


def _sigmoid_loss(margins: Array, weights: Array, temperature: float) -> float:
    """Cross entropy of (pixels,) logits, negative where the truth is another, weighted."""
    return float(weights @ np.logaddexp(0, -margins / temperature))


def _softmax_loss(logits: Array, numbers: NDArray[np.intp], weights: Array, temperature: float) -> float:
    """Cross entropy of (C, pixels) logits, weighted."""
    scaled = logits / temperature
    scaled -= scaled.max(axis=0)
    own = np.take_along_axis(scaled, numbers[None], axis=0)[0]
    return float(weights @ (np.log(np.exp(scaled).sum(axis=0)) - own))


def _best_temperature(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar  # only learning needs it, and it takes a while to import

    found = minimize_scalar(lambda log: loss(math.exp(log)), bounds=(math.log(LEAST), math.log(MOST)), method="bounded")
    return round(math.exp(float(found.x)), 4)
