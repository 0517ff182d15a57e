"""What a report shows of strata and annotators."""

import math

import numpy as np
import pytest
from evaluations import scores_of, write_made_up
from html_page import Page

from medseg_monai.evaluation.agreement import PairJaccard
from medseg_monai.evaluation.strata import stratify, worst_in_words, write_strata
from medseg_monai.evaluation.summary import Estimate
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.report.evaluation import write_evaluation_report
from medseg_monai.report.strata import Axis, strata_content


def strata(classes=("lesion",)):
    generator = np.random.default_rng(0)
    scores = [
        scores_of(
            f"c{i}", name, dice=float(generator.uniform(0.4, 0.9)), border=("inside", "touches")[i % 2], truth_size=i
        )
        for i in range(30)
        for name in classes
    ]
    return stratify(scores, {f"c{i}": {"<b>site</b>": f"<i>{i % 2}</i>"} for i in range(30)}, size_unit="ml")


def test_an_axis_is_shared_and_a_mean_without_an_interval_is_a_point():
    axis = Axis.around([Estimate(0.82, 0.71, 0.9), Estimate(0.5, math.nan, math.nan)])
    assert (axis.start, axis.end) == (0.5, 0.9)
    dot = axis.dot(Estimate(0.7, 0.5, 0.9))
    assert (dot.low, dot.mean, dot.high, dot.text) == (8, 100, 192, "0.700 (0.500 to 0.900)")
    alone = axis.dot(Estimate(0.7, math.nan, math.nan))
    assert (alone.low, alone.mean, alone.high) == (100, 100, 100)
    same = Axis.around([Estimate(1.0, 1.0, 1.0)])
    assert same.end > same.start


@pytest.mark.parametrize("classes", [("lesion",), ("a", "b")])
def test_a_page_has_the_strata_with_the_worst_marked_and_names_as_text(tmp_path, classes):
    write_made_up(tmp_path, cases=3)
    found = strata(classes)
    write_strata(tmp_path, found)
    page = Page(write_evaluation_report(tmp_path))
    assert worst_in_words(found) in page.text
    assert len(page.all("svg")) >= len(found)
    assert sum(attributes.get("class") == "worst" for attributes in page.all("tr")) == 1
    assert "<b>site</b>: <i>0</i>" in page.text
    assert not page.all("i")
    assert not [attributes for _, attributes in page.elements if "style" in attributes]
    assert strata_content(tmp_path)["several"] == (len(classes) > 1)


def test_a_page_has_the_annotators(tmp_path):
    write_made_up(tmp_path, cases=3)
    rows = [
        PairJaccard(str(case), "lesion", one, other, value + case / 100)
        for case in range(8)
        for one, other, value in (("network", "ann", 0.5), ("network", "<u>ben</u>", 0.6), ("ann", "<u>ben</u>", 0.9))
    ]
    names = ("case", "class_name", "one", "other", "jaccard")
    table = csv_text([names, *([getattr(row, name) for name in names] for row in rows)])
    (tmp_path / "agreement.csv").write_text(table)
    page = Page(write_evaluation_report(tmp_path))
    assert "the network agrees with the annotators less than they do with each other" in page.text
    assert "<u>ben</u>" in page.text
    assert not page.all("u")


def test_without_them_a_page_has_no_sections_of_them(tmp_path):
    page = Page(write_evaluation_report(write_made_up(tmp_path, cases=3)))
    assert not {"strata", "annotators"} & page.ids
