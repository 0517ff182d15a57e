"""The layout of a histogram on a page: positions of bars, ticks and the median, in the units of its SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 446, 14, 180
BARS = 20


@dataclass(frozen=True)
class Bar:
    """A bar and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """What the template draws; lengths in SVG units."""

    title: str
    label: str
    summary: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    median: Tick
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def median_side(self) -> int:
        """The side of its line where the median's text has room: 1 right, -1 left."""
        return 1 if self.median.at < (self.left + self.right) / 2 else -1


def histogram(values: Sequence[float], *, title: str, label: str, most: float | None = None) -> Histogram:
    """Lay out a histogram of at least one value, from 0 upwards.

    Args:
        values: none below 0.
        title: above it.
        label: of the axis, with the unit.
        most: end of the axis; None for a round number above all values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    end = most if most is not None else round_up(float(numbers.max()))
    counts, edges = np.histogram(numbers, bins=BARS, range=(0, end))
    top = max(1, int(round_up(float(counts.max()))))
    x, y = (RIGHT - LEFT) / end, (BOTTOM - TOP) / top
    bars = tuple(
        Bar(
            round(LEFT + low * x + 0.75, 2),
            round(BOTTOM - count * y, 2),
            round((high - low) * x - 1.5, 2),
            round(count * y, 2),
            f"{low:.4g} to {high:.4g}: {count} {'case' if count == 1 else 'cases'}",
        )
        for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if count
    )
    median = float(np.median(numbers))
    low, high = np.quantile(numbers, (0.25, 0.75))
    return Histogram(
        title=title,
        label=label,
        summary=f"{title}: histogram of {label}, {numbers.size} cases, median {median:.3g}, middle half {low:.3g} to {high:.3g}",
        bars=bars,
        x_ticks=tuple(Tick(round(LEFT + value * x, 2), f"{value:.4g}") for value in np.linspace(0, end, 6)),
        y_ticks=tuple(Tick(round(BOTTOM - value * y, 2), str(value)) for value in sorted({0, top // 2, top})),
        median=Tick(round(LEFT + median * x, 2), f"median {median:.3g}"),
    )


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10, 20 …

    >>> round_up(0.7), round_up(13), round_up(24), round_up(100), round_up(0)
    (1.0, 20.0, 25.0, 100.0, 1.0)
    """
    if value <= 0:
        return 1.0
    power: float = 10.0 ** np.floor(np.log10(value))
    return next(float(step * power) for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))
