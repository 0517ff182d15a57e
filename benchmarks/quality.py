"""What `medseg review` has learnt of a bundle's weights, tried on a split that it has not seen: calibration, predicted Dice, promises.

    python benchmarks/quality.py BUNDLE DATASET_DIR [--split test] [--views] [--against BUNDLE --against BUNDLE]

prints tables in Markdown. ``--views`` also predicts three mirror images of each photograph, ``--against`` also asks other bundles that
know the same classes; the mean Dice of the pairs of masks is then a rival of the predicted Dice.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.stats import beta

from medseg_monai.bundle.paths import find_bundle, find_weights
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.cases import main_file
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.grids.truth import read_truth
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.quality.calibration import Reliability
from medseg_monai.quality.risk_coverage import aurc
from medseg_monai.tuning.learning import class_dices

Array = NDArray[np.float64]
RESAMPLES = 2000


@dataclass
class Found:
    """What is kept of the cases."""

    dice: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    flagged: list[bool] = field(default_factory=list)
    unlike: list[bool] = field(default_factory=list)
    outer: list[bool] = field(default_factory=list)
    inner: list[bool] = field(default_factory=list)
    sizes: list[tuple[float, float]] = field(default_factory=list)


def interval(values: Sequence[float]) -> str:
    """The middle 95 %."""
    return "{:.4f} to {:.4f}".format(*np.percentile(values, [2.5, 97.5]))


def share(count: int, of: int) -> str:
    """A share with Clopper and Pearson's 95 % interval."""
    low = beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    return f"{count} of {of}, {count / max(of, 1):.1%} ({low:.1%} to {high:.1%})"


def pairs_dice(masks: Sequence[NDArray[np.uint8]]) -> float:
    """Mean Dice of all pairs, of class numbers or channels, over classes."""
    numbers = range(1, int(max(mask.max() for mask in masks)) + 1) or range(1, 2)
    found = []
    for a, b in combinations(masks, 2):
        for number in numbers:
            size = int((a == number).sum() + (b == number).sum())
            found.append(2 * int(((a == number) & (b == number)).sum()) / size if size else 1.0)
    return float(np.mean(found))


