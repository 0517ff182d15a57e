"""What is said of a folder that no layout fits."""

from pathlib import Path

import pytest
from raw_folders import masks, pictures, read, volumes


def message(root: Path, **options: str) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_looked_for_and_the_nearest_two_names(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"a/photo{n:03}.jpg" for n in range(60)))
    masks(tmp_path, *(f"b/q{n:03}.png" for n in range(60)))
    text = message(tmp_path)
    assert text.startswith(
        f"{tmp_path}: 120 pictures, but nothing says which are masks. Looked for: nnU-Net (imagesTr/"
    )
    for layout in ("Pascal VOC", "DRIVE", "GlaS", "COCO", "LabelMe", "files A.* with A_mask.*"):
        assert layout in text
    assert (
        "The nearest two names are 'a/photo000.jpg' and 'b/q000.png'. Say where they are: --images and --masks name "
        in text
    )
    assert len(text) < 1200 + len(str(tmp_path))
    assert text.count("photo") == 1


def test_one_layout_alone_was_looked_for(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    text = message(tmp_path, layout="voc")
    assert "Looked for: Pascal VOC (JPEGImages/" in text
    assert "COCO" not in text
    assert "There is only one file" in text


def test_volumes_have_layouts_of_their_own(tmp_path: Path) -> None:
    volumes(tmp_path, "a.nii.gz", "b.nii.gz")
    text = message(tmp_path, kind="volumes")
    assert "TotalSegmentator" in text
    assert "BraTS" in text
    assert "VOC" not in text


def test_unknown_layouts_and_folders(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    assert message(tmp_path, layout="coc").endswith("layout: unknown layout 'coc' for pictures (did you mean 'coco'?)")
    assert "unknown layout 'brats' for pictures" in message(tmp_path, layout="brats")
    assert message(tmp_path / "x").endswith("x: no such folder")
    (tmp_path / "y").mkdir()
    assert message(tmp_path / "y").endswith("the folder is empty")


def test_the_first_layout_that_fits_is_taken_unless_one_or_a_pattern_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "imagesTr/a_0000.png", "imagesTr/b_0000.png")
    masks(tmp_path, "labelsTr/a.png", "labelsTr/b.png")
    assert read(tmp_path)[0] == read(tmp_path, layout="nnunet")[0] == "nnunet"
    name, found = read(tmp_path, pattern="imagesTr/{case}_0000.png -> labelsTr/{case}.png")
    assert (name, sorted(pair.id for pair in found.pairs)) == ("pattern", ["a", "b"])
    assert "Looked for: GlaS" in message(tmp_path, layout="glas")
