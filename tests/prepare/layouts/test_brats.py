"""BraTS: the names of all years."""

from pathlib import Path

import pytest
from raw_folders import labels, paired, read, reasons, volumes

from medseg_monai.prepare.layouts.brats import tumour_classes


@pytest.mark.parametrize(
    ("case", "words", "label"),
    [
        ("HGG/Brats18_2013_2_1", ("_t1", "_t1ce", "_t2", "_flair"), "_seg"),
        ("MICCAI_BraTS2020_TrainingData/BraTS20_Training_001", ("_t1", "_t1ce", "_t2", "_flair"), "_seg"),
        ("BraTS2021_00000", ("_t1", "_t1ce", "_t2", "_flair"), "_seg"),
        ("BraTS-GLI-00000-000", ("-t1n", "-t1c", "-t2w", "-t2f"), "-seg"),
    ],
)
def test_four_channels_and_a_label(tmp_path: Path, case: str, words: tuple[str, ...], label: str) -> None:
    name = case.split("/")[-1]
    for folder in (case, case + "9"):
        volumes(tmp_path, *(f"{folder}/{name}{word}.nii.gz" for word in words))
        labels(tmp_path, f"{folder}/{name}{label}.nii.gz")
    (tmp_path / "README.txt").touch()
    way, found = read(tmp_path, kind="volumes")
    assert (way, found.channels) == ("brats", ("T1", "T1Gd", "T2", "FLAIR"))
    assert paired(tmp_path, found)[name] == (
        [f"{case}/{name}{word}.nii.gz" for word in words],
        [f"{case}/{name}{label}.nii.gz"],
    )
    assert (len(found.pairs), found.left_out) == (2, ())


def test_a_label_of_2020_has_another_name_and_a_case_may_lack_a_file(tmp_path: Path) -> None:
    for number in range(1, 5):
        kinds = ("flair", "t1", "t1ce", "t2")[: 3 if number == 4 else 4]
        volumes(tmp_path, *(f"b_{number}/b_{number}_{kind}.nii.gz" for kind in kinds))
    labels(tmp_path, "b_1/b_1_seg.nii.gz", "b_2/W39_1998.09.19_Segm.nii.gz", "b_4/b_4_seg.nii.gz")
    found = read(tmp_path, kind="volumes")[1]
    assert sorted(paired(tmp_path, found)) == ["b_1", "b_2"]
    assert reasons(found) == {"b_3": "no label (_seg): for prediction only", "b_4": "has no T2"}


def test_a_case_with_two_labels_is_left_out(tmp_path: Path) -> None:
    for number in range(1, 4):
        volumes(tmp_path, *(f"b_{number}/b_{number}_{kind}.nii.gz" for kind in ("flair", "t1", "t1ce", "t2")))
        labels(tmp_path, f"b_{number}/b_{number}_seg.nii.gz")
    labels(tmp_path, "b_2/b_2_other_Segm.nii.gz")
    found = read(tmp_path, kind="volumes")[1]
    assert sorted(paired(tmp_path, found)) == ["b_1", "b_3"]
    assert list(reasons(found)) == ["b_2"]


def test_visits_of_one_patient_stay_together(tmp_path: Path) -> None:
    for name in ("BraTS-GLI-00005-100", "BraTS-GLI-00005-101"):
        volumes(tmp_path, f"{name}/{name}-t1c.nii.gz", f"{name}/{name}-t2f.nii.gz")
        labels(tmp_path, f"{name}/{name}-seg.nii.gz")
    assert {pair.group for pair in read(tmp_path, kind="volumes")[1].pairs} == {"BraTS-GLI-00005"}


@pytest.mark.parametrize(
    ("levels", "values"),
    [({0, 1, 2, 4}, [1, 2, 4]), ({0, 1, 2, 3}, [1, 2, 3]), ({0, 1, 2, 3, 4}, [1, 2, 3, 4]), ({0, 2}, [1, 2, 3])],
)
def test_which_numbers_are_classes(levels: set[int], values: list[int]) -> None:
    classes = tumour_classes(levels)
    assert [value for of_one in classes.values() for value in of_one] == values
    assert classes["enhancing tumour"] == ((4,) if levels == {0, 1, 2, 4} else (3,))


def test_a_folder_with_one_sequence_is_no_case(tmp_path: Path) -> None:
    """Two sequences make a case: a lone T1 beside a label is another layout's."""
    volumes(tmp_path, "a/a_t1.nii.gz", "a/a_flair.nii.gz", "b/b_t1.nii.gz")
    labels(tmp_path, "a/a_seg.nii.gz", "b/b_seg.nii.gz")
    found = read(tmp_path, kind="volumes", layout="brats")[1]
    assert (sorted(paired(tmp_path, found)), found.channels) == (["a"], ("T1", "FLAIR"))


def test_the_sequences_that_most_cases_have_are_the_channels(tmp_path: Path) -> None:
    for number, kinds in enumerate((("t1", "t2", "flair"), ("t1", "flair"), ("t1", "flair"))):
        volumes(tmp_path, *(f"b_{number}/b_{number}_{kind}.nii.gz" for kind in kinds))
        labels(tmp_path, f"b_{number}/b_{number}_seg.nii.gz")
    found = read(tmp_path, kind="volumes")[1]
    assert (found.channels, len(found.pairs), found.left_out) == (("T1", "FLAIR"), 3, ())
    assert {len(pair.stack) for pair in found.pairs} == {2}


def test_cases_without_any_label_are_another_layout(tmp_path: Path) -> None:
    for number in range(2):
        volumes(tmp_path, *(f"b_{number}/b_{number}_{kind}.nii.gz" for kind in ("t1", "flair")))
    with pytest.raises(ValueError, match="nothing says which are masks"):
        read(tmp_path, kind="volumes", layout="brats")