def mirrored(predict: Predictor, file: str, own: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The mask, and those of three mirror images brought back."""
    picture = ImageOps.exif_transpose(Image.open(file))
    masks = [own]
    for steps in ((ImageOps.mirror,), (ImageOps.flip,), (ImageOps.mirror, ImageOps.flip)):
        seen = picture
        for step in steps:
            seen = step(seen)
        mask = predict(seen).mask
        axes = tuple({ImageOps.mirror: -1, ImageOps.flip: -2}[step] for step in steps)
        masks.append(np.flip(mask, axes))
    return masks


def predictions(plain: Predictor, cases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, Prediction, Any, Any]]:
    """Each case with the answer to it and its truth as the mask lies."""
    for case in cases:
        found = plain(main_file(case["image"]))
        truth, ignored = split_ignored(read_truth(case, found.grid, plain.spec))
        planes = found.grid.kind.as_shown(class_masks(truth, len(plain.spec.classes)))
        yield case, found, planes, None if ignored is None else found.grid.kind.as_shown(ignored)


def look(bundle: str, dataset_dir: Path, split: str, views: bool, against: Sequence[str]) -> None:
    """Predict and print."""
    file = find_weights(find_bundle(bundle))
    trained, predict = Trained.read(file.parent), Predictor(bundle, weights=file, calibration="off")
    quality = trained.quality
    assert quality is not None
    assert quality.calibration is not None
    others = {name: Predictor(name) for name in against}
    classes, found = predict.spec.classes, Found()
    before, after = Reliability(classes), Reliability(classes)
    cases = read_dataset(dataset_dir).cases(split)
    for case, answer, truth, ignored in predictions(predict, cases):
        probabilities = answer.probabilities.astype(np.float32)
        calibrated = _calibrated(probabilities, predict, quality.calibration)
        before.add(probabilities, truth, ignored)
        after.add(calibrated, truth, ignored)
        note(found, answer, trained, class_dices(answer, truth, ignored))
        _margins(found, quality.margins, calibrated, truth)
        if views:
            masks = mirrored(predict, str(main_file(case["image"])), answer.mask)
            found.scores.setdefault("pairwise Dice, 4 mirrored views", []).append(pairs_dice(masks))
        if others:
            masks = [answer.mask, *(other(main_file(case["image"])).mask for other in others.values())]
            found.scores.setdefault(f"pairwise Dice, ensemble with {', '.join(others)}", []).append(pairs_dice(masks))
    report(f"{bundle}, {trained.dataset.name}, {len(found.dice)} {split} cases", found, trained, before, after)


def _calibrated(probabilities: NDArray[np.float32], predict: Predictor, calibration: Any) -> NDArray[np.float32]:
    import torch

    if predict.spec.task == "multiclass":
        probabilities = np.concatenate([(1 - probabilities.sum(axis=0, keepdims=True)).clip(0, 1), probabilities])
    found: NDArray[np.float32] = calibration.apply(torch.from_numpy(probabilities), predict.spec.task).numpy()
    return found[-len(predict.spec.classes) :]


def note(found: Found, answer: Prediction, trained: Trained, dices: Sequence[float]) -> None:
    """Keep a case's scores: the lowest Dice of its classes, and what tells it."""
    predicted = list(answer.predicted_dice.values())
    found.dice.append(min(dices))
    found.error += [abs(a - b) for a, b in zip(predicted, dices, strict=True)]
    found.flagged.append(bool(answer.flagged))
    found.unlike.append(answer.reason.startswith("unlike"))
    found.scores.setdefault("predicted Dice", []).append(min(predicted))
    found.scores.setdefault("entropy (uncertainty)", []).append(-answer.uncertainty)
    found.scores.setdefault("expected Dice alone", []).append(min(one.expected for one in answer.mask_numbers))


def _margins(found: Found, margins: Any, calibrated: NDArray[np.float32], truth: NDArray[np.bool_]) -> None:
    if margins is None or None in (*margins.outer, *margins.inner):
        return
    masks = list(margins.masks(calibrated))
    for outer, inner, true in zip(masks[: len(truth)], masks[len(truth) :], truth, strict=True):
        if not true.any():
            continue
        found.outer.append((outer & true).sum() >= margins.cover * true.sum())
        found.inner.append(not inner.any() or (inner & true).sum() >= margins.cover * inner.sum())
        found.sizes.append((outer.sum() / true.sum(), inner.sum() / true.sum()))


def report(what: str, found: Found, trained: Trained, before: Reliability, after: Reliability) -> None:
    """Print the tables."""
    quality, dice = trained.quality, np.array(found.dice)
    assert quality is not None
    print(f"### {what}\n\n| | before | after |\n|---|---|---|")
    for name, one, two in (
        ("calibration error", before.ece(), after.ece()),
        ("Brier score", before.brier(), after.brier()),
    ):
        print(f"| {name} | {one.mean():.4f} | {two.mean():.4f} |")
    print(f"\nPredicted Dice: off by {np.mean(found.error):.3f} on average.\n")
    print("| told by | AURC | 95 % interval | less than entropy's by |\n|---|---|---|---|")
    resamples = [np.random.default_rng(n).integers(0, len(dice), len(dice)) for n in range(RESAMPLES)]
    entropy = [aurc(np.array(found.scores["entropy (uncertainty)"])[r], dice[r]) for r in resamples]
    for name, values in found.scores.items():
        score = np.array(values)
        drawn = [aurc(score[r], dice[r]) for r in resamples]
        less = interval([e - d for e, d in zip(entropy, drawn, strict=True)])
        print(
            f"| {name} | {aurc(score, dice):.4f} | {interval(drawn)} | {'' if name.startswith('entropy') else less} |"
        )
    print(f"| the true Dice | {aurc(dice, dice):.4f} | | |\n")
    promise = quality.promise
    if promise is None or promise.threshold is None:
        print(f"There is {promise}.\n")
    else:
        passed = np.array([not promise.flags(value) for value in found.scores["predicted Dice"]])
        bad = dice < promise.dice
        print(f"Promise: {promise}. Here:\n\n| | |\n|---|---|")
        print(f"| flagged by the promise | {share(int((~passed).sum()), len(dice))} |")
        print(
            f"| below Dice {promise.dice:g} among the others | {share(int((bad & passed).sum()), int(passed.sum()))} |"
        )
        print(f"| below Dice {promise.dice:g} that are flagged | {share(int((bad & ~passed).sum()), int(bad.sum()))} |")
        print(f"| unlike training's pictures | {share(sum(found.unlike), len(dice))} |\n")
    if found.outer:
        large, small = np.median(found.sizes, axis=0)
        print(f"| {quality.margins} | held | median size, of the truth's |\n|---|---|---|")
        print(f"| outer | {share(sum(found.outer), len(found.outer))} | {large:.0%} |")
        print(f"| inner | {share(sum(found.inner), len(found.inner))} | {small:.0%} |\n")


def main() -> None:
    """Parse the arguments."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--views", action="store_true")
    parser.add_argument("--against", action="append", default=[])
    chosen = parser.parse_args()
    look(chosen.bundle, chosen.dataset_dir, chosen.split, chosen.views, chosen.against)


if __name__ == "__main__":
    main()
