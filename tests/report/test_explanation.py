"""The HTML report of explanations: panels, checks and maps, as text, within 20 MB."""

import pytest
from explanations import write_made_up_explanations
from html_page import Page

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.inference.cases import FAILURES_FILE
from medseg_monai.report import explanation as explanation_report
from medseg_monai.report.explanation import write_explanation_report

SPEC = DatasetSpec("demo", "binary", classes=("lesion",), channels=("grey",), size=(32, 24), licence="CC-BY <4.0>")
NAMES = ("<b>bold</b>", "folder/photo 2", 'q"uote')


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = write_made_up_explanations(tmp_path_factory.mktemp("explanations"), NAMES)
    trained = Trained(SPEC, {"_target_": "medseg_monai.networks.UNet"}, "unet<i>")
    return Page(write_explanation_report(folder, trained=trained, run={"weights": "a/model.pt"}))


def test_panels_and_maps_of_every_case(page):
    assert "4 maps of 3 images" in page.text
    assert "from 0 (least) to 1 (most) of this map" in page.text  # heat is the map between its extremes, not from none
    assert [picture["alt"].split(":")[0] for picture in page.all("img")[1:]] == list(NAMES)
    assert "folder/photo 2 lesion cam last_stage predicted 2.500 0.250" in page.text
    assert "lesion, cam: lesion is not predicted here" in page.text


def test_checks_are_means_over_cases(page):
    assert "CAM at last_stage deletion – 0.300 0.550 2" in page.text
    assert "CAM at last_stage ssim heads 0.100 – 1" in page.text


def test_names_and_facts_are_text(page):
    for text in ("What unet<i> looks at", "<b>bold</b>", "licence CC-BY <4.0>", "weights a/model.pt"):
        assert text in page.text
    assert not page.all("b")
    assert not page.all("i")
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids


def test_without_checks_and_facts(tmp_path):
    write_made_up_explanations(tmp_path, ["a"], checks=False)
    (tmp_path / FAILURES_FILE).write_text("path,reason\nx.jpg,cannot be read\n")
    page = Page(write_explanation_report(tmp_path))
    assert "What the network looks at" in page.text
    assert "Can the maps be trusted?" not in page.text
    assert "x.jpg cannot be read" in page.text


def test_the_model_card_is_linked_where_it_is_there(tmp_path):
    folder = write_made_up_explanations(tmp_path / "out", ["a"])
    card = tmp_path / "a b" / "README.md"
    assert "Model card" not in Page(write_explanation_report(folder, model_card=card)).text
    card.parent.mkdir()
    card.write_text("# A card")
    page = Page(write_explanation_report(folder, model_card=card))
    assert "../a%20b/README.md" in page.links
    assert "Model card" in page.text


def test_panels_beyond_the_limit_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(explanation_report, "MOST_PANEL_BYTES", 150_000)
    page = Page(write_explanation_report(write_made_up_explanations(tmp_path, [f"case{i}" for i in range(9)])))
    shown = len(page.all("img")) - 1
    assert 0 < shown < 9
    assert f"{9 - shown} further panels are in the folder" in page.text
    assert (tmp_path / "report.html").stat().st_size < 400_000


def test_panel_outside_the_folder_is_not_read(tmp_path):
    folder = tmp_path / "explanations"
    folder.mkdir()
    write_made_up_explanations(folder, ["../secret"])
    page = Page(write_explanation_report(folder))
    assert len(page.all("img")) == 1  # the plot of the checks


@pytest.mark.parametrize(
    ("content", "wanted"), [(None, "contains no explanations"), ("case\na\n", "is not a table of explanations")]
)
def test_no_explanations_are_named(tmp_path, content, wanted):
    if content:
        (tmp_path / "explanations.csv").write_text(content)
    with pytest.raises((FileNotFoundError, ValueError), match=wanted):
        write_explanation_report(tmp_path)
