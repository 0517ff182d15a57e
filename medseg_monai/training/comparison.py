"""Two trainings held against each other: weights to the bit, the scores of every epoch, and what was not the same."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from medseg_monai.bundle.trained import Trained, read_weights
from medseg_monai.files.writing import write_whole
from medseg_monai.training.folder import HISTORY_FILE, RERUN_FILE, WEIGHTS_FILE
from medseg_monai.training.recorded import read_record


@dataclass(frozen=True)
class Comparison:
    """How a repeated training compares with the first one.

    Attributes:
        tensors, unlike: how many tensors the weights have, and how many of them are not equal to the bit.
        largest: largest difference between two numbers of the weights; NaN if they are not of one network.
        epochs, first_unlike: how many epochs there were, and the first whose loss or scores differ; None if none.
        best: the epoch whose weights are kept, then and now.
        scores: of that epoch, then and now, by name.
        changes: what was not the same: versions, threads, data, settings.
        device: of the repetition.
    """

    tensors: int
    unlike: int
    largest: float
    epochs: int
    first_unlike: int | None
    best: tuple[int | None, int | None]
    scores: Mapping[str, tuple[float, float]]
    changes: tuple[str, ...]
    device: str

    @property
    def equal(self) -> bool:
        """Whether the weights are equal to the bit."""
        return self.unlike == 0

    @property
    def promised(self) -> bool:
        """Whether they have to be: on a CPU, with nothing changed."""
        return not self.changes and self.device == "cpu"

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"weights: {self._weights()}",
            f"epochs: {self._epochs()}",
            f"kept: epoch {self.best[0]} then, epoch {self.best[1]} now; {self._scores()}",
            f"changed: {'; '.join(self.changes) or 'nothing'}",
            f"promised: {self._promise()}",
        ]

    def _weights(self) -> str:
        if self.equal:
            return f"all {self.tensors} tensors are equal to the bit"
        if math.isnan(self.largest):
            return "they are of two different networks"
        return f"{self.unlike} of {self.tensors} tensors differ, by {self.largest:.2g} at most"

    def _epochs(self) -> str:
        if self.first_unlike is None:
            return f"loss and scores of all {self.epochs} are equal"
        return f"loss or scores differ from epoch {self.first_unlike} of {self.epochs} on"

    def _scores(self) -> str:
        return ", ".join(f"{name} {then:.4f} then, {now:.4f} now" for name, (then, now) in self.scores.items())

    def _promise(self) -> str:
        if self.promised:
            kept = "kept" if self.equal else "BROKEN: please report it, with both folders' run.json"
            return (
                f"equal weights, on a CPU with the same data, settings, versions, instruction set and threads ({kept})"
            )
        if self.device != "cpu":
            return f"nothing to the bit: on {self.device} torch adds in an order that differs from run to run"
        return "nothing to the bit, because of what has changed"

    def write(self, folder: Path) -> None:
        """Write ``rerun.json`` beside the repeated training's weights."""
        content = {**asdict(self), "equal": self.equal, "promised": self.promised}
        content["largest"] = None if math.isnan(self.largest) else self.largest
        write_whole(folder / RERUN_FILE, json.dumps(content, indent=2) + "\n")


def compare_trainings(first: Path, second: Path, *, changes: Sequence[str] = ()) -> Comparison:
    """Compare the kept weights and the history of two finished trainings.

    Args:
        first, second: folders of the trainings.
        changes: what is known to differ between them.
    """
    unlike, largest, tensors = _compare_weights(*(read_weights(folder / WEIGHTS_FILE) for folder in (first, second)))
    facts = [Trained.read(folder).training for folder in (first, second)]
    then, now = (dict(fact.get("validation") or {}) for fact in facts)
    histories = [_history(folder / HISTORY_FILE) for folder in (first, second)]
    return Comparison(
        tensors=tensors,
        unlike=unlike,
        largest=largest,
        epochs=max(map(len, histories)),
        first_unlike=_first_unlike(*histories),
        best=(facts[0].get("best_epoch"), facts[1].get("best_epoch")),
        scores={name: (float(then[name]), float(now[name])) for name in then if name in now},
        changes=tuple(changes),
        device=str(((read_record(second) or {}).get("machine") or {}).get("device", "cpu")),
    )


def _compare_weights(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> tuple[int, float, int]:
    """How many tensors differ, by how much at most, and of how many; NaN for other networks."""
    names = first.keys() | second.keys()
    if any(name not in first or name not in second or first[name].shape != second[name].shape for name in names):
        return len(names), math.nan, len(names)
    unlike = [name for name in names if not _same_bits(first[name], second[name])]
    gaps = [float((first[name].double() - second[name].double()).abs().max()) for name in unlike]
    return len(unlike), max(gaps, default=0.0), len(names)


def _same_bits(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors of one shape hold the same bits: -0.0 is another result than 0.0."""
    if first.dtype != second.dtype:
        return False
    one, other = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (first, second))
    return torch.equal(one, other)


def _history(file: Path) -> list[dict[str, str]]:
    """The rows of ``history.csv`` without their seconds; none if it cannot be read."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]
    except (OSError, ValueError):
        return []


def _first_unlike(first: Sequence[Mapping[str, str]], second: Sequence[Mapping[str, str]]) -> int | None:
    for then, now in zip(first, second, strict=False):
        if then != now:
            return int(then.get("epoch") or 0)
    return None if len(first) == len(second) else min(len(first), len(second)) + 1
