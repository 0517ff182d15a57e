"""The page of an audit: what is shown first, and that every text is only text."""

from pathlib import Path

import pytest

from medseg_monai.audit.findings import Finding
from medseg_monai.audit.run import Audit
from medseg_monai.dataset import DatasetSpec
from medseg_monai.report import audit as page_of_audit
from medseg_monai.report.audit import write_audit_report

HOSTILE = "<img src=x onerror=alert(1)>"
SPEC = DatasetSpec("lesions", "binary", classes=(HOSTILE,), channels=("red", "green", "blue"), size=(32, 32))


def audit() -> Audit:
    findings = [
        Finding(HOSTILE, "extra part", (HOSTILE,), 4.0, HOSTILE, (0.25,), HOSTILE),
        Finding("b", "shifted", (HOSTILE,), 3.5, "its label fits better", (0.5,), "fold 1"),
        Finding("c", "", (), 0.0, "nothing", (1.0,), "fold 2"),
    ]
    splits = {HOSTILE: "training", "b": "training", "c": "test", "d": "test"}
    return Audit(findings, findings[:2], {"d": f"unreadable {HOSTILE}"}, splits, (1.0,), failed=1)


def test_tiles_and_scores_again(tmp_path: Path) -> None:
    page = write_audit_report(tmp_path, audit(), SPEC, {"b": b"jpeg"}, run={}).read_text()
    # (0.25 + 0.5 + 1) / 3, and 1 without the first two
    assert '<span class="name">mean Dice</span><span class="number">0.583</span>' in page
    assert '<span class="name">without the doubtful</span><span class="number">1.000</span>' in page
    assert "1 case could not be judged; all others were." in page
    assert "<strong>2. b</strong>" in page
    assert "1 more doubtful label has no picture here" in page


def test_every_text_is_text(tmp_path: Path) -> None:
    page = write_audit_report(tmp_path, audit(), SPEC, {HOSTILE: b"jpeg"}, run={"folder": HOSTILE}).read_text()
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 8
    assert "http" not in page.split("</style>")[1]


def test_the_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of_audit, "MOST_PICTURE_BYTES", 6)
    monkeypatch.setattr(page_of_audit, "MOST_ROWS", 2)
    page = write_audit_report(tmp_path, audit(), SPEC, {HOSTILE: b"jpeg", "b": b"jpeg"}, run={}).read_text()
    assert page.count('<img src="data:') == 1
    assert "The first 2 rows; audit.csv beside this page has all of them." in page
