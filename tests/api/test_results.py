"""Saving by suffix, and failures in words."""

from pathlib import Path

import pytest

from medseg_monai.api.results import failure_lines, save_as
from medseg_monai.figures.cases import new_figure
from medseg_monai.inference.cases import Failure


def test_the_suffix_decides(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    files = {".csv": tmp_path / "a.csv", ".md": tmp_path / "nosuch.md"}
    assert save_as(tmp_path / "out" / "b.CSV", files, lambda: new_figure(1, 1)).read_text() == "x\n"
    assert save_as(tmp_path / "b.png", files, lambda: new_figure(1, 1)).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"b\.md: it can be saved as \.csv, \.png"):
        save_as(tmp_path / "b.md", files, lambda: new_figure(1, 1))


def test_a_thousand_failures_are_a_few_lines() -> None:
    failures = tuple(Failure(f"/x/{number}.png", "broken") for number in range(1000))
    lines = failure_lines(failures, shown=2)
    assert lines == [
        "could not be used: 0.png: broken",
        "could not be used: 1.png: broken",
        "and 998 more could not be used",
    ]
    assert failure_lines(()) == []
