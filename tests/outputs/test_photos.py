"""Outputs of one photograph, read back with Pillow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset import DatasetSpec
from medseg_monai.outputs.naming import Wanted
from medseg_monai.outputs.photos import PhotoWriter
from medseg_monai.outputs.pictures import picture_file
from medseg_monai.quality.conformal import Margins

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
ORGANS = DatasetSpec("d", "multilabel", classes=("large bowel", "stomach"), channels=("grey",), size=(8, 8))


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def picture(folder: Path, size: tuple[int, int] = (40, 30)) -> dict[str, object]:
    """A case with a plain picture."""
    file = folder / "i.png"
    Image.new("RGB", size, (90, 120, 200)).save(file)
    return {"id": "p/x", "image_meta_dict": {"filename_or_obj": str(file)}}


def square() -> torch.Tensor:
    """A mask of 40 x 30 (W, H) with a square of 10 pixels."""
    mask = torch.zeros(1, 40, 30, dtype=torch.uint8)
    mask[0, 5:15, 10:20] = 1
    return mask


def test_the_mask_comes_last_for_where_it_is_everything_is(tmp_path: Path) -> None:
    wanted = Wanted(("png", "geojson"), True, True, True, Margins((0.2,), (0.8,), rate=0.9, cover=0.95, cases=30))
    probability = square().float()
    answer = {"pred": square(), "probability": probability, "uncertainty_map": probability}
    written = PhotoWriter(tmp_path / "out", BINARY, wanted).write(picture(tmp_path), answer)
    assert [file.name for file in written.files] == [
        *("x_probability.png", "x_uncertainty.png", "x_outer.png", "x_inner.png", "x_overlay.jpg"),
        *("x_mask.geojson", "x_mask.png"),
    ]
    assert {file.parent for file in written.files} == {tmp_path / "out" / "p"}
    assert all(file.is_file() for file in written.files)
    assert dict(written.entries) == {}


def test_tables_get_the_masks_entries(tmp_path: Path) -> None:
    mask = torch.zeros(2, 4, 3, dtype=torch.uint8)
    mask[0, 1:3, 0] = 1  # two pixels in the first row
    writer = PhotoWriter(tmp_path, ORGANS, Wanted(("rle", "coco")))
    written = writer.write({"id": "x", "image_meta_dict": {"filename_or_obj": "x.jpg"}}, {"pred": mask})
    assert written.files == []
    assert written.entries.keys() == {"rle", "coco"}


def test_a_changed_mask_replaces_the_old_one_in_what_was_written_alone(tmp_path: Path) -> None:
    case, out = picture(tmp_path), tmp_path / "out"
    image = str(tmp_path / "i.png")
    writer = PhotoWriter(out, BINARY, Wanted(("png",), overlays=True))
    writer.write(case, {"pred": square()})
    before = pixels(out / "p" / "x_overlay.jpg")
    changed = np.zeros((1, 40, 30), np.uint8)
    writer.rewrite("p/x", changed, image)
    assert not pixels(out / "p" / "x_mask.png").any()
    assert not np.array_equal(pixels(out / "p" / "x_overlay.jpg"), before)
    assert not picture_file(out, "p/x").exists(), "none was made before"
    plain = PhotoWriter(tmp_path / "plain", BINARY, Wanted(("png",)))
    plain.write(case, {"pred": square()})
    plain.rewrite("p/x", changed, image)
    assert [file.name for file in (tmp_path / "plain" / "p").iterdir()] == ["x_mask.png"]


@pytest.mark.parametrize("thick", [False, True])
def test_an_overlay_marks_the_outline_alone(tmp_path: Path, thick: bool) -> None:
    size = (400, 300) if thick else (40, 30)
    mask = torch.zeros(1, *size, dtype=torch.uint8)
    mask[0, size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 1
    case = picture(tmp_path, size)
    PhotoWriter(tmp_path / "out", BINARY, Wanted((), overlays=True)).write(case, {"pred": mask})
    drawn = pixels(tmp_path / "out" / "p" / "x_overlay.jpg").astype(int)
    assert drawn.shape == (size[1], size[0], 3)
    assert np.abs(drawn[size[1] * 7 // 8, size[0] * 7 // 8] - (90, 120, 200)).max() < 12
    assert np.abs(drawn - (90, 120, 200)).max() > 40
