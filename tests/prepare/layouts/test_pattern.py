"""Patterns of the user's own."""

from pathlib import Path

import pytest
from raw_folders import in_splits, labels, masks, paired, pictures, read, reasons, volumes


def test_channels_of_a_case(tmp_path: Path) -> None:
    for case in ("7", "8"):
        volumes(tmp_path, f"{case}/pre/FLAIR.nii.gz", f"{case}/pre/T1.nii.gz")
        labels(tmp_path, f"{case}/wmh.nii.gz")
    (tmp_path / "8/pre/T1.nii.gz").unlink()
    name, found = read(tmp_path, kind="volumes", pattern="{case}/pre/{channel}.nii.gz -> {case}/wmh.nii.gz")
    assert (name, found.channels) == ("pattern", ("FLAIR", "T1"))
    assert paired(tmp_path, found) == {"7": (["7/pre/FLAIR.nii.gz", "7/pre/T1.nii.gz"], ["7/wmh.nii.gz"])}
    assert reasons(found) == {"FLAIR.nii.gz": "has no channel 'T1'"}


def test_masks_that_would_fit_the_images_side_are_masks(tmp_path: Path) -> None:
    volumes(tmp_path, "a/t1.nii.gz", "b/t1.nii.gz")
    labels(tmp_path, "a/seg.nii.gz", "b/seg.nii.gz")
    found = read(tmp_path, kind="volumes", pattern="{case}/{channel}.nii.gz -> {case}/seg.nii.gz")[1]
    assert (len(found.pairs), found.channels) == (2, ())


def test_classes_splits_and_groups(tmp_path: Path) -> None:
    for split, case in (("train", "p1-a"), ("train", "p1-b"), ("test", "p2-a")):
        pictures(tmp_path, f"pics/{split}/{case}.jpg")
        masks(
            tmp_path,
            *(f"truth/{split}/{number}. {kind}/{case}_{kind[:2]}.tif" for number, kind in ((1, "HAEM"), (2, "EXUD"))),
        )
    text = "pics/{split}/{group}-{case}.jpg -> truth/{split}/*. {class}/{group}-{case}_*.tif"
    found = read(tmp_path, pattern=text)[1]
    assert (found.classes, found.class_files) == (("EXUD", "HAEM"), True)
    assert {pair.group for pair in found.pairs} == {"p1", "p2"}
    # "a" alone would be two cases
    assert in_splits(found) == {"training": ["training/p1/a", "training/p1/b"], "test": ["test/p2/a"]}


def test_cases_that_one_name_tells_apart_keep_it(tmp_path: Path) -> None:
    for split, case in (("train", "a"), ("test", "b")):
        pictures(tmp_path, f"i/{split}/{case}.png")
        masks(tmp_path, f"m/{split}/{case}.png")
    found = read(tmp_path, pattern="i/{split}/{case}.png -> m/{split}/{case}.png")[1]
    assert in_splits(found) == {"training": ["a"], "test": ["b"]}


def test_a_single_class_is_not_a_file_for_each(tmp_path: Path) -> None:
    pictures(tmp_path, "i/1.png", "i/2.png")
    masks(tmp_path, "m/polyp/1.png", "m/polyp/2.png")
    found = read(tmp_path, pattern="i/{case}.png -> m/{class}/{case}.png")[1]
    assert (found.classes, found.class_files, len(found.pairs)) == (("polyp",), False, 2)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{case}.png", "expected images -> masks, each with {case}"),
        ("a.png -> {case}.png", "expected images -> masks, each with {case}"),
        ("{case}.png -> {case}_{what}.png", "unknown field {what}; known are {case}, {channel}"),
        ("{case}.png -> {case}_{channel}.png", "{channel} belongs on the other side"),
        ("{case}.jpg -> {case}_m.png", "no image matches '{case}.jpg'; files here are named a.png, a_m.png …"),
        ("{case}.png -> {case}_x.png", "no mask matches '{case}_x.png'"),
        ("b{case}.png -> {case}_m.png", "no image matches"),
    ],
)
def test_patterns_that_cannot_be(tmp_path: Path, pattern: str, message: str) -> None:
    pictures(tmp_path, "a.png")
    masks(tmp_path, "a_m.png")
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is compared below, braces and all
        read(tmp_path, pattern=pattern)
    assert message in str(caught.value)


def test_no_case_has_both(tmp_path: Path) -> None:
    pictures(tmp_path, "im/scan1.png")
    masks(tmp_path, "m/scan2.png")
    with pytest.raises(
        ValueError,
        match=r"no image and mask have the same case; the nearest two names are '.*scan1.png' and '.*scan2.png'",
    ):
        read(tmp_path, pattern="im/{case}.png -> m/{case}.png")


def test_files_of_two_classes_are_in_the_order_of_the_classes_whatever_their_paths(tmp_path: Path) -> None:
    """By path the files of class b come first in one case."""
    pictures(tmp_path, "i/1.png", "i/2.png")
    masks(tmp_path, "m/x/1_b.png", "m/y/1_a.png", "m/x/2_a.png", "m/y/2_b.png")
    found = read(tmp_path, pattern="i/{case}.png -> m/*/{case}_{class}.png")[1]
    assert {key: parts for key, (_, parts) in paired(tmp_path, found).items()} == {
        "1": ["m/y/1_a.png", "m/x/1_b.png"],
        "2": ["m/x/2_a.png", "m/y/2_b.png"],
    }
    assert [pair.stack for pair in found.pairs] == [(), ()]


def test_the_middle_channel_stands_for_a_case(tmp_path: Path) -> None:
    for case in ("7", "8"):
        volumes(tmp_path, *(f"{case}/{channel}.nii.gz" for channel in "abcde"))
        labels(tmp_path, f"{case}/seg/wmh.nii.gz")
    found = read(tmp_path, kind="volumes", pattern="{case}/{channel}.nii.gz -> {case}/seg/wmh.nii.gz")[1]
    assert [pair.image.name for pair in found.pairs] == ["c.nii.gz", "c.nii.gz"]


def test_a_class_that_a_case_lacks_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "i/1.png", "i/2.png")
    masks(tmp_path, "m/1_a.png", "m/1_b.png", "m/2_a.png")
    found = read(tmp_path, pattern="i/{case}.png -> m/{case}_{class}.png")[1]
    assert (reasons(found)["2.png"], len(found.pairs)) == ("has no class 'b'", 1)
