"""Pascal VOC: lists of names, palette masks, the border that counts for nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_folders import in_splits, pictures, read, reasons


def palette_masks(root: Path, names: str, numbers: tuple[int, ...], folder: str = "SegmentationClass") -> None:
    """Palette pictures in which the numbers take turns."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        picture = Image.fromarray(np.resize(np.array(numbers, np.uint8), (6, 8))).convert("P")
        picture.putpalette([(7 * n) % 256 for n in range(768)])
        picture.save(root / folder / f"{name}.png")


def lists(root: Path, **names: str) -> None:
    folder = root / "ImageSets/Segmentation"
    folder.mkdir(parents=True)
    for split, text in names.items():
        (folder / f"{split}.txt").write_text("\n".join(text) + "\n")


@pytest.mark.parametrize("where", ["VOC2012", "VOCdevkit/VOC2012"])
def test_lists_decide(tmp_path: Path, where: str) -> None:
    root = tmp_path / where
    pictures(root, *(f"JPEGImages/{name}.jpg" for name in "abcdxyz"))
    palette_masks(root, "abcdq", (0, 1, 20, 255))
    palette_masks(root, "abcd", (0, 1, 2), "SegmentationObject")
    lists(root, train="ab", val="c", trainval="abc")
    way, found = read(tmp_path)
    assert way == "voc"
    assert in_splits(found) == {"training": ["a", "b"], "validation": ["c"]}
    assert (dict(found.values), found.ignore) == ({"aeroplane": (1,), "tvmonitor": (20,)}, (255,))
    assert reasons(found) == {
        "JPEGImages": "3 images without a mask in SegmentationClass",
        "q.png": "no image in JPEGImages",
        "d.jpg": "not in any list of ImageSets/Segmentation",
    }


def test_names_of_labelme_and_colours_of_cvat(tmp_path: Path) -> None:
    pictures(tmp_path / "l", *(f"JPEGImages/{name}.jpg" for name in "ab"))
    palette_masks(tmp_path / "l", "ab", (0, 1, 2), "SegmentationClassPNG")
    (tmp_path / "l/class_names.txt").write_text("__ignore__\n_background_\nnevus\nhair\n")
    found = read(tmp_path / "l")[1]
    assert (found.classes, found.values, found.ignore) == (("nevus", "hair"), {}, ())
    pictures(tmp_path / "c", *(f"JPEGImages/{name}.jpg" for name in "ab"))
    palette_masks(tmp_path / "c", "ab", (0, 1))
    (tmp_path / "c/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nlesion:250,50,83::\n"
    )
    assert read(tmp_path / "c")[1].values == {"lesion": ("#fa3253",)}


def test_without_lists_or_names(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"JPEGImages/{name}.jpg" for name in "ab"))
    palette_masks(tmp_path, "ab", (0, 3))
    found = read(tmp_path)[1]
    assert (in_splits(found), dict(found.values)) == ({"": ["a", "b"]}, {"class 3": (3,)})


def test_images_of_a_voc_folder_without_its_masks_are_left_to_the_names(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"JPEGImages/{name}.jpg" for name in "ab"))
    palette_masks(tmp_path, "ab", (0, 1), "masks")
    way, found = read(tmp_path)
    assert (way, len(found.pairs)) == ("names", 2)
