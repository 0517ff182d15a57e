"""Strata of made-up cases: who is in which, what is averaged, and that the worst is the one that was made worst."""

import numpy as np
import pytest
from evaluations import scores_of
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.evaluation.intervals import LEAST_CASES, mean_interval
from medseg_monai.evaluation.strata import read_strata, strata_lines, stratify, worst, worst_in_words, write_strata


def row(number, dice, *, size=5.0, contrast=np.nan, border="inside", name="lesion", pixels=10):
    return scores_of(
        f"c{number}", name, dice=dice, jaccard=dice / (2 - dice), surface_dice=dice**2, truth_size=size, contrast=contrast,
        border=border, truth_pixels=pixels,
    )  # fmt: skip


def table(strata):
    return {(one.class_name, one.attribute, one.name): one for one in strata}


def by_name(strata, attribute):
    return [(one.name, one.cases) for one in strata if one.attribute == attribute]


def test_thirds_by_size_with_their_limits():
    scores = [row(i, 0.5 + i / 40, size=i + 1) for i in range(18)]
    strata = stratify(scores, size_unit="ml")
    assert by_name(strata, "size") == [
        ("small (up to 6.67 ml)", 6), ("medium (6.67 to 12.3 ml)", 6), ("large (above 12.3 ml)", 6),
    ]  # fmt: skip
    small = strata[0]
    assert small.scores["dice"].mean == pytest.approx(np.mean([0.5 + i / 40 for i in range(6)]))
    assert small.scores["surface_dice"].mean == pytest.approx(np.mean([(0.5 + i / 40) ** 2 for i in range(6)]))
    assert small.others == pytest.approx(np.mean([0.5 + i / 40 for i in range(6, 18)]))
    low, high = mean_interval([0.5 + i / 40 for i in range(6)], seed=0, n_bootstrap=2000, least=0, most=1)
    assert (small.score.low, small.score.high) == (pytest.approx(low), pytest.approx(high))


def test_few_cases_are_halved_and_fewer_are_not_divided():
    assert [
        cases for _, cases in by_name(stratify([row(i, 0.8, size=i) for i in range(11)], size_unit="ml"), "size")
    ] == [6, 5]
    assert stratify([row(i, 0.8, size=i) for i in range(9)], size_unit="ml") == []
    assert stratify([row(i, 0.8) for i in range(30)], size_unit="ml") == []  # all of one size, inside, without contrast


def test_border_and_contrast_of_the_cases_that_have_the_structure():
    scores = [row(i, 0.9, contrast=i, border="touches" if i % 3 == 0 else "inside") for i in range(12)]
    scores += [row(i, 0.0, size=0, border="", pixels=0) for i in range(12, 20)]
    strata = stratify(scores, size_unit="ml")
    assert by_name(strata, "border") == [("inside", 8), ("touches", 4)]
    assert by_name(strata, "contrast") == [("lower half (up to 5.5 SD)", 6), ("upper half (above 5.5 SD)", 6)]
    assert not by_name(strata, "size")  # all equal, and absent structures have none
    assert all(one.score.mean == pytest.approx(0.9) for one in strata)


def test_columns_divide_cases_by_the_mean_over_classes():
    scores = [row(i, dice, name=name) for i in range(12) for name, dice in (("a", 0.8), ("b", 0.4 if i < 6 else 0.6))]
    columns = {f"c{i}": {"centre": "Graz" if i < 6 else "Wien", "age": str(20 + i)} for i in range(12)}
    found = table(stratify(scores, columns, size_unit="ml"))
    assert found["all classes", "centre", "Graz"].score.mean == pytest.approx(0.6)
    assert found["all classes", "centre", "Wien"].score.mean == pytest.approx(0.7)
    assert found["all classes", "age", "lower half (up to 25.5)"].cases == 6  # numbers are ranges, if they are many


def test_organs_are_strata_in_the_cases_that_have_them():
    scores = [row(i, dice, name=name) for i in range(6) for name, dice in (("liver", 0.9), ("spleen", 0.7))]
    scores += [scores_of("c9", "liver", dice=1.0, outcome="absent"), row(9, 0.5, name="spleen")]
    found = table(stratify(scores, size_unit="ml"))
    assert found["all classes", "class", "liver"].cases == 6
    assert found["all classes", "class", "liver"].score.mean == pytest.approx(0.9)
    spleen = found["all classes", "class", "spleen"]
    assert (spleen.cases, spleen.score.mean, spleen.others) == (7, pytest.approx(4.7 / 7), pytest.approx(0.9))


