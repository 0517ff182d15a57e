"""Schedules of the learning rate."""

from __future__ import annotations

import warnings

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR


class RepeatedOneCycleLR(OneCycleLR):
    """torch's cycle, repeated: the step after the last is the first. A run whose length changes goes through the rest faster or slower.

    Attributes:
        bends: where the length changed: the step, its place in the cycle, and the steps in all since then. Part of the state that torch
            keeps.
    """

    bends: tuple[tuple[int, float, int], ...] = ()

    def change_length(self, steps: int, *, instead_of: int) -> None:
        """From the present step on the run has `steps` steps, and ends with the rate that it would have ended with."""
        self.bends = (*self.bends, (self.last_epoch, self._place(self.last_epoch), steps))

    def go_to(self, step: int) -> None:
        """Set the rates of another step than the present one: of a federation's round, whose earlier rounds others have trained."""
        if step == self.last_epoch:
            return
        with warnings.catch_warnings():
            # torch believes that the optimiser was forgotten if it has made no step yet
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            self.last_epoch = step - 1
            self.step()

    def get_lr(self) -> list[float | Tensor]:
        """The rates of this step."""
        step = self.last_epoch
        self.last_epoch = self._place(step)  # type: ignore[assignment]  # a place between two steps too
        try:
            return super().get_lr()
        finally:
            self.last_epoch = step

    def _place(self, step: int) -> float:
        """Where in the cycle a step is, 0 to `total_steps` - 1."""
        if not self.bends:
            return step % self.total_steps
        began, place, steps = self.bends[-1]
        done = min(1.0, (step - began) / (steps - 1 - began)) if steps - 1 > began else 1.0
        return place + done * (self.total_steps - 1 - place)


def one_cycle(optimizer: Optimizer, *, lr: float, total_steps: int, warmup: float) -> LRScheduler:
    """From lr / 25 up to ``lr`` over the first steps, then down to almost 0 along a cosine; one step per iteration.

    Smith and Topin, Super-Convergence, arXiv:1708.07120; torch's ``OneCycleLR`` for runs of any length, even the shortest. A
    training that continues past its end starts the cycle again.

    Args:
        optimizer: the optimiser whose learning rate is set.
        lr: the highest rate.
        total_steps: iterations of the whole run.
        warmup: share of the run in which the rate rises, 0 to 1.

    Raises:
        ValueError: ``warmup`` or ``total_steps`` out of range.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must be a share of the run in [0, 1), not {warmup!r}")
    if total_steps < 1:
        raise ValueError("nothing to train: there are no batches or no epochs")
    if total_steps == 1:
        return ConstantLR(optimizer, factor=1.0)
    # torch divides by the length of the rise, which must not be one step
    rise = float(warmup) if warmup * total_steps > 1 else 0.0
    return RepeatedOneCycleLR(optimizer, max_lr=lr, total_steps=total_steps, pct_start=rise)
