"""Folds of groups: properties, and how labels and copies of images decide."""

import shutil
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset
from medseg_monai.folds.split import Member, draw_folds, fold_datasets, members_of

CLASSES = ("liver", "spleen", "lesion")

shares = st.dictionaries(st.sampled_from(CLASSES), st.floats(0.001, 0.3))
groups_of_cases = st.lists(st.lists(shares, min_size=1, max_size=6), min_size=8, max_size=40)


def members(groups: list[list[dict[str, float]]]) -> list[Member]:
    return [
        Member(f"{patient}_{number}", f"patient {patient}", classes)
        for patient, cases in enumerate(groups)
        for number, classes in enumerate(cases)
    ]


@given(groups=groups_of_cases, count=st.integers(2, 8), seed=st.integers(0, 3))
def test_no_group_is_divided_and_sizes_are_within_one_group(
    groups: list[list[dict[str, float]]], count: int, seed: int
) -> None:
    cases = members(groups)
    fold_of = draw_folds(cases, count, seed=seed)
    assert fold_of.keys() == {member.case for member in cases}
    folds = {group: {fold_of[m.case] for m in cases if m.group == group} for group in {m.group for m in cases}}
    assert all(len(where) == 1 for where in folds.values())
    sizes = [Counter(fold_of.values())[number] for number in range(count)]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= max(map(len, groups))


@given(shown=st.lists(st.sets(st.sampled_from(CLASSES)), min_size=12, max_size=60), count=st.integers(2, 5))
def test_classes_are_in_balance_where_every_group_is_one_case(shown: list[set[str]], count: int) -> None:
    cases = members([[dict.fromkeys(sorted(names), 0.1)] for names in shown])
    fold_of = draw_folds(cases, count)
    kinds = len({frozenset(names) for names in shown})
    for name in CLASSES:
        held = [sum(name in m.classes for m in cases if fold_of[m.case] == number) for number in range(count)]
        assert max(held) - min(held) <= kinds  # each kind of case is dealt out to within one


@given(many=st.integers(10, 60), few=st.integers(2, 20), count=st.integers(2, 5), seed=st.integers(0, 5))
def test_a_rare_class_is_dealt_out_to_within_one_case(many: int, few: int, count: int, seed: int) -> None:
    cases = members([[{"liver": 0.1}]] * many + [[{"liver": 0.1, "lesion": 0.01}]] * few)
    fold_of = draw_folds(cases, count, seed=seed)
    held = [sum("lesion" in m.classes for m in cases if fold_of[m.case] == number) for number in range(count)]
    assert max(held) - min(held) <= 1


def test_small_and_large_structures_are_dealt_out() -> None:
    cases = members([[{"lesion": share}] for share in np.linspace(0.01, 0.5, 50)])
    fold_of = draw_folds(cases, 5)
    means = [np.mean([m.classes["lesion"] for m in cases if fold_of[m.case] == number]) for number in range(5)]
    assert max(means) - min(means) < 0.05  # whole range: 0.49


@given(groups=groups_of_cases, order=st.randoms(use_true_random=False))
def test_the_order_of_the_cases_decides_nothing(groups: list[list[dict[str, float]]], order: object) -> None:
    cases = members(groups)
    mixed = list(cases)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    assert draw_folds(mixed, 4) == draw_folds(cases, 4)


def test_another_seed_deals_alike_groups_otherwise() -> None:
    cases = members([[{"lesion": 0.1}]] * 30)
    assert draw_folds(cases, 3, seed=0) != draw_folds(cases, 3, seed=1)


