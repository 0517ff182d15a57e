"""LabelMe: shapes become masks; expected pixels by hand."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_folders import paired, pictures, read, reasons


def note(file: Path, *shapes: tuple[str, str, list], picture: str = "", **more: object) -> None:
    """(label, kind, points) each, for a picture of 8 x 6."""
    content = {
        "version": "5.4.1",
        "shapes": [{"label": label, "shape_type": kind, "points": points, **more} for label, kind, points in shapes],
        "imagePath": picture or f"{file.stem}.png",
        "imageData": None,
        "imageHeight": 6,
        "imageWidth": 8,
    }
    file.write_text(json.dumps(content))


def mask_of(found: object, case: str) -> np.ndarray:
    return np.asarray(Image.open(next(pair.masks[0] for pair in found.pairs if pair.id == case)))  # type: ignore[attr-defined]


def test_polygons_rectangles_and_circles(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png", "c.png")
    note(
        root / "a.json",
        ("nevus", "polygon", [[1, 1], [3, 1], [3, 2], [1, 2]]),
        ("hair", "rectangle", [[7, 5], [5, 4]]),
        picture="..\\elsewhere\\a.png",
    )
    note(root / "b.json", ("nevus", "circle", [[3, 3], [3, 1]]))
    way, found = read(root)
    assert (way, found.classes) == ("labelme", ("hair", "nevus"))
    expected = np.zeros((6, 8), int)
    expected[1:3, 1:4] = 2  # an outline belongs to its shape, as in LabelMe
    expected[4:6, 5:8] = 1
    assert mask_of(found, "a").tolist() == expected.tolist()
    circle = mask_of(found, "b") == 2
    assert circle[3, 1:6].all()
    assert circle[1:6, 3].all()
    assert not circle[[1, 1, 5, 5], [1, 5, 1, 5]].any()
    assert reasons(found) == {"c.png": "no file of outlines (.json)"}


def test_a_drawn_mask(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png")
    stream = io.BytesIO()
    Image.fromarray(np.array([[1, 0], [1, 1]], np.uint8)).save(stream, "PNG")
    note(root / "a.json", ("x", "mask", [[3, 2], [4, 3]]), mask=base64.b64encode(stream.getvalue()).decode())
    expected = np.zeros((6, 8), int)
    expected[2, 3] = expected[3, 3:5] = 255
    assert mask_of(read(root)[1], "a").tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("kind", "points", "message"),
    [
        ("line", [[1, 1], [4, 4]], "shape 1 (x): a line of 2 points is not an area"),
        ("point", [[1, 1]], "shape 1 (x): a point of 1 points is not an area"),
        ("polygon", [[1, 1], [4, 4]], "shape 1 (x): a polygon of 2 points is not an area"),
        ("polygon", [[1], [4, 4], [2, 2]], "shape 1 (x): "),
        ("mask", [[1, 1], [2, 2]], "shape 1: cannot be read (KeyError: 'mask')"),
    ],
)
def test_a_shape_that_is_no_area_leaves_its_picture_out(tmp_path: Path, kind: str, points: list, message: str) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png")
    note(root / "a.json", ("x", kind, points))
    note(root / "b.json", ("x", "rectangle", [[1, 1], [3, 3]]))
    found = read(root)[1]
    assert list(paired(tmp_path, found)) == ["b"]
    assert reasons(found)["a.png"].startswith(message)


def test_notes_without_a_picture_and_two_notes_for_one(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png")
    for name in ("a", "z"):
        note(root / f"{name}.json", ("x", "rectangle", [[1, 1], [3, 3]]), picture="a.png")
    note(root / "q.json", ("x", "rectangle", [[1, 1], [3, 3]]))
    assert reasons(read(root)[1]) == {
        "z.json": "a second file of outlines for a.png",
        "q.json": "its picture 'q.png' does not exist",
    }
