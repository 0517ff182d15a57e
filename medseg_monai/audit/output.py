"""What an audit writes: a table of all cases, those to leave out, the numbers, and a page with pictures of the most doubtful."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.audit.answers import Answers
from medseg_monai.audit.examine import expected_masks, look_at
from medseg_monai.audit.findings import Finding
from medseg_monai.audit.run import Audit, facts_of
from medseg_monai.dataset import SPLITS, Dataset
from medseg_monai.dataset.cases import Case
from medseg_monai.figures.audit import doubt_picture
from medseg_monai.figures.cases import CaseView
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.grids.truth import read_shown
from medseg_monai.inference.cases import UNUSABLE
from medseg_monai.report.audit import write_audit_report

logger = logging.getLogger(__name__)

AUDIT_FILE, LEAVE_OUT_FILE, FACTS_FILE = "audit.csv", "leave_out.csv", "audit.json"
COLUMNS = ("rank", "case", "class", "kind", "evidence", "listed", "dice", "split", "probabilities", "reason")
FEWEST_PICTURES, MOST_PICTURES = 12, 36


def write_audit(folder: Path, audit: Audit, dataset: Dataset, answers: Answers, *, run: Mapping[str, Any]) -> Path:
    """Write ``audit.csv``, ``leave_out.csv``, ``audit.json`` and ``index.html``; return the page's path.

    Args:
        folder: where to.
        audit: what came of it.
        dataset: the cases.
        answers: their probabilities, for the pictures.
        run: facts to show.
    """
    write_whole(folder / AUDIT_FILE, audit_table(audit))
    write_whole(folder / LEAVE_OUT_FILE, leave_out_table(audit))
    write_whole(folder / FACTS_FILE, json.dumps({**facts_of(audit), **run}, indent=2) + "\n")
    cases = {case["id"]: case for split in SPLITS for case in dataset.cases(split)}
    pictures = dict(_pictures(audit, cases, answers, dataset))
    return write_audit_report(folder, audit, dataset.spec, pictures, run=run)


def audit_table(audit: Audit) -> str:
    """A row for each case of the data set, by rank; cases that were not judged come last, without one."""
    listed = {one.case for one in audit.listed}
    rows: list[list[Any]] = [
        [
            rank,
            one.case,
            " + ".join(one.classes),
            one.kind,
            f"{one.evidence:.3f}",
            "yes" if one.case in listed else "no",
            f"{one.dice:.4f}",
            audit.splits[one.case],
            one.origin,
            one.reason,
        ]
        for rank, one in enumerate(audit.findings, 1)
    ]
    rows += [
        ["", case, "", "", "", "", "", audit.splits[case], "", f"not judged: {why}"]
        for case, why in audit.not_judged.items()
    ]
    return csv_text([COLUMNS, *rows])


def leave_out_table(audit: Audit) -> str:
    """The table that ``medseg prepare --leave-out`` takes: the listed cases."""
    return csv_text([("image_id", "reason"), *((one.case, f"{one.kind}: {one.reason}") for one in audit.listed)])


def _pictures(
    audit: Audit, cases: Mapping[str, Case], answers: Answers, dataset: Dataset
) -> Iterator[tuple[str, bytes]]:
    """JPEG files of the listed cases, or of the first few if fewer are listed, by case."""
    for one in audit.findings[: max(FEWEST_PICTURES, min(len(audit.listed), MOST_PICTURES))]:
        try:
            yield one.case, doubt_picture(_view(one, cases[one.case], answers, dataset))
        except UNUSABLE as error:  # it was there a moment ago
            logger.warning("no picture: %s: %s", one.case, error)


def _view(finding: Finding, case: Case, answers: Answers, dataset: Dataset) -> CaseView:
    spec = dataset.spec
    looked, shown = look_at(case, answers, spec), read_shown(case, spec)
    return CaseView(
        image=shown.image,
        pred=expected_masks(looked.probabilities, spec).astype(np.uint8),
        truth=looked.masks.astype(np.uint8),
        title=finding.reason,
        affine=shown.affine,
        colour=shown.colour,
    )