@pytest.mark.parametrize(
    ("groups", "count", "message"),
    [(3, 5, r"5 folds need at least 5 groups .*, and there are 3"), (3, 1, "at least 2 are needed, got 1")],
)
def test_what_cannot_be_folded_is_refused(groups: int, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_folds(members([[{}, {}]] * groups), count)


def test_labels_say_what_a_case_shows_and_copies_of_an_image_are_one_group(tmp_path: Path) -> None:
    spec = DatasetSpec("made", "multiclass", classes=("a", "b"), channels=("red", "green", "blue"), size=(32, 32))
    cases = []
    for number, value in enumerate([0, 1, 2, 1]):
        mask = np.zeros((20, 40), np.uint8)
        mask[:10, :20] = value
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (20, 40, 3), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
        Image.fromarray(mask).save(tmp_path / f"{number}_mask.png")
        cases.append({"image": f"{number}.png", "label": f"{number}_mask.png"})
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    cases.append({"image": "copy.png", "label": "1_mask.png"})
    dataset = Dataset(spec, tmp_path, training=tuple(cases[:3]), validation=tuple(cases[3:]))
    found = {member.case: member for member in members_of(dataset)}
    assert [dict(found[str(number)].classes) for number in range(4)] == [{}, {"a": 0.25}, {"b": 0.25}, {"a": 0.25}]
    assert found["copy"].group == found["0"].group
    assert len({member.group for member in found.values()}) == 4


def test_where_cases_say_what_they_show_no_label_is_read(tmp_path: Path) -> None:
    spec = DatasetSpec("made", "multiclass", classes=("a", "b"), channels=("grey",), size=(32, 32))
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    cases = tuple({"image": f"{n}.png", "label": "no.png", "present": ["b"] * (n % 2)} for n in range(3))
    found = members_of(Dataset(spec, tmp_path, training=cases))
    assert [dict(member.classes) for member in found] == [{}, {"b": 0.0}, {}]


def test_each_case_is_once_in_validation_and_the_test_split_stays(demo_data: Path) -> None:
    dataset = read_dataset(demo_data)
    fold_of = draw_folds(members_of(dataset), 3)
    parts = fold_datasets(dataset, fold_of, 3)
    ids = [[case["id"] for case in part.cases("validation")] for part in parts]
    pool = {case["id"] for split in ("training", "validation") for case in dataset.cases(split)}
    assert sorted(case for held_out in ids for case in held_out) == sorted(pool)
    for part, held_out in zip(parts, ids, strict=True):
        check_dataset(part)
        assert {case["id"] for case in part.cases("training")} == pool - set(held_out)
        assert part.cases("test") == dataset.cases("test")


def ones(*shown: str) -> list[list[dict[str, float]]]:
    """Groups of one case each, with the classes that its letters name."""
    return [[dict.fromkeys(letters, 0.01 if letters == "bc" else 0.2)] for letters in shown]


def test_the_rarer_class_decides_which_fold_a_group_comes_to() -> None:
    """After ab in fold 0 and ac in fold 1, bc goes where c is, for b (in 3 cases) is rarer than c (in 4)."""
    fold_of = draw_folds(members(ones("bc", "ab", "ac", "b", "c", "c")), 2)
    assert (fold_of["1_0"], fold_of["2_0"], fold_of["0_0"]) == (0, 1, 1)


def test_each_case_of_a_group_counts() -> None:
    """One case of b against a fold's one (5 in all) is less than two of c against a fold's one (7 in all)."""
    groups = [[{"a": 0.2, "b": 0.2}, {}], [{"a": 0.2, "c": 0.2}, {}], [{"b": 0.2, "c": 0.2}, {"c": 0.2}]]
    fold_of = draw_folds(members([*groups, *ones(*"bbbcccc")]), 2)
    assert [fold_of[f"{group}_0"] for group in range(3)] == [0, 1, 0]


QUARTER = np.zeros((20, 40), np.uint8)
QUARTER[:10, :20] = 1


def shown(tmp_path: Path, task: str, *masks: np.ndarray, classes: str = "ab", **more: object) -> dict[str, float]:
    """What a case's label files say of themselves, of a picture of 40 x 20 for a network of 32 x 32."""
    spec = DatasetSpec("made", task, classes=tuple(classes), channels=("grey",), size=(32, 32), **more)  # type: ignore[arg-type]
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 40), np.uint8)).save(tmp_path / "0.png")
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / f"{number}_mask.png")
    label = [f"{number}_mask.png" for number in range(len(masks))]
    case = {"image": "0.png", "label": label if len(label) > 1 else label[0]}
    [found] = members_of(Dataset(spec, tmp_path, training=(case,)))
    return dict(found.classes)


def test_a_label_is_read_as_a_label_and_not_as_a_picture(tmp_path: Path) -> None:
    assert shown(tmp_path, "binary", QUARTER * 255, classes="a") == {"a": 0.25}
    assert shown(tmp_path, "binary", QUARTER * 255 + 3 * (1 - QUARTER), classes="a", ignore=3) == {"a": 0.25}
    assert shown(tmp_path, "multiclass", QUARTER * 9, label_values={"a": 5, "b": 9}) == {"b": 0.25}
    assert shown(tmp_path, "multilabel", QUARTER * 7, QUARTER, ignore=7) == {"b": 0.25}


def test_volumes_say_what_they_show_too(tmp_path: Path) -> None:
    spec = DatasetSpec(
        "made", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(8, 8, 8), spacing_mm=(2, 2, 2)
    )
    label = np.zeros((6, 5, 4), np.uint8)
    label[:3, :, 0] = 2
    for name, voxels in (("x", label.astype(np.int16) * 100), ("y", label)):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{name}.nii.gz")
    dataset = Dataset(spec, tmp_path, training=({"image": "x.nii.gz", "label": "y.nii.gz"},))
    assert [dict(member.classes) for member in members_of(dataset)] == [{"b": 0.125}]


def test_as_many_folds_as_groups_leave_one_group_out_each() -> None:
    fold_of = draw_folds(members([[{}, {}], [{}], [{}]]), 3)
    assert sorted({fold_of[case] for case in ("0_0", "1_0", "2_0")}) == [0, 1, 2]
    assert fold_of["0_0"] == fold_of["0_1"]
