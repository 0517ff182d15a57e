"""What an audit writes, and that `prepare --leave-out` takes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from audited import disc, right_answers, write_discs

from medseg_monai.audit import output
from medseg_monai.audit.answers import Answer
from medseg_monai.audit.output import AUDIT_FILE, COLUMNS, FACTS_FILE, LEAVE_OUT_FILE, audit_table, write_audit
from medseg_monai.audit.run import Audit, audit_dataset
from medseg_monai.dataset import SPLITS, Dataset, read_dataset
from medseg_monai.dataset.cases import Case
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.audit import doubt_picture
from medseg_monai.figures.cases import CaseView
from medseg_monai.files.csv_tables import csv_records, read_records
from medseg_monai.grids.truth import read_truth
from medseg_monai.prepare.demo import prepare_demo
from medseg_monai.prepare.splits import read_leave_out


@pytest.fixture
def audited(tmp_path: Path) -> tuple[Dataset, Audit]:
    """Eleven labels, two of them wrong, and one that is no picture."""
    labels = {4: disc(50, 10, 5), 6: np.zeros((60, 48), bool), 7: b"no picture"}
    dataset = write_discs(tmp_path, labels)
    return dataset, audit_dataset(dataset, right_answers(dataset), listed_from=2)


def test_the_table_has_a_row_for_each_case_the_most_doubtful_first(audited: tuple[Dataset, Audit]) -> None:
    rows = csv_records(audit_table(audited[1]))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 12)] + [""]
    assert sorted(row["case"] for row in rows) == [f"case{number:02d}" for number in range(12)]
    assert {row["case"] for row in rows if row["listed"] == "yes"} == {"case04", "case06"}
    empty = next(row for row in rows if row["case"] == "case06")
    assert (empty["kind"], empty["class"], empty["dice"]) == ("empty by mistake", "disc", "0.0000")
    assert (empty["split"], empty["probabilities"]) == ("training", "fold 1")
    assert rows[-1]["reason"].startswith("not judged: ")


def test_the_files_and_that_prepare_reads_what_to_leave_out(audited: tuple[Dataset, Audit], tmp_path: Path) -> None:
    dataset, audit = audited
    out = tmp_path / "out"
    page = write_audit(out, audit, dataset, right_answers(dataset), run={"probabilities": ["folds"]})
    assert {file.name for file in out.iterdir()} == {AUDIT_FILE, LEAVE_OUT_FILE, FACTS_FILE, "index.html"}
    assert len(read_records(out / AUDIT_FILE)) == 12
    left = read_leave_out(out / LEAVE_OUT_FILE)
    assert left.keys() == {"case04", "case06"}
    assert left["case06"].startswith("empty by mistake: its label has no disc")
    facts = json.loads((out / FACTS_FILE).read_text())
    assert (facts["judged"], facts["listed"], facts["not judged"]) == (11, 2, 1)
    text = page.read_text()
    assert text.count('<img src="data:image/jpeg;base64,') == 11, "a few are shown even if fewer are listed"
    assert "Which labels of discs are doubtful" in text


@pytest.mark.parametrize("kind", ["mr", "volumes"])
def test_overlapping_classes_and_volumes_from_labels_to_the_page(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that is right about all but one of the demo's cases, in which it sees its first two classes exchanged."""
    size = (24, 21, 16) if kind == "volumes" else (64, 48)
    count = 8 if kind == "volumes" else 12
    prepare_demo(tmp_path / "data", kind=kind, n=count, size=size)  # type: ignore[arg-type]
    dataset = read_dataset(tmp_path / "data")
    cases = [case for split in SPLITS for case in dataset.cases(split)]
    shown = {case["id"]: class_masks(read_truth(case, None, dataset.spec), len(dataset.spec.classes)) for case in cases}
    wrong = max(shown, key=lambda case: min(np.count_nonzero(mask) for mask in shown[case][:2]))
    shown[wrong] = shown[wrong][[1, 0, *range(2, len(shown[wrong]))]]

    def read(case: Case) -> np.ndarray:
        share = 0.98 if dataset.spec.task == "multilabel" else 0.97
        return np.where(shown[case["id"]], share, 0.01).astype(np.float16)

    answers = {case["id"]: Answer("fold 1", read) for case in cases}
    audit = audit_dataset(dataset, answers, listed_from=1)
    assert (audit.findings[0].case, audit.findings[0].kind) == (wrong, "swapped classes")
    assert audit.findings[0].classes == dataset.spec.classes[:2]
    assert [one.case for one in audit.listed] == [wrong]
    views: list[CaseView] = []
    monkeypatch.setattr(output, "doubt_picture", lambda view: views.append(view) or doubt_picture(view))
    page = write_audit(tmp_path / "out", audit, dataset, answers, run={}).read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == count
    assert len(views) == count
    assert {view.affine is not None for view in views} == {kind == "volumes"}  # by which a volume is shown upright
