"""Regions from words, on the image's own grid and on the network's; maps on their way back."""

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.regions import Region, with_truth
from medseg_monai.grids import grid_of
from medseg_monai.grids.photo import PhotoGrid

SPEC = DatasetSpec(name="x", task="binary", classes=("a",), channels=("grey",), size=(32, 32))
NOTHING = np.zeros((20, 12), dtype=bool)


def mask(text: str, *, predicted=NOTHING, truth=None, case=None, size=(20, 12)) -> np.ndarray:
    return Region.parse(text).mask(case or {"id": "a"}, SPEC, size=size, predicted=predicted, truth=truth)


def test_pixels_and_boxes_count_from_the_left_and_the_top():
    pixel = mask("pixel:15,3")
    assert np.argwhere(pixel).tolist() == [[15, 3]]  # (W, H): x first
    box = mask("box:4,1,10,2")
    assert box.sum() == 20
    assert box[4:14, 1:3].all()
    assert mask("image").all()


def test_masks_are_taken_as_they_are():
    there = NOTHING.copy()
    there[2:5, 6:8] = True
    assert mask("predicted", predicted=there) is there
    assert mask("truth", truth=there) is there
    with pytest.raises(ValueError, match="unknown: name it with --truth"):
        mask("truth")


def test_mask_files_and_folders_of_them(tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("L", (20, 12)).save(photo)
    drawn = Image.new("L", (20, 12))
    drawn.putpixel((17, 2), 255)
    drawn.save(tmp_path / "photo_mask.png")
    case = {"id": "photo", "image": str(photo)}
    assert np.argwhere(mask(f"mask:{tmp_path / 'photo_mask.png'}", case=case)).tolist() == [[17, 2]]
    (tmp_path / "masks").mkdir()
    drawn.save(tmp_path / "masks" / "photo_segmentation.png")
    assert np.argwhere(mask(f"mask:{tmp_path / 'masks'}", case=case)).tolist() == [[17, 2]]
    with pytest.raises(FileNotFoundError, match="no mask for other"):
        mask(f"mask:{tmp_path / 'masks'}", case={**case, "id": "other"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predictd", r"did you mean 'predicted'\?"),
        ("pixel:3", "expected 2 whole numbers, as in pixel:0,0"),
        ("box:1,2,x,4", "4 whole numbers"),
        ("box:1,2,0,4", "at least one pixel wide"),
        ("image:3", "expected no whole numbers, as in image"),
        ("pixel:20,3", r"pixel 20,3 is not inside the image \(20x12\)"),
        ("box:15,3,6,2", "box 15,3,6,2 is not inside"),
        ("pixel:-1,3", "is not inside"),
    ],
)
def test_wrong_regions_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        mask(text)


def test_a_single_pixel_of_a_large_photograph_does_not_vanish():
    large = np.zeros((4000, 3000), dtype=bool)
    large[3999, 0] = True
    weights = PhotoGrid.of(large.shape, SPEC).to_network(large)
    assert weights.nonzero().tolist() == [[31, 0]]
    assert float(weights[31, 0]) == pytest.approx(1 / (125 * 94), rel=0.01)  # 3000 / 32 is not a whole number


def test_a_region_lies_inside_the_bars():
    padded = DatasetSpec(name="x", task="binary", classes=("a",), channels=("g",), size=(32, 32), aspect="pad")
    weights = PhotoGrid.of((64, 32), padded).to_network(np.ones((64, 32), dtype=bool))
    assert weights.sum() == 32 * 16
    assert weights[:, 8:24].min() == 1


def test_maps_come_back_to_the_photograph():
    values = torch.zeros(32, 32)
    values[24:, :8] = 1  # right, top
    back = grid_of({"spatial_shape": torch.tensor([20, 12])}, SPEC).restore(values[None], outside=None)[0]
    assert back.shape == (20, 12)
    assert back[19, 0] == 1
    assert back[0, 11] == 0


def test_regions_and_maps_of_volumes_with_other_axes():
    """A scan stored as (A, L, S) with voxels of (2, 1, 1) mm, seen by the network as RAS at 2 mm."""
    affine = np.array([[0.0, -1, 0, 0], [2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    meta = {"spatial_shape": torch.tensor([6, 12, 8]), "affine": torch.from_numpy(affine),
            "box": torch.tensor([[0, 12], [0, 6], [0, 8]])}  # fmt: skip
    spec = DatasetSpec(
        name="x", task="binary", classes=("a",), channels=("ct",), spatial_dims=3, spacing_mm=(2, 2, 2), size=(4, 4, 4),
        intensity=Intensity("window", lower=0, upper=1),
    )  # fmt: skip
    region = np.zeros((6, 12, 8), dtype=bool)
    region[5, 10:12, 0:2] = True  # in front, on the left, at the feet
    weights = grid_of(meta, spec).to_network(region)
    assert weights.shape == (6, 6, 4)
    assert np.unravel_index(int(weights.argmax()), weights.shape) == (0, 5, 0)  # RAS: left, front, feet
    back = grid_of(meta, spec).restore(weights[None], outside=None)[0]
    assert back.shape == (6, 12, 8)
    assert back[5, 11, 0] == back.max()


def test_truth_of_one_image_of_a_folder_and_of_a_data_set(tmp_path, demo_data):
    cases = [{"id": "a", "image": "a.png"}, {"id": "b", "image": "b.png"}]
    for name in ("a.png", "b_mask.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert [case["label"] for case in with_truth(cases, tmp_path, SPEC)] == [
        str(tmp_path / "a.png"), str(tmp_path / "b_mask.png"),
    ]  # fmt: skip
    assert with_truth(cases[:1], tmp_path / "a.png", SPEC)[0]["label"] == str(tmp_path / "a.png")
    assert with_truth(cases, "", SPEC) == cases
    with pytest.raises(ValueError, match="one mask for 2 images"):
        with_truth(cases, tmp_path / "a.png", SPEC)
    with pytest.raises(FileNotFoundError, match="no such file"):
        with_truth(cases, tmp_path / "none", SPEC)
    with pytest.raises(ValueError, match="has the classes lesion, but the weights know a"):
        with_truth(cases, demo_data, SPEC)
    known = DatasetSpec(name="x", task="binary", classes=("lesion",), channels=("grey",), size=(32, 32))
    images = sorted((demo_data / "images").iterdir())
    found = with_truth([{"id": "a", "image": str(images[3])}, {"id": "b", "image": "b.png"}], demo_data, known)
    assert images[3].stem in found[0]["label"]
    assert "label" not in found[1]
    stack = ["before.png", str(images[3]), "after.png"]  # a slice between its neighbours
    assert with_truth([{"id": "a", "image": stack}], demo_data, known)[0]["label"] == found[0]["label"]


def test_a_box_in_a_volume_has_six_numbers():
    assert Region.parse("box:1,2,3,4,5,6", spatial_dims=3).numbers == (1, 2, 3, 4, 5, 6)
    with pytest.raises(ValueError, match="expected 6 whole numbers, as in box:0,0,0,0,0,0"):
        Region.parse("box:1,2,3,4,5", spatial_dims=3)