def test_values_that_are_missing_and_values_that_are_many():
    scores = [row(i, 0.8) for i in range(40)]
    columns = {f"c{i}": {"reader": f"r{i % 20:02d}", "scanner": "" if i < 10 else ("A", "B")[i % 2]} for i in range(39)}
    strata = stratify(scores, columns, size_unit="ml")
    readers = by_name(strata, "reader")
    assert len(readers) == 12
    assert readers[-1][0] == "9 others"
    assert sum(cases for _, cases in readers) == 39
    assert by_name(strata, "scanner") == [("A", 15), ("B", 14)]


@pytest.mark.parametrize(("values", "others"), [(12, None), (13, "2 others")])
def test_twelve_values_have_a_stratum_each(values, others):
    columns = {f"c{i}": {"reader": f"r{i % values:02d}"} for i in range(39)}
    names = [name for name, _ in by_name(stratify([row(i, 0.8) for i in range(39)], columns, size_unit="ml"), "reader")]
    assert len(names) == 12
    assert names[-1] == (others or "r11")


def test_the_worst_is_named_with_the_chance_of_it():
    generator = np.random.default_rng(0)
    scores = [
        row(i, float(generator.normal(0.9 - 0.2 * (i < 12), 0.02)), border="touches" if i < 12 else "inside")
        for i in range(60)
    ]
    strata = stratify(scores, {f"c{i}": {"coin": "ab"[i % 2]} for i in range(60)}, size_unit="ml")
    found = worst(strata)
    assert (found.attribute, found.name, found.cases) == ("border", "touches", 12)
    assert found.p == pytest.approx(4 / 10_001)  # of 10,000 draws none was as extreme; 4 strata
    assert [one for one in strata if not np.isnan(one.p)] == [found]
    assert "Worst: border: touches, Dice 0.7" in worst_in_words(strata)
    assert "beyond chance" in worst_in_words(strata)
    assert worst_in_words(strata) in strata_lines(strata)


def test_strata_of_nothing_but_chance_are_said_to_be_that():
    generator = np.random.default_rng(1)
    scores = [row(i, float(generator.normal(0.8, 0.05)), border=("touches", "inside")[i % 2]) for i in range(40)]
    assert "within what chance gives" in worst_in_words(stratify(scores, size_unit="ml"))


def test_too_few_cases_are_never_the_worst():
    scores = [row(i, 0.1 if i < 4 else 0.9, border="touches" if i < 4 else "inside") for i in range(20)]
    assert worst(stratify(scores, size_unit="ml")).name == "inside"
    assert worst([]) is None
    assert worst_in_words([]) == ""
    assert strata_lines([]) == []


@given(st.lists(st.floats(0, 1, width=16), min_size=10, max_size=40), st.integers(1, 5))
def test_every_case_is_in_one_stratum_of_an_attribute(dices, kinds):
    scores = [row(i, dice, size=dice * 3) for i, dice in enumerate(dices)]
    strata = stratify(scores, {f"c{i}": {"kind": f"k{i % kinds}"} for i in range(len(dices))}, size_unit="ml")
    for attribute in {one.attribute for one in strata}:
        parts = [one for one in strata if one.attribute == attribute]
        assert sum(one.cases for one in parts) == len(dices)
        assert sum(one.cases * one.score.mean for one in parts) == pytest.approx(sum(dices))
    assert all(np.isnan(one.score.low) == (one.cases < LEAST_CASES) for one in strata)


def test_the_table_is_read_back(tmp_path):
    scores = [row(i, 0.5 + i / 40, size=i + 1, border=("touches", "inside")[i < 15]) for i in range(18)]
    strata = stratify(
        scores, {f"c{i}": {"=cmd": "+x" if i % 2 else "y, z"} for i in range(18)}, size_unit="% of the image"
    )
    write_strata(tmp_path, strata)
    assert str(read_strata(tmp_path)) == str(strata)
    assert read_strata(tmp_path / "nowhere") == []
    (tmp_path / "strata.csv").write_text("class_name,attribute\na,b\n")
    with pytest.raises(ValueError, match="not a table of strata"):
        read_strata(tmp_path)
