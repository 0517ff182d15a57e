"""What an audit writes, and that `prepare --leave-out` takes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from audited import disc, right_answers, write_discs

from medseg_monai.audit.output import AUDIT_FILE, COLUMNS, FACTS_FILE, LEAVE_OUT_FILE, audit_table, write_audit
from medseg_monai.audit.run import Audit, audit_dataset
from medseg_monai.dataset import Dataset
from medseg_monai.files.csv_tables import csv_records, read_records
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
