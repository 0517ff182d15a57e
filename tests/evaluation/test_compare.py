"""Comparisons of evaluations made by hand."""

import csv

import numpy as np
import pytest
from evaluations import scores_of

from medseg_monai.evaluation.compare import compare, write_comparison
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation


def rows(dice, *, truth_pixels=50, classes=("lesion",)):
    return [
        scores_of(f"c{i}", name, dice=d, jaccard=d / (2 - d), hd95=10 * (1 - d), truth_pixels=truth_pixels)
        for i, d in enumerate(dice)
        for name in classes
    ]


@pytest.fixture
def evaluate(tmp_path):
    def write(name, scores, **run):
        run = {"bundle": name, **run}
        return write_evaluation(
            tmp_path / f"eval_{name}_{len(list(tmp_path.iterdir()))}", scores, summarise(scores), run=run
        )

    return write


@pytest.fixture
def three(evaluate):
    better = evaluate(
        "unetpp", rows([0.9, 0.8, 0.7, 0.6, 0.5]), parameters=9_160_000, train_seconds=90, inference_ms_per_image=12.5
    )
    worse = evaluate("unet", rows([0.6, 0.5, 0.4, 0.3, 0.2])[::-1], parameters=31_040_000)
    between = evaluate("pspnet", rows([0.9, 0.8, 0.7, 0.5, 0.5]))
    return [worse, better, between]


def test_best_mean_comes_first_and_pairs_are_tested(three):
    comparison = compare(three)
    assert [entry.name for entry in comparison.entries] == ["unetpp", "pspnet", "unet"]
    assert [(test.first, test.second) for test in comparison.tests] == [
        ("unetpp", "pspnet"),
        ("unetpp", "unet"),
        ("pspnet", "unet"),
    ]
    # Differences: 0, 0, 0, 0.1, 0: every choice of signs is as extreme. 0.3 five times: 2 of 32. All positive: 2 of 32.
    assert [test.p for test in comparison.tests] == [1.0, 2 / 32, 2 / 32]
    assert [test.p_holm for test in comparison.tests] == [1.0, 6 / 32, 6 / 32]


def test_cases_are_paired_by_id_not_by_row(three):
    difference = compare(three).tests[1].difference  # one of the two was written in reverse
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.3, 0.3, 0.3))


def test_smaller_distance_is_better(three):
    assert [entry.name for entry in compare(three, metric="hd95").entries] == ["unetpp", "pspnet", "unet"]


def test_classes_are_averaged_within_a_case(evaluate):
    a = rows([0.5, 0.7]) + rows([0.9, 0.9], classes=("hair",))
    b = rows([0.1, 0.1]) + rows([0.2, 0.2], classes=("hair",))
    comparison = compare([evaluate("a", a), evaluate("b", b)])
    assert comparison.entries[0].values == pytest.approx([0.7, 0.8])
    assert comparison.entries[1].values == pytest.approx([0.15, 0.15])


def test_files(three, tmp_path):
    out = tmp_path / "comparison"
    files = write_comparison(out, compare(three))
    names = ["comparison.csv", "comparison.md", "comparison.png", "comparison_pairs.csv"]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in files) == names
    text = (out / "comparison.md").read_text()
    assert "# 3 networks on the same 5 cases" in text
    assert "| 9.16 M | 1.50 min | 12.50 ms |" in text
    assert "| 31.04 M | – | – |" in text
    assert "| unetpp | unet | 0.300 (0.300 to 0.300) | 0.0625 | 0.1875 |" in text
    with (out / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == ["unetpp", "pspnet", "unet"]
    assert float(table[0]["dice"]) == pytest.approx(0.7)
    assert (table[0]["parameters"], table[1]["parameters"]) == ("9160000.0", "")
    with (out / "comparison_pairs.csv").open(newline="") as file:
        assert [float(row["p_holm"]) for row in csv.DictReader(file)] == [1.0, 0.1875, 0.1875]


def test_same_bundle_twice_is_told_apart_by_folder(evaluate):
    folders = [evaluate("unet", rows([0.5, 0.6])), evaluate("unet", rows([0.4, 0.6]))]
    assert [entry.name for entry in compare(folders).entries] == [f"unet ({folder})" for folder in folders]


def test_equal_networks_do_not_differ(evaluate):
    dice = np.random.default_rng(0).random(30)
    (test,) = compare([evaluate("a", rows(dice)), evaluate("b", rows(dice))]).tests
    assert test.p == 1.0


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (rows([0.5]), "not of the same cases: 1 scores are in only one of them, first: case 'c1', class 'lesion'"),
        (rows([0.5, 0.5], classes=("hair",)), "not of the same cases: 4 scores"),
        (rows([0.5, 0.5], truth_pixels=49), "different true masks: 2 differ in size, first: case 'c0'"),
    ],
)
def test_evaluations_that_are_no_pairs_are_named(evaluate, other, message):
    with pytest.raises(ValueError, match=message):
        compare([evaluate("a", rows([0.5, 0.5])), evaluate("b", other)])


def test_intervals_depend_on_the_seed_alone_which_is_0_unless_given(evaluate):
    rng = np.random.default_rng(0)
    folders = [evaluate(name, rows(rng.random(15))) for name in "ab"]
    found, *seeded = (compare(folders, **more).tests for more in ({}, {"seed": 0}, {"seed": 1}))
    assert found == seeded[0] != seeded[1]


def test_bad_arguments_are_named(three, tmp_path):
    with pytest.raises(ValueError, match="two or more different"):
        compare(three[:1])
    with pytest.raises(ValueError, match="two or more different"):
        compare([three[0], three[0]])
    with pytest.raises(ValueError, match="metric must be one of dice, .*, not 'iou'"):
        compare(three, metric="iou")
    with pytest.raises(FileNotFoundError, match="no finished evaluation"):
        compare([three[0], tmp_path])
