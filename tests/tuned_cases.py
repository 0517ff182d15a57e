"""Cases to tune on: discs, of which the right answer is known."""

from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.dataset import Dataset, DatasetSpec
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.predictor import Prediction
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
        label, ignored = split_ignored(truth if truth.ndim == 3 else truth[None])
        cases.add(ids(number), group(number), planes, class_masks(label, len(spec.classes)), ignored)
    return cases


class KnownNetwork:
    """Stands in for a `Predictor` of binary pictures: for each picture's file name the probabilities, (H, W), that it gives."""

    def __init__(self, answers, spec=ONE):
        self.spec = spec
        self._answers = answers

    def __call__(self, image):
        values = np.asarray(self._answers[Path(image).name], np.float32)
        grid = PhotoGrid.of(values.T.shape, self.spec)
        return Prediction((values > 0.5).astype(np.uint8), values[None], 0.0, self.spec.classes, grid=grid)


def drawn_dataset(folder, truths):
    """A data set whose validation pictures are the truths themselves, bool (cases, W, H): ``0.png``, ``1.png`` …"""
    cases = []
    for number, truth in enumerate(truths):
        Image.fromarray(truth.T.astype(np.uint8) * 255).save(folder / f"{number}.png")
        cases.append({"image": f"{number}.png", "label": f"{number}.png", "id": str(number), "group": str(number)})
    return Dataset(ONE, folder, validation=cases)
