"""The HTML report: everything is in it, as text, and nothing but itself is needed."""

import shutil

import numpy as np
import pytest
from evaluations import HOSTILE, write_made_up
from html_page import Page

from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.tables import read_evaluation
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.inference.cases import FAILURES_FILE
from medseg_monai.report.evaluation import write_evaluation_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_made_up(tmp_path_factory.mktemp("evaluation"), names=[*HOSTILE, *map("case_{:02d}".format, range(30))])


@pytest.fixture(scope="module")
def page(folder):
    return Page(write_evaluation_report(folder))


def test_headline_scores_stand_with_their_intervals(page, folder):
    dice = read_evaluation(folder).summary.overall.scores["dice"]
    assert f"Dice {dice.mean:.3f} {dice.low:.3f}–{dice.high:.3f}" in page.text
    assert "Research software, not a medical device. Not for diagnosis." in page.text


def test_facts_of_run_data_and_software_are_named(page):
    for fact in (
        "licence CC-0",
        "citation Nobody 2024",
        "parameters 9,160,000",
        "best epoch 31",
        "torch 2.8.0",
        "test: 600",
    ):
        assert fact in page.text


def test_every_case_and_class_has_its_row(page, folder):
    scores = read_evaluation(folder).scores
    assert len(scores) == 33 * 2
    for score in scores:
        row = f"{score.case} {score.class_name} {score.outcome} {score.dice:.3f} {score.jaccard:.3f} {score.hd95:.1f}"
        assert row in page.text


def test_hostile_names_are_text(page):
    for name in HOSTILE:
        assert name in page.text
    assert len(page.all("script")) == 1
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "7 * 7" in page.text  # a template's expression in a name is not an expression


def test_hostile_classes_runs_and_reasons_are_text(tmp_path):
    write_made_up(tmp_path, cases=3, classes=("<b>a</b>", '"onclick="alert(1)'))
    (tmp_path / FAILURES_FILE).write_text('path,reason\n"<i>x</i>.jpg","<script>no</script>"\n')
    page = Page(write_evaluation_report(tmp_path))
    for text in ("<b>a</b>", '"onclick="alert(1)', "<i>x</i>.jpg", "<script>no</script>", "1 case could not be used"):
        assert text in page.text
    assert not page.all("b")
    assert not page.all("i")
    assert len(page.all("script")) == 1
    assert not any("onclick" in attributes for _, attributes in page.elements)


def test_page_needs_nothing_else_and_allows_nothing_else(page):
    assert {link.split(",")[0] for link in page.links if not link.startswith("#")} == {
        "data:image/jpeg;base64",
        "data:",
    }
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.elements if "style" in attributes]  # the policy would refuse them


def test_links_inside_the_page_lead_somewhere(page):
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert inside
    assert set(inside) <= page.ids


def test_failures_come_first_and_pictures_have_words(page):
    headings = [
        text.strip()
        for text in page.texts
        if text.strip() in {"Missed or spurious", "Lowest Dice", "Around the median", "Highest Dice"}
    ]
    assert headings == ["Missed or spurious", "Lowest Dice", "Around the median", "Highest Dice"]
    pictures = page.all("img")
    assert len(pictures) % 3 == 0
    assert len(pictures) >= 60
    assert all(picture["alt"] for picture in pictures)


def test_headings_say_how_the_table_is_sorted(page):
    sorting = [attributes["aria-sort"] for attributes in page.all("th") if "aria-sort" in attributes]
    assert sorting == ["none"] * 3 + ["ascending"] + ["none"] * 11


def test_one_class_has_no_table_of_overlaps_and_no_choice_of_class(tmp_path):
    page = Page(write_evaluation_report(write_made_up(tmp_path, cases=5, classes=("lesion",))))
    assert "Predicted classes at the pixels" not in page.text
    assert [attributes.get("data-column") for attributes in page.all("select")] == ["2"]
    assert "all classes" not in page.text


def test_report_without_pictures_says_how_to_get_them(tmp_path):
    page = Page(write_evaluation_report(write_made_up(tmp_path, cases=4, pictures=False)))
    assert "No pictures were kept" in page.text
    assert not page.all("img")


def test_a_single_case_has_a_report(tmp_path):
    page = Page(write_evaluation_report(write_made_up(tmp_path, cases=1)))
    assert "1 test case," in page.text
    assert "case_0000" in page.text


def test_unfinished_evaluation_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="contains no finished evaluation"):
        write_evaluation_report(tmp_path)


@pytest.mark.slow
def test_600_cases_stay_below_20_megabytes(tmp_path):
    classes = [f"organ {number}" for number in range(6)]
    report = write_evaluation_report(write_made_up(tmp_path, cases=600, classes=classes, size=(300, 250)))
    assert report.stat().st_size < 20e6
    rows = sum('class="outcome' in line for line in report.read_text().splitlines())
    assert rows == 3600


def test_evaluate_writes_a_report_of_real_scores(medseg, demo_data, trained, tmp_path):
    assert "report: " not in medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path).out
    assert not (tmp_path / "report.html").exists()
    cases = read_dataset(demo_data).cases("test")
    table = tmp_path / "centres.csv"
    table.write_text(csv_text([["image_id", "centre"], *((case["id"], f"C{n % 2}") for n, case in enumerate(cases))]))
    for person in ("ann", "ben"):
        for case in cases:
            (tmp_path / "people" / person).mkdir(parents=True, exist_ok=True)
            shutil.copy(case["label"], tmp_path / "people" / person)
    more = ("--strata", table, "--annotators", tmp_path / "people")
    ended = medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path, "--report", *more)
    assert f"look: {tmp_path / 'report.html'}" in ended.out.splitlines()[-1]
    page = Page(tmp_path / "report.html")
    evaluation = read_evaluation(tmp_path)
    # so few cases that each is shown, and the calibration plot
    assert len(page.all("img")) == 3 * evaluation.summary.n_cases + 1
    assert "licence Apache-2.0" in page.text
    assert "centre: C0" in page.text
    jaccard = np.mean([score.jaccard for score in evaluation.scores])
    assert f"(Jaccard {jaccard:.3f} to them, 1.000 among them" in page.text
    assert "## Several annotators" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    (card,) = [link for link in page.links if link.endswith("README.md")]
    assert (tmp_path / card).read_text(encoding="utf-8").startswith("#")
    assert all(np.isfinite([s.ece, s.brier, s.contrast, s.lesion_f1]).all() for s in evaluation.scores)
    assert "Lesions are connected parts; pairs with an IoU above 0.5 match, one to one." in page.text
    dice = float(np.mean([score.dice for score in evaluation.scores]))
    assert f"Dice {dice:.3f}" in page.text


def test_an_evaluation_leaves_nothing_of_an_earlier_one(medseg, demo_data, trained, tmp_path):
    write_made_up(tmp_path, cases=3)  # of two classes, with pictures
    assert medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path).code == 0
    page = Page(write_evaluation_report(tmp_path))
    assert "No pictures were kept" in page.text
    assert "stomach" not in page.text
    assert not (tmp_path / "overlap.csv").exists()
