"""Splits that keep patients whole and are alike in what they show."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.prepare.pairs import Pair
from medseg_monai.prepare.patients import deal, dealt_splits, splits_by_table

ORGANS = ("bowel", "stomach")


def slices(group: str, *, bowel: int = 0, stomach: int = 0, empty: int = 0) -> list[Pair]:
    """So many slices of a patient with the one organ, the other, none."""
    present = [("bowel",)] * bowel + [("stomach",)] * stomach + [()] * empty
    return [
        Pair(Path(f"{group}_{i}.png"), (), id=f"{group}_{i}", group=group, present=p) for i, p in enumerate(present)
    ]


def test_an_even_dealing_that_one_can_see():
    """Two large patients and two small ones of each kind: each part takes one large and one small."""
    counts = {"A": [4, 0], "B": [4, 0], "a": [1, 0], "b": [1, 0], "C": [0, 4], "D": [0, 4], "c": [0, 1], "d": [0, 1]}
    part = deal(counts, [0.5, 0.5])
    for pair in ("AB", "ab", "CD", "cd"):
        assert part[pair[0]] != part[pair[1]], pair


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=2), min_size=3, max_size=12),
    st.integers(0, 5),
)
def test_every_group_has_a_part_and_no_part_is_empty(counts, seed):
    groups = {f"p{number}": count for number, count in enumerate(counts)}
    part = deal(groups, [0.7, 0.15, 0.15], seed=seed)
    assert part.keys() == groups.keys()
    assert set(part.values()) == {0, 1, 2}
    assert part == deal(dict(reversed(groups.items())), [0.7, 0.15, 0.15], seed=seed)


def test_fewer_groups_than_parts():
    with pytest.raises(ValueError, match="2 groups cannot make 3 parts"):
        deal({"a": [1], "b": [1]}, [0.5, 0.3, 0.2])


def many() -> list[Pair]:
    """Forty patients with 10 to 49 slices; a quarter has no stomach."""
    return [
        pair
        for number in range(40)
        for pair in slices(f"case{number}", bowel=5 + number // 2, stomach=(number % 4) * 4, empty=5 + number % 10)
    ]


def shares(pairs: list[Pair], key: str) -> dict[str, float]:
    counted = Counter(getattr(pair, key) for pair in pairs)
    return {name: count / len(pairs) for name, count in counted.items()}


def test_splits_are_alike_and_keep_patients_whole():
    pairs = dealt_splits(many(), ORGANS)
    with_stomach = [pair for pair in pairs if pair.present == ("stomach",)]
    empty = [pair for pair in pairs if pair.present == ()]
    for chosen in (pairs, with_stomach, empty):
        assert shares(chosen, "split")["test"] == pytest.approx(0.15, abs=0.02)
        assert shares(chosen, "split")["validation"] == pytest.approx(0.17, abs=0.02)
    where = {(pair.group, pair.split, pair.fold) for pair in pairs}
    assert len(where) == 40
    assert {fold for _, split, fold in where if split == "test"} == {None}
    assert {fold for _, split, fold in where if split == "validation"} == {0}
    assert {fold for _, split, fold in where if split == "training"} == {1, 2, 3, 4}


def test_another_fold_validates_on_others_and_tests_on_the_same():
    by_fold = [dealt_splits(many(), ORGANS, fold=fold) for fold in range(5)]
    groups = [
        {split: {p.group for p in pairs if p.split == split} for split in ("validation", "test")} for pairs in by_fold
    ]
    assert all(found["test"] == groups[0]["test"] for found in groups)
    validated = [group for found in groups for group in found["validation"]]
    assert len(validated) == len(set(validated)) == 40 - len(groups[0]["test"])


def test_the_seed_decides():
    first, again, other = (dealt_splits(many(), ORGANS, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("count", [3, 4])
def test_few_patients_still_make_three_splits(count):
    pairs = dealt_splits([pair for name in "abcd"[:count] for pair in slices(name, bowel=3, empty=3)], ORGANS)
    assert {pair.split for pair in pairs} == {"training", "validation", "test"}


@pytest.mark.parametrize(
    ("count", "fold", "message"),
    [(2, 0, "2 cases cannot make three splits; name the splits in a CSV"), (9, 5, "fold: must be 0 to 4, got 5")],
)
def test_what_cannot_be_dealt(count, fold, message):
    pairs = [pair for name in "abcdefghi"[:count] for pair in slices(name, bowel=2)]
    with pytest.raises(ValueError, match=message):
        dealt_splits(pairs, ORGANS, fold=fold)


def test_a_table_may_name_slices_scans_and_patients(tmp_path):
    scans = ("case1_day0_slice_0001", "case1_day0_slice_0002", "case1_day5_slice_0001")
    ids = (*scans, "case2_day0_slice_0001", "case3_day0_slice_0001")
    pairs = [Pair(Path(f"{name}.png"), (), id=name, group=name.split("_")[0]) for name in ids]
    table = tmp_path / "splits.csv"
    table.write_text(
        "image_id,split\ncase1_day0,test\ncase1,training\ncase2,validation\ncase1_day0_slice_0002,training\n"
    )
    named, gone = splits_by_table(pairs, table)
    assert [pair.split for pair in named] == ["test", "training", "training", "validation"]
    assert gone == [(Path("case3_day0_slice_0001.png"), "not named in splits.csv")]
    table.write_text("image_id,split\nx,test\n")
    with pytest.raises(
        ValueError, match=r"names none of the slices, scans or cases here \(cases: case1, case2, case3\)"
    ):
        splits_by_table(pairs, table)


@pytest.mark.parametrize("seed", range(8))
def test_what_one_group_alone_shows_goes_to_the_largest_part(seed):
    """A class that a single slice shows: its squared distance from the shares is least in the part of 70 %."""
    counts = {f"p{number}": [1, int(number == 0)] for number in range(12)}
    assert deal(counts, [0.15, 0.7, 0.15], seed=seed)["p0"] == 1
