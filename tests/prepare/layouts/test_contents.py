"""Choosing some of a layout's classes, and the values that follow."""

from pathlib import Path

import pytest

from medseg_monai.prepare.layouts.contents import FolderContents, chosen, innermost, named_by, stated, task_of
from medseg_monai.prepare.pairs import Pair

PAIR = Pair(Path("i.png"), (Path("a.png"), Path("b.png"), Path("c.png")))


def test_files_follow_the_classes() -> None:
    found = FolderContents((PAIR,), classes=("a", "b", "c"), class_files=True)
    some = chosen(found, ["c", "a"])
    assert (some.classes, some.class_files, some.pairs[0].masks) == (("c", "a"), True, (Path("c.png"), Path("a.png")))
    one = chosen(found, ["b"])
    assert (one.class_files, one.pairs[0].masks) == (False, (Path("b.png"),))


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        ({}, ["a", "b", "c"], {}),
        ({}, ["c", "b", "a"], {"c": (3,), "b": (2,), "a": (1,)}),
        ({}, ["b"], {"b": (2,), "background": (0, 1, 3)}),
        ({"a": (1,), "b": (4,), "c": (9,)}, ["c", "a"], {"c": (9,), "a": (1,), "background": (0, 4)}),
        ({"a": (1, 2, 3), "b": (2, 3), "c": (3,)}, ["b"], {"b": (2, 3), "background": (0, 1)}),
        (
            {"a": ("#ff0000",), "b": ("#00ff00",), "c": ("#0000ff",)},
            ["a", "b"],
            {"a": ("#ff0000",), "b": ("#00ff00",), "background": ("#000000", "#0000ff")},
        ),
    ],
)
def test_numbers_follow_the_classes(values: dict, classes: list[str], expected: dict) -> None:
    assert chosen(FolderContents((PAIR,), classes=("a", "b", "c"), values=values), classes).values == expected


def test_values_of_the_user_replace_the_layouts_and_ignored_ones_are_added() -> None:
    found = FolderContents((PAIR,), classes=("a", "b", "c"), values={"a": (1,), "b": (4,), "c": (9,)}, ignore=(255,))
    own = chosen(found, ["x"], {"x": [7]}, ignore=[4, 255])
    assert (own.classes, own.values, own.ignore) == (("x",), {"x": (7,)}, (255, 4))
    assert chosen(found, []).values == found.values
    files = chosen(FolderContents((PAIR,), classes=("a", "b", "c"), class_files=True), ["b"], {"b": [255]})
    assert (files.values, files.pairs[0].masks) == ({}, (Path("b.png"),))  # a file holds one class, whatever its value


def test_names_of_ones_own_and_names_that_are_none() -> None:
    assert chosen(FolderContents((PAIR,)), ["x"]).classes == ("x",)
    with pytest.raises(ValueError, match=r"class 'liwer': is not one of those in this folder .did you mean 'liver'"):
        chosen(FolderContents((PAIR,), classes=("liver", "spleen")), ["liwer"])


def test_classes_that_the_numbers_show() -> None:
    found = FolderContents((PAIR,), classes_of=lambda levels: {f"n{level}": (level,) for level in sorted(levels)})
    assert named_by(found, {2, 7}).values == {"n2": (2,), "n7": (7,)}
    assert named_by(found, {1, 2}).values == {}
    assert named_by(FolderContents((PAIR,), classes=("a",)), {5}).classes == ("a",)


@pytest.mark.parametrize(
    ("found", "overlap", "task"),
    [
        (FolderContents((PAIR,)), True, "binary"),
        (FolderContents((PAIR,), classes=("a", "b")), True, "multiclass"),
        (FolderContents((PAIR,), classes=("a", "b"), values={"a": (1, 2), "b": (3,)}), True, "multiclass"),
        (
            FolderContents((PAIR,), classes=("whole", "core"), values={"whole": (1, 2), "core": (2,)}),
            True,
            "multilabel",
        ),
        (FolderContents((PAIR,), classes=("a", "b"), class_files=True), False, "multilabel"),
        (FolderContents((PAIR,), classes=("a", "b"), class_files=True, exclusive=True), True, "multilabel"),
        (FolderContents((PAIR,), classes=("a", "b"), class_files=True, exclusive=True), False, "multiclass"),
    ],
)
def test_tasks(found: FolderContents, overlap: bool, task: str) -> None:
    assert task_of(found, overlap=overlap) == task


def test_files_that_the_source_calls_exclusive_may_overlap_until_that_was_checked() -> None:
    assert task_of(FolderContents((PAIR,), classes=("a", "b"), class_files=True, exclusive=True)) == "multilabel"


def test_splits_count_if_every_pair_has_one_and_they_differ() -> None:
    def splits(*names: str) -> list[str]:
        return [pair.split for pair in stated([Pair(Path(f"{n}.png"), (), split=name) for n, name in enumerate(names)])]

    assert splits("training", "test") == ["training", "test"]
    assert splits("training", "training") == ["", ""]
    assert splits("training", "test", "") == ["", "", ""]


def test_folders_that_hold_one_folder_only(tmp_path: Path) -> None:
    (tmp_path / "a/a/x").mkdir(parents=True)
    (tmp_path / "a/a/y").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".DS_Store").touch()
    assert innermost(tmp_path) == tmp_path / "a/a"
    assert innermost(tmp_path / "a/a/x") == tmp_path / "a/a/x"
    assert innermost(tmp_path / "none") == tmp_path / "none"
