"""Volumes from their files to the network's grid and numbers, computed by hand on volumes of a few voxels."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.training.cache import CachedDataset
from medseg_monai.transforms import load, normalise
from medseg_monai.transforms.volumes import STEPS, class_positions, label_on_network_grid, value_limits

WINDOW = Intensity("window", lower=-100, upper=300)


def spec_of(intensity: Intensity = WINDOW, **changes: Any) -> DatasetSpec:
    given = {"task": "multiclass", "classes": ("a", "b"), "channels": ("ct",), "size": (8, 8, 8), **changes}
    return DatasetSpec("x", spatial_dims=3, intensity=intensity, **given)


def write(
    path: Path, array: NDArray[Any], sides: tuple[float, ...] = (1, 1, 1), flips: tuple[int, ...] = (1, 1, 1)
) -> str:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*np.multiply(sides, flips), 1.0])), path)
    return str(path)


def test_a_window_by_hand(tmp_path: Path) -> None:
    values = np.array([[[-100, 0, 100, 300, 2000, -3000]]], np.int16).repeat(2, 0).repeat(2, 1)
    spec = spec_of(Intensity("window", lower=-100, upper=300, mean=(0.5,), std=(0.25,)))
    case = load(spec, keys=("image",))({"image": write(tmp_path / "a.nii.gz", values)})
    assert case["image"].dtype == torch.uint16
    # the last voxels are air, and so is the first slice: both are cut off
    assert case["image_meta_dict"]["box"].tolist() == [[0, 2], [0, 2], [1, 5]]
    assert case["image"].int().max() == STEPS
    seen = normalise(spec)(case)["image"]
    assert seen.shape == (1, 2, 2, 4)
    assert seen[0, 0, 0].tolist() == pytest.approx([-1, 0, 2, 2], abs=1e-4)  # 0 HU is a quarter of the window


def test_zscore_follows_the_volume_but_not_its_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(500, 40, (20, 20, 20)).astype(np.float32)
    values[0, 0, 0] = 1e6
    spec = spec_of(Intensity("zscore"))
    for scale in (1, 16):  # scanners differ in their scale
        case = load(spec, keys=("image",))({"image": write(tmp_path / f"{scale}.nii.gz", values * scale)})
        seen = normalise(spec)(case)["image"]
        assert abs(seen.mean()) < 1e-3
        assert abs(seen.std() - 1) < 1e-3
        assert 2.3 < seen.max() < 3  # the 99.5th percentile, not the broken voxel


def test_percentiles_become_0_and_1(tmp_path: Path) -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    spec = spec_of(Intensity("percentile", lower=10, upper=90, mean=(0.0,), std=(1.0,)))
    seen = normalise(spec)(load(spec, keys=("image",))({"image": write(tmp_path / "a.nii", values)}))["image"]
    whole = np.clip((values - 99.9) / (899.1 - 99.9), 0, 1)[
        1:
    ]  # the first slice is below the lower percentile: cut off
    assert seen[0].numpy() == pytest.approx(whole, abs=2 / STEPS)


def test_every_channel_has_its_own_limits() -> None:
    image = np.stack([np.arange(1000.0), np.arange(1000.0) * 5 + 7]).reshape(2, 10, 10, 10)
    limits = value_limits(image, Intensity("percentile", lower=0, upper=100))
    assert limits.tolist() == [[0, 999], [7, 5002]]
    even = value_limits(np.arange(1001.0).reshape(1, 7, 11, 13), Intensity("zscore"))
    assert even.tolist() == [[5, 995]]  # half a percent from either end
    flat = value_limits(np.full((1, 2, 2, 2), 3.0), Intensity("zscore"))
    assert flat.tolist() == [[3, 4]]
    with pytest.raises(ValueError, match="'uint8' is for photographs"):
        value_limits(image, Intensity("uint8"))


def test_an_empty_volume_is_kept_whole(tmp_path: Path) -> None:
    spec = spec_of()
    case = load(spec, keys=("image",))({"image": write(tmp_path / "a.nii", np.full((3, 4, 5), -1000, np.int16))})
    assert not case["image"].int().any()
    seen = normalise(spec)(case)["image"]
    assert seen.shape == (1, 3, 4, 5)
    assert torch.isfinite(seen).all()


def test_image_and_label_lie_on_each_other(tmp_path: Path) -> None:
    """A bright block and its label, in a flipped file of unequal voxels, resampled."""
    values, label = np.full((24, 20, 12), -1000, np.int16), np.zeros((24, 20, 12), np.uint8)
    values[3:22, 2:18, 1:11] = 0
    values[6:12, 4:10, 3:9], label[6:12, 4:10, 3:9] = 300, 2
    paths = {
        "image": write(tmp_path / "i.nii.gz", values, (0.8, 1, 2.5), (-1, 1, -1)),
        "label": write(tmp_path / "l.nii.gz", label, (0.8, 1, 2.5), (-1, 1, -1)),
    }
    spec = spec_of(spacing_mm=(1.0, 1.0, 1.0))
    case = normalise(spec)(load(spec)(paths))
    bright = (case["image"] > 1).squeeze(0)  # more than three quarters of the window
    marked = case["label"][0] == 2
    assert case["label"].dtype == torch.uint8
    assert marked.sum() == pytest.approx(6 * 6 * 6 * 0.8 * 2.5, rel=0.25)
    assert (bright & marked).sum() > 0.8 * marked.sum()
    assert not (bright & ~marked).any()


def test_a_label_on_the_networks_grid_takes_what_covers_most() -> None:
    label = np.array([[[[1, 1, 2, 2, 2, 2, 0, 0]]]], np.uint8)
    grid = VolumeGrid.whole(Geometry((1, 1, 8), np.eye(4)), (1, 1, 2))
    assert label_on_network_grid(label, grid, spec_of()).tolist() == [[[[1, 2, 2, 0]]]]
    two = np.concatenate([label == 1, label == 2]).astype(np.uint8)
    overlapping = label_on_network_grid(two, grid, spec_of(task="multilabel"))
    assert overlapping.tolist() == [[[[1, 0, 0, 0]]], [[[0, 1, 1, 0]]]]
    assert overlapping.dtype == np.uint8


@pytest.mark.parametrize(("task", "classes"), [("binary", ("a",)), ("multilabel", ("a", "b"))])
def test_what_fills_half_a_voxel_is_kept_if_classes_do_not_compete(task: str, classes: tuple[str, ...]) -> None:
    label = np.array([[[[1, 0, 0]]], [[[0, 0, 1]]]], np.uint8)[: len(classes), ..., :2]
    grid = VolumeGrid.whole(Geometry((1, 1, 2), np.eye(4)), (1, 1, 2))
    found = label_on_network_grid(label, grid, spec_of(task=task, classes=classes))
    assert found.ravel().tolist() == [1, 0][: len(classes)]


def test_positions_are_spread_over_the_whole_class() -> None:
    label = np.zeros((1, 10, 10, 10), np.uint8)
    label[0, 2:9] = 1
    label[0, 5, 5, 5] = 2
    found = class_positions(label, most=50)
    assert found.shape == (51, 4)
    assert (label[0][tuple(found[:, 1:].T)] == found[:, 0]).all()
    assert found[found[:, 0] == 1][[0, -1], 1:].tolist() == [[2, 0, 0], [8, 9, 9]]
    overlapping = np.zeros((2, 3, 3, 3), np.uint8)
    overlapping[1, 1, 2, 0] = 1
    assert class_positions(overlapping).tolist() == [[2, 1, 2, 0]]
    assert class_positions(np.zeros((1, 2, 2, 2), np.uint8)).shape == (0, 4)


def test_the_cache_gives_back_what_was_loaded(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    paths = {
        "image": write(tmp_path / "i.nii.gz", rng.integers(-500, 500, (6, 7, 8), dtype=np.int16)),
        "label": write(tmp_path / "l.nii.gz", rng.integers(0, 3, (6, 7, 8), dtype=np.uint8)),
    }
    spec = spec_of(spacing_mm=(1.3, 1.0, 0.7))
    data = CachedDataset([paths], load(spec), cache_dir=tmp_path / "cache")
    first, again = data[0], CachedDataset([paths], load(spec), cache_dir=tmp_path / "cache")[0]
    for key in ("image", "label"):
        assert torch.equal(first[key].int(), again[key].int())
        assert first[key].dtype == again[key].dtype
    meta, kept = first["image_meta_dict"], again["image_meta_dict"]
    assert meta.keys() == kept.keys()
    assert all(torch.equal(meta[name], kept[name]) for name in meta if name != "filename_or_obj")


def test_a_label_of_another_grid_is_named(tmp_path: Path) -> None:
    paths = {
        "image": write(tmp_path / "i.nii", np.ones((4, 4, 4), np.int16)),
        "label": write(tmp_path / "l.nii", np.ones((4, 4, 4), np.uint8), (1, 1, 3)),
    }
    with pytest.raises(ValueError, match=r"l\.nii: is up to 6 mm away from its image"):
        load(spec_of())(paths)


def test_ignored_voxels_are_no_patch_centres_and_survive_resampling(tmp_path: Path) -> None:
    label = np.zeros((8, 8, 8), np.uint8)
    label[:4], label[4:6] = 1, 9
    image = write(tmp_path / "i.nii.gz", np.full(label.shape, 300, np.int16))
    for task, classes in (("binary", ("a",)), ("multiclass", ("a", "b"))):
        spec = spec_of(task=task, classes=classes, ignore=9, spacing_mm=(2, 2, 2), size=(4, 4, 4))
        case = load(spec)({"image": image, "label": write(tmp_path / "l.nii.gz", label)})
        assert case["label"].shape == (1, 4, 4, 4)
        assert case["label"][0, :, 0, 0].tolist() == [1, 1, 255, 0]
        assert case["image_meta_dict"]["positions"][:, 0].unique().tolist() == [1]


def test_soft_labels_lie_on_the_label(tmp_path: Path) -> None:
    """A map for each class, on a turned scan resampled to larger voxels: where it is above a half, the class is."""
    rng = np.random.default_rng(1)
    label = np.zeros((8, 8, 8), np.uint8)
    label[2:6, 2:6, 0:4], label[2:6, 2:6, 6:8] = 1, 2
    case = {
        "image": write(tmp_path / "i.nii.gz", rng.integers(0, 300, (8, 8, 8), dtype=np.int16), flips=(-1, 1, 1)),
        "label": write(tmp_path / "l.nii.gz", label, flips=(-1, 1, 1)),
        "soft_label": [
            write(tmp_path / f"{number}.nii.gz", (label == number).astype(np.float32), flips=(-1, 1, 1))
            for number in (1, 2)
        ],
    }
    loaded = load(spec_of(spacing_mm=(2.0, 2.0, 2.0)), keys=("image", "label", "soft_label"))(case)
    soft, found = loaded["soft_label"], loaded["label"][0]
    assert (soft.dtype, soft.shape) == (torch.uint8, (2, *found.shape))
    assert found.unique().tolist() == [0, 1, 2]
    for number in (1, 2):
        assert torch.equal(soft[number - 1] > 127, found == number)


def test_soft_labels_of_another_grid_are_named(tmp_path: Path) -> None:
    case = {
        "image": write(tmp_path / "i.nii.gz", np.ones((4, 4, 4), np.int16)),
        "soft_label": [write(tmp_path / f"{name}.nii.gz", np.zeros((4, 4, 4), np.float32), (2, 1, 1)) for name in "ab"],
    }
    with pytest.raises(ValueError, match=r"a\.nii\.gz"):
        load(spec_of(), keys=("image", "label", "soft_label"))(case)
