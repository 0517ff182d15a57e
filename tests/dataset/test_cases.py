"""One case of a data set: what is refused, and what its paths and names become."""

from datetime import date
from pathlib import Path, PurePath

import pytest

from medseg_monai.dataset import DatasetSpec
from medseg_monai.dataset.cases import (
    as_list,
    case_names,
    check_case,
    label_coding,
    label_spec,
    main_file,
    map_paths,
    rebased,
    stem,
)
from medseg_monai.dataset.label_values import LabelValues

RGB = ("red", "green", "blue")
BINARY = DatasetSpec("x", "binary", classes=("a",), channels=RGB, size=(8, 8))
FIVE = DatasetSpec("x", "multilabel", classes=tuple("abcde"), channels=RGB, size=(8, 8))
EXCLUSIVE = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=RGB, size=(8, 8))
STACK = DatasetSpec("x", "binary", classes=("a",), channels=("below", "here", "above"), size=(8, 8), slice_stride=1)


@pytest.mark.parametrize(
    ("spec", "images", "labels"),
    [
        (BINARY, 1, 1),
        (BINARY, 3, 7),  # a file per channel; the union of any number of masks
        (FIVE, 1, 5),
        (EXCLUSIVE, 1, 1),
        (EXCLUSIVE, 1, 2),
        (STACK, 3, 1),
    ],
)
def test_numbers_of_files_that_mean_something_are_taken(spec: DatasetSpec, images: int, labels: int) -> None:
    check_case({"image": ["i.png"] * images, "label": ["m.png"] * labels}, spec, "training[0]")


@pytest.mark.parametrize(
    ("case", "spec", "message"),
    [
        ("x.png", BINARY, r"a case must be a mapping with image and label, got 'x.png'"),
        ({"image": "x.png"}, BINARY, r"the key 'label' is missing"),
        ({"image": "x.png", "label": []}, BINARY, r"label must be a path or a list of paths, got \[\]"),
        ({"image": "x.png", "label": "m.png", "lable": 1}, BINARY, r"lable.*did you mean 'label'"),
        (
            {"image": "x.png", "label": "m.png", "soft_label": []},
            BINARY,
            r"soft_label must be a path or a list of paths, got \[\]",
        ),
        (
            {"image": "x.png", "label": "m.png", "soft_label": "p.png"},
            EXCLUSIVE,
            r"1 files of probabilities for 2 classes \(a, b\); give one for each",
        ),
        ({"image": "x.png", "label": "m.png", "id": "../x"}, BINARY, r"the id names files, it cannot be '../x'"),
        ({"image": "x.png", "label": "m.png", "id": "/x"}, BINARY, r"the id names files"),
        ({"image": ["x.png"] * 2, "label": "m.png"}, BINARY, r"2 image files for 3 channels .*one per channel"),
        ({"image": "x.png", "label": "m.png"}, STACK, r"1 image files .*give one per slice"),
        ({"image": "x.png", "label": "m.png"}, FIVE, r"1 mask files do not match .*give 5"),
        ({"image": "x.png", "label": ["m.png"] * 3}, EXCLUSIVE, r"3 mask files do not match .*give 1 or 2"),
        ({"image": "x.png", "label": "m.png", "present": "a"}, BINARY, r"present must be a list of classes"),
    ],
)
def test_a_malformed_case_is_named(case: object, spec: DatasetSpec, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^training\[3\]: .*{message}"):
        check_case(case, spec, "training[3]")


def test_a_label_keeps_its_data_sets_values_for_weights_that_know_only_classes() -> None:
    values = LabelValues.from_dict({"a": 7})
    own = DatasetSpec("own", "binary", classes=("a",), channels=RGB, size=(8, 8), label_values=values, ignore=(9,))
    reading = label_spec(label_coding(own), BINARY)
    assert (reading.label_values, reading.ignore, reading.name) == (values, (9,), "x")
    assert label_coding(BINARY) == {}
    assert label_spec({}, own) == DatasetSpec("own", "binary", classes=("a",), channels=RGB, size=(8, 8))


def test_paths_are_rewritten_for_another_folder() -> None:
    case = {"label": ["m/1.png", "m/2.png"], "image": "i/1.png", "group": "p", "id": "one"}
    moved = rebased(case, Path("/data/raw"), Path("/data/prepared"))
    assert moved == {
        "image": "../raw/i/1.png",
        "label": ["../raw/m/1.png", "../raw/m/2.png"],
        "id": "one",
        "group": "p",
    }
    assert list(moved) == ["image", "label", "id", "group"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/d/a.png", "/d/b.nii.gz"], ["a", "b"]),
        (["/d/p/a.png", "/d/q/a.png"], ["p/a", "q/a"]),
        (["/d/a.png", "/d/a.jpg"], ["a.png", "a.jpg"]),
    ],
)
def test_names_are_as_short_as_they_can_be_told_apart(files: list[str], names: list[str]) -> None:
    assert case_names([Path(file) for file in files]) == names


def test_small_questions_about_paths() -> None:
    assert [stem(PurePath(name)) for name in ("a.nii.gz", "a.gz", "a.nii", "a.b.png")] == ["a", "a", "a", "a.b"]
    assert (as_list(None), as_list("x"), as_list(("x", "y"))) == ([], ["x"], ["x", "y"])
    assert main_file(["below", "here", "above"]) == "here"
    assert main_file("only") == "only"
    assert map_paths(["a", "b"], str.upper) == ["A", "B"]
    assert map_paths("a", str.upper) == "A"


@pytest.mark.parametrize("key", ["id", "group"])
@pytest.mark.parametrize("value", [None, ["p1"], {"p": 1}, float("nan"), True, date(2026, 1, 2), "a\0b"])
def test_what_names_nothing_is_no_name(key, value):
    """A null from a table would make one patient of all cases that have none."""
    with pytest.raises(ValueError, match=rf"training\[3\]: {key} must be a text or a number"):
        check_case({"image": "i.png", "label": "l.png", key: value}, BINARY, "training[3]")


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800b.png"])
def test_a_name_that_no_file_can_have_is_refused(key, name):
    case = {"image": "i.png", "label": "l.png", key: name}
    with pytest.raises(ValueError, match=rf"training\[0\]: {key}: no file can have the name"):
        check_case(case, BINARY, "training[0]")
    check_case({**case, key: "a\udcffb.png"}, BINARY, "training[0]")  # a byte that is not UTF-8, as Python reads names
