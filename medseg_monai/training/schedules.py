"""The learning rate over a run."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR


class RepeatedOneCycleLR(OneCycleLR):
    """torch's cycle, again and again: the step after the last is the first."""

    def get_lr(self) -> list[float | Tensor]:
        """The rates of this step."""
        step = self.last_epoch
        self.last_epoch = step % self.total_steps
        try:
            return super().get_lr()
        finally:
            self.last_epoch = step


def one_cycle(optimizer: Optimizer, *, lr: float, total_steps: int, warmup: float) -> LRScheduler:
    """Up from lr / 25 to ``lr`` over the first steps, then down to almost nothing along a cosine; one step per iteration.

    Smith and Topin, Super-Convergence, arXiv:1708.07120; torch's ``OneCycleLR`` for runs of any length, the shortest included. A
    training that goes on past its end, as each round of federated learning does, begins the cycle anew.

    Args:
        optimizer: whose learning rate it sets.
        lr: the highest.
        total_steps: iterations of the whole run.
        warmup: share of the run in which the rate rises, 0 to 1.

    Raises:
        ValueError: ``warmup`` or ``total_steps`` out of range.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the run, 0 to below 1, not {warmup!r}")
    if total_steps < 1:
        raise ValueError("there is nothing to train on: no batches or no epochs")
    if total_steps == 1:
        return ConstantLR(optimizer, factor=1.0)
    # torch divides by the length of the rise, which must not be one step
    rise = float(warmup) if warmup * total_steps > 1 else 0.0
    return RepeatedOneCycleLR(optimizer, max_lr=lr, total_steps=total_steps, pct_start=rise)
