"""Cases to tune on: discs, of which the right answer is known."""

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.tuning.cases import TuningCases

ONE = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(16, 16))


TWO = DatasetSpec("d", "multilabel", classes=("bowel", "stomach"), channels=("grey",), size=(16, 16))


EXCLUSIVE = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(16, 16))


def discs(count=20, side=24):
    """Truths of a disc each, at random places: bool (count, side, side)."""
    generator = np.random.default_rng(7)
    x, y = np.ogrid[:side, :side]
    centres, radii = generator.uniform(8, side - 8, (count, 2)), generator.uniform(4, 6, count)
    return np.stack([(x - a) ** 2 + (y - b) ** 2 < r**2 for (a, b), r in zip(centres, radii, strict=True)])


def stored(probabilities, truths, spec=ONE, metric="dice", ids=str, group=str):
    """Cases of one channel per class: (cases, [classes,] W, H)."""
    cases = TuningCases(spec, metric)
    for number, (values, truth) in enumerate(zip(probabilities, truths, strict=True)):
        planes = values if values.ndim == 3 else values[None]
        cases.add(ids(number), group(number), planes, truth if truth.ndim == 3 else truth[None])
    return cases
