"""A made-up evaluation of any size, with hostile names if wanted: for the tests of reports."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from medseg_monai.evaluation.confusion import count_overlap, write_overlap
from medseg_monai.evaluation.metrics import CaseScores, class_masks, score_case
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation
from medseg_monai.figures.cases import CaseView
from medseg_monai.report.case_pictures import write_case_pictures

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a'b & {{ 7 * 7 }}")
RUN = {
    "bundle": "unetpp",
    "dataset": "made_up",
    "split": "test",
    "weights": "models/made_up/model.pt",
    "architecture": {"_target_": "medseg_monai.networks.UNetPlusPlus", "features": [32, 64]},
    "parameters": 9_160_000,
    "inference_ms_per_image": 12.5,
    "versions": {"medseg-monai": "0.1.0", "torch": "2.8.0"},
    "training": {"epochs": 40, "best_epoch": 31},
    "data": {"licence": "CC-0", "citation": "Nobody 2024", "modality": "generated", "cases": {"test": 600}},
    "images": 600,
}


def scores_of(case, class_name="lesion", *, outcome="ok", truth_pixels=10, predicted_pixels=10, **scores):
    """A row of scores: those given, 0 for all others, so that tests of some scores name no others."""
    numbers = {field.name: 0.0 for field in fields(CaseScores) if field.type == "float"}
    return CaseScores(
        case=case, class_name=class_name, outcome=outcome, truth_pixels=truth_pixels, predicted_pixels=predicted_pixels,
        **{**numbers, **scores},
    )  # fmt: skip


def made_up_masks(number, classes, size):
    """Truth and prediction of a case, (1, W, H) of class numbers: discs, shifted; each seventh misses, each eleventh invents."""
    generator = np.random.default_rng(number)
    x, y = np.mgrid[: size[0], : size[1]]
    truth, pred = np.zeros((2, 1, *size), np.uint8)
    for index in range(1, classes + 1):
        centre = generator.uniform(0.25, 0.75, 2) * size
        shift = generator.normal(0, 2, 2)
        radius = generator.uniform(6, 12)
        if (number + index) % 11:
            truth[0][np.hypot(x - centre[0], y - centre[1]) < radius] = index
        if (number + index) % 7:
            pred[0][np.hypot(x - centre[0] - shift[0], y - centre[1] - shift[1]) < radius] = index
    return pred, truth


def write_made_up(
    folder: Path, *, cases=40, classes=("large bowel", "stomach"), names=None, size=(64, 48), pictures=True
):
    """An evaluation's folder, as ``medseg evaluate --report`` leaves it before the report is written."""
    names = list(names or [f"case_{number:04d}" for number in range(cases)])
    scores: list[CaseScores] = []
    overlap = None
    for number, name in enumerate(names):
        pred, truth = (class_masks(label, len(classes)) for label in made_up_masks(number, len(classes), size))
        scores += score_case(pred, truth, case=name, classes=classes)
        counted = count_overlap(pred, truth, classes)
        overlap = counted if overlap is None else overlap + counted
    write_evaluation(folder, scores, summarise(scores, n_bootstrap=50), run=RUN)
    if len(classes) > 1:
        write_overlap(folder, overlap)

    def view(case: str) -> CaseView:
        generator = np.random.default_rng(1)
        number = names.index(case)
        pred, truth = (class_masks(label, len(classes)) for label in made_up_masks(number, len(classes), size))
        image = generator.integers(60, 200, (3, *size), dtype=np.uint8)
        return CaseView(image, pred, truth)

    if pictures:
        write_case_pictures(folder, scores, view)
    return folder
