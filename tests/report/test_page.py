"""Pages that are one file: nothing is fetched, text is text, links lead to files that exist."""

import base64
from pathlib import Path

import pytest

from medseg_monai.files.csv_tables import csv_text
from medseg_monai.report import page
from medseg_monai.report.page import data_uri, left_out, link_to, page_facts, software


def test_a_picture_becomes_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(b"content")
    assert data_uri(tmp_path / "a.PNG") == f"data:image/png;base64,{base64.b64encode(b'content').decode()}"
    assert data_uri(tmp_path / "absent.jpg", b"x").startswith("data:image/jpeg;base64,")
    with pytest.raises(ValueError, match="must be PNG or JPEG"):
        data_uri(tmp_path / "a.svg")


def test_links_are_relative_and_escaped_and_lead_to_files_that_exist(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    file = tmp_path / "a #1?.png"
    file.touch()
    assert link_to(file, tmp_path / "masks") == "../a%20%231%3F.png"
    assert link_to(tmp_path / "nothing.png", tmp_path) is None
    assert link_to("", tmp_path) is link_to(None, tmp_path) is None


def test_footer_and_versions_name_what_was_used() -> None:
    assert page_facts().keys() == {"version", "written"}
    assert page_facts()["written"].endswith(" UTC")
    assert software().keys() == {"medseg-monai", "monai", "torch", "numpy", "python"}


def test_a_page_too_large_for_browsers_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_BYTES", 100)
    monkeypatch.setattr(page, "environment", _Fixed)
    with pytest.raises(ValueError, match=r"would have 0\.0 MB, but browsers handle at most"):
        page.write_page(tmp_path / "x.html", "any")
    assert not (tmp_path / "x.html").exists()


class _Fixed:
    """An environment of one template that is too long."""

    def get_template(self, name: str) -> "_Fixed":
        return self

    def render(self, **content: object) -> str:
        return "x" * 101


def test_what_could_not_be_used_is_read_from_the_runs_list(tmp_path: Path) -> None:
    assert left_out(tmp_path) == []
    rows = [("path", "reason"), ("a, b.png", 'it is "torn"')]
    (tmp_path / "failures.csv").write_text(csv_text(rows))
    assert left_out(tmp_path) == [("a, b.png", 'it is "torn"')]
