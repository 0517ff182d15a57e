"""How often 95 % intervals of a mean contain the true mean, for scores as segmentation has them: `python benchmarks/intervals.py`.

Three populations: Dice without failures (beta), Dice of which 3 % are failures at 0, distances (log-normal, heavy tail).
A few minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t

from medseg_monai.evaluation.intervals import mean_interval
from medseg_monai.files.markdown import markdown_table

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
TAILS = (0.025, 0.975)
RESAMPLES = 2000


def dice(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Mean 0.8."""
    return generator.beta(8, 2, shape)


def dice_with_failures(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Mean 0.97 · 12 / 13.2."""
    return generator.beta(12, 1.2, shape) * (generator.random(shape) >= 0.03)


def distances(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Mean e²."""
    return generator.lognormal(1.5, 1, shape)


POPULATIONS: dict[str, tuple[Draw, float, float]] = {
    "Dice": (dice, 0.8, 1),
    "Dice, 3 % failures": (dice_with_failures, 0.97 * 12 / 13.2, 1),
    "distances": (distances, float(np.exp(2)), np.inf),
}


def resampled_means(sample: Array, generator: np.random.Generator) -> Array:
    return sample[generator.integers(len(sample), size=(RESAMPLES, len(sample)))].mean(axis=1)


def percentile(sample: Array, generator: np.random.Generator) -> Array:
    return np.asarray(np.quantile(resampled_means(sample, generator), TAILS))


def bca(sample: Array, generator: np.random.Generator) -> Array:
    """Bias-corrected and accelerated; the jackknife of a mean in closed form, since scipy's is too slow for thousands of samples."""
    means, centred = resampled_means(sample, generator), sample - sample.mean()
    if not centred.any():
        return np.repeat(sample.mean(), 2)
    below = ((means < sample.mean()).mean() + (means <= sample.mean()).mean()) / 2
    bias = ndtri(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    shifted = bias + ndtri(TAILS)
    return np.asarray(np.quantile(means, ndtr(bias + shifted / (1 - acceleration * shifted))))


def student(sample: Array, generator: np.random.Generator) -> Array:
    return sample.mean() + t.ppf(TAILS, len(sample) - 1) * sample.std(ddof=1) / len(sample) ** 0.5


def studentised(sample: Array, generator: np.random.Generator) -> Array:
    """What evaluations use."""
    return np.array(mean_interval(sample, seed=int(generator.integers(2**31)), n_bootstrap=RESAMPLES))


METHODS = {"percentile": percentile, "BCa": bca, "Student's t": student, "studentised bootstrap": studentised}


def coverage(draw: Draw, truth: float, most: float, *, cases: int, repeats: int) -> dict[str, tuple[float, float]]:
    """By method, the share of intervals that contain the truth, and their mean length."""
    generator = np.random.default_rng(0)
    samples = [draw(generator, (cases,)) for _ in range(repeats)]
    found = {}
    for name, method in METHODS.items():
        low, high = np.array([np.clip(method(sample, generator), 0, most) for sample in samples]).T
        found[name] = (float(np.mean((low <= truth) & (truth <= high))), float(np.mean(high - low)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1500)
    parser.add_argument("--cases", type=int, nargs="+", default=[5, 10, 20, 50, 100, 200])
    given = parser.parse_args()
    rows = []
    for population, (draw, truth, most) in POPULATIONS.items():
        for cases in given.cases:
            found = coverage(draw, truth, most, cases=cases, repeats=given.repeats)
            rows.append([population, cases, *(f"{share:.3f} ({length:.3g})" for share, length in found.values())])
    print("\n".join(markdown_table(["scores", "cases", *METHODS], rows)))
    print("\nShare of the intervals that contain the true mean, and their mean length.")


if __name__ == "__main__":
    main()
