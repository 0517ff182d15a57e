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


def png(array: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_a_drawn_mask_may_be_as_large_as_the_picture_but_no_larger(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png", "c.png")
    corners = ("x", "mask", [[0, 0], [7, 5]])
    note(root / "a.json", corners, mask=png(np.ones((6, 8))))
    note(root / "b.json", corners, mask=png(np.ones((6, 9))))
    note(root / "c.json", corners, mask=png(np.ones((7, 8))))
    found = read(root)[1]
    assert (mask_of(found, "a") == 255).all()
    assert reasons(found) == {
        "b.png": "shape 1 (x): its mask is 9x6, larger than the picture",
        "c.png": "shape 1 (x): its mask is 8x7, larger than the picture",
    }


def test_a_rectangle_of_four_corners_and_a_shape_without_a_kind(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png")
    around = [[1, 1], [3, 1], [3, 2], [1, 2]]
    note(root / "a.json", ("x", "rectangle", around), ("y", "", [[5, 3], [7, 3], [7, 4], [5, 4]]))
    expected = np.zeros((6, 8), int)
    expected[1:3, 1:4], expected[3:5, 5:8] = 1, 2
    assert mask_of(read(root)[1], "a").tolist() == expected.tolist()


@pytest.mark.parametrize("lacking", [("imageWidth",), ("imageHeight",), ("imageWidth", "imageHeight")])
def test_a_note_that_does_not_say_how_large_its_picture_is(tmp_path: Path, lacking: tuple[str, ...]) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    Image.new("RGB", (10, 4)).save(root / "a.png")
    note(root / "a.json", ("x", "rectangle", [[8, 1], [9, 2]]))
    content = json.loads((root / "a.json").read_text())
    (root / "a.json").write_text(json.dumps({key: value for key, value in content.items() if key not in lacking}))
    found = mask_of(read(root)[1], "a")
    assert found.shape == (4, 10)
    assert np.argwhere(found).tolist() == [[1, 8], [1, 9], [2, 8], [2, 9]]


def test_a_size_that_no_picture_has(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    pictures(root, "a.png", "b.png", "c.png")
    for name in "abc":
        note(root / f"{name}.json", ("x", "rectangle", [[1, 1], [3, 3]]))
    for name, width in (("a", -8), ("b", 10**9)):
        content = json.loads((root / f"{name}.json").read_text())
        (root / f"{name}.json").write_text(json.dumps({**content, "imageWidth": width}))
    assert reasons(read(root)[1]) == {
        "a.png": "has another size than in its file of outlines, -8x6 pixels",
        "b.png": "has another size than in its file of outlines, 1000000000x6 pixels",
    }


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
