"""COCO: polygons and run lengths become masks; expected pixels are counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_folders import in_splits, paired, pictures, read, reasons

from medseg_monai.prepare.layouts import Drawing, read_layout
from medseg_monai.prepare.pairs import PICTURES

CATEGORIES = [{"id": 7, "name": "tumour"}, {"id": 3, "name": "vessel"}]


def square(left: int, top: int, right: int, bottom: int) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def coco(file: Path, outlines: list[tuple[int, int, object]], names: str = "a.png b.png", **more: object) -> None:
    """A COCO file: images 1, 2, … of 8 x 6, and (image, category, segmentation) for each outline."""
    images = [{"id": n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(names.split(), 1)]
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": category,
            "segmentation": outline,
            "iscrowd": int(isinstance(outline, dict)),
        }
        for n, (image, category, outline) in enumerate(outlines, 1)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES, **more}))


def box(top: int, bottom: int, left: int, right: int, value: int = 1) -> np.ndarray:
    array = np.zeros((6, 8), int)
    array[top:bottom, left:right] = value
    return array


def drawn(found: object, case: str) -> list[np.ndarray]:
    pair = next(pair for pair in found.pairs if pair.id == case)  # type: ignore[attr-defined]
    return [np.asarray(Image.open(file)).astype(int) for file in pair.masks]


def test_classes_are_numbered_by_category_and_empty_images_are_empty(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "images/a.png", "images/b.png", "images/c.png")
    coco(
        root / "annotations/x.json",
        [(1, 7, square(1, 1, 4, 3)), (1, 3, square(5, 2, 8, 6)), (1, 7, square(1, 4, 3, 6))],
    )
    way, found = read(root)
    assert (way, found.classes, found.class_files) == ("coco", ("vessel", "tumour"), False)
    expected = box(1, 3, 1, 4, 2) + box(2, 6, 5, 8, 1) + box(4, 6, 1, 3, 2)
    assert drawn(found, "a")[0].tolist() == expected.tolist()
    assert not drawn(found, "b")[0].any()
    assert reasons(found) == {"c.png": "not in any COCO file"}


def test_classes_that_overlap_have_a_file_each(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    coco(root / "x.json", [(1, 7, square(1, 1, 5, 5)), (1, 3, square(3, 3, 8, 6)), (2, 3, square(0, 0, 2, 2))])
    found = read(root)[1]
    assert found.class_files
    assert [plane.tolist() for plane in drawn(found, "a")] == [
        box(3, 6, 3, 8, 255).tolist(),
        box(1, 5, 1, 5, 255).tolist(),
    ]
    later = read_layout(root, PICTURES, Drawing(tmp_path / "other", task="multiclass"))[1]
    assert drawn(later, "a")[0][4].tolist() == [0, 2, 2, 1, 1, 1, 1, 1]  # the later outline covers the earlier one


def test_one_category_is_binary_and_a_crowd_belongs_to_it(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    # run lengths go down the columns: 6 pixels of background are column 0, then columns 1 and 2, then 18 + 6 more
    runs = {"size": [6, 8], "counts": [6, 12, 30]}
    coco(root / "x.json", [(1, 7, runs), (1, 7, square(6, 0, 8, 1))])
    found = read(root)[1]
    assert found.classes == ("tumour",)
    assert drawn(found, "a")[0].tolist() == (box(0, 6, 1, 3, 255) + box(0, 1, 6, 8, 255)).tolist()


def test_run_lengths_that_are_compressed(tmp_path: Path) -> None:
    from pycocotools import mask as tools

    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    runs = tools.encode(np.asfortranarray(box(2, 4, 3, 6).astype(np.uint8)))
    coco(root / "x.json", [(1, 7, {"size": runs["size"], "counts": runs["counts"].decode()})])
    assert drawn(read(root)[1], "a")[0].tolist() == box(2, 4, 3, 6, 255).tolist()


def test_long_run_lengths_that_are_compressed(tmp_path: Path) -> None:
    """Runs of hundreds of pixels take several characters, and runs that shorten are negative differences."""
    from pycocotools import mask as tools

    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    rng = np.random.default_rng(0)
    plane = np.zeros((90, 70), np.uint8)
    for top, left in rng.integers(0, 60, (12, 2)):
        plane[top : top + int(rng.integers(1, 60)), left : left + int(rng.integers(1, 20))] ^= 1
    runs = tools.encode(np.asfortranarray(plane))
    coco(root / "x.json", [(1, 7, {"size": runs["size"], "counts": runs["counts"].decode()})])
    content = json.loads((root / "x.json").read_text())
    content["images"][0] |= {"width": 70, "height": 90}
    (root / "x.json").write_text(json.dumps(content))
    assert (drawn(read(root)[1], "a")[0] == 255 * plane).all()


@pytest.mark.parametrize("size", [(0, 6), (8, -1), (10**9, 6)])
def test_a_size_that_no_picture_has(tmp_path: Path, size: tuple[int, int]) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    coco(root / "x.json", [(1, 7, square(1, 1, 4, 3)), (2, 7, square(1, 1, 4, 3))])
    content = json.loads((root / "x.json").read_text())
    content["images"][0] |= {"width": size[0], "height": size[1]}
    (root / "x.json").write_text(json.dumps(content))
    assert reasons(read(root)[1]) == {"a.png": f"has another size than in its annotation, {size[0]}x{size[1]} pixels"}


@pytest.mark.parametrize(
    "form", ["{split}/_annotations.coco.json|{split}/", "annotations/instances_{split}2017.json|{split}2017/"]
)
def test_a_file_for_each_split(tmp_path: Path, form: str) -> None:
    root = tmp_path / "raw"
    for split, names in (("train", "a.png b.png"), ("val", "c.png"), ("test", "d.png")):
        file, folder = (part.format(split=split) for part in form.split("|"))
        pictures(root, *(folder + name for name in names.split()))
        coco(root / file, [(1, 7, square(1, 1, 4, 3))], names)
    assert in_splits(read(root)[1]) == {"training": ["a", "b"], "validation": ["c"], "test": ["d"]}


def test_pictures_of_one_name_are_told_apart_by_their_split(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for split in ("train", "val"):
        pictures(root, f"{split}2017/a.png", f"{split}2017/b.png")
        coco(root / f"annotations/instances_{split}2017.json", [(1, 7, square(1, 1, 4, 3))])
    (root / "annotations/licence.json").write_text('{"version": 1}')  # of something else
    (root / "annotations/list.json").write_text("[1, 2]")
    found = read(root)[1]
    assert found.left_out == ()
    assert {pair.image.relative_to(root).as_posix(): pair.split for pair in found.pairs} == {
        "train2017/a.png": "training",
        "train2017/b.png": "training",
        "val2017/a.png": "validation",
        "val2017/b.png": "validation",
    }


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([], "annotation 1: has no outline (perhaps only a box)"),
        ([[1, 1, 4, 4]], "annotation 1: a polygon must be a list of at least three points"),
        ([[1, 1, 4, 4, 2]], "annotation 1: a polygon must be a list of at least three points"),
        ({"size": [8, 6], "counts": [48]}, "annotation 1: run lengths of size [8, 6], but the image has [6, 8]"),
        ({"size": [6, 8], "counts": [40]}, "annotation 1: run lengths that do not fill the image"),
        ({"size": [6, 8], "counts": [50, -2]}, "annotation 1: run lengths that do not fill the image"),
        ({"size": [6, 8], "counts": "~~~~~"}, "annotation 1: run lengths that do not fill the image"),
        ({"size": [6, 8], "counts": "0"}, "annotation 1: run lengths that do not fill the image"),
        ({"size": [6, 8], "counts": ""}, "annotation 1: run lengths that do not fill the image"),
        ([["x", 1, 2, 3, 4, 5]], "annotation 1: could not convert"),
    ],
)
def test_an_outline_that_is_none_leaves_its_image_out(tmp_path: Path, outline: object, message: str) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    coco(root / "x.json", [(1, 7, outline), (2, 7, square(1, 1, 4, 3))])
    found = read(root)[1]
    assert list(paired(tmp_path, found)) == ["b"]
    assert message in reasons(found)["a.png"]


def test_images_that_are_not_there_categories_that_are_none_and_doubles(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    coco(root / "x.json", [(1, 9, square(1, 1, 4, 3)), (2, 7, square(1, 1, 4, 3))], "a.png b.png c.png b.png")
    found = read(root)[1]
    assert list(paired(tmp_path, found)) == ["b"]
    assert {why for _, why in found.left_out} == {
        "annotation 1: unknown category 9",
        "lists 'c.png', which does not exist",
        "listed twice, also in x.json; the first entry is used",
    }


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png")
    (tmp_path / "x.json").write_text('{"images": [{"id": 1}], "annotations": [], "categories": []}')
    with pytest.raises(ValueError, match=r"x.json: cannot be read as COCO annotations \(KeyError: 'file_name'\)"):
        read(tmp_path)
