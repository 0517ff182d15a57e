"""The fragment that a notebook shows: escaped, with its pictures inside, and never endless."""

from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures.cases import CaseView, new_figure
from medseg_monai.report.notebook import MOST_ROWS, Shown, Table, card, case_uri, facts_of_spec, figure_uri, file_uri

HOSTILE = '"><script>alert(1)</script>'


def page_of(text: str, folder: Path) -> Page:
    (folder / "page.html").write_text(text, encoding="utf-8")
    return Page(folder / "page.html")


def test_every_text_is_text(tmp_path: Path) -> None:
    shown = Shown("data:image/png;base64,AAAA", HOSTILE, alarm=HOSTILE)
    table = Table([HOSTILE], [[HOSTILE]], title=HOSTILE)
    text = card(
        HOSTILE, subtitle=HOSTILE, alarms=[HOSTILE], facts={"a": HOSTILE}, pictures=[shown], tables=[table], notes=[HOSTILE]
    )  # fmt: skip
    page = page_of(text, tmp_path)
    assert page.all("script") == []
    assert page.text.count(HOSTILE) == 10
    assert [image["alt"] for image in page.all("img")] == [HOSTILE]
    assert page.links == ["data:image/png;base64,AAAA"]


def test_a_long_table_is_cut_and_an_empty_one_left_out(tmp_path: Path) -> None:
    rows = [[f"row {number}", number] for number in range(MOST_ROWS + 5)]
    page = page_of(card("t", tables=[Table(["", "n"], rows), Table(["nothing"], [])]), tmp_path)
    assert "and 5 more" in page.text
    assert f"row {MOST_ROWS}" not in page.text
    assert "nothing" not in page.text


def test_names_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    assert "caf\\xe9" in page_of(card("caf\udce9"), tmp_path).text


@pytest.mark.parametrize("wide", [False, True])
def test_pictures_become_data(wide: bool, tmp_path: Path) -> None:
    Image.new("RGB", (3000 if wide else 300, 100)).save(tmp_path / "p.png")
    assert file_uri(tmp_path / "p.png", widest=400).startswith("data:image/jpeg;base64,")
    assert len(file_uri(tmp_path / "p.png", widest=400)) < 4000
    assert figure_uri(new_figure(1, 1)).startswith("data:image/png;base64,")
    view = CaseView(np.zeros((1, 8, 6)), np.ones((1, 8, 6)), np.ones((int(wide), 8, 6)))
    assert case_uri(view, longest=64).startswith("data:image/jpeg;base64,")


def test_a_spec_in_words() -> None:
    spec = DatasetSpec(
        "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 9, 7), spacing_mm=(1, 1, 2.5)
    )
    assert facts_of_spec(spec)["spacing"] == "1 x 1 x 2.5 mm"
    assert facts_of_spec(spec)["size"] == "8x9x7"
