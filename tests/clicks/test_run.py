"""`medseg correct`: an image segmented, corrected and written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import torch
from conftest import REPOSITORY, Outcome
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.clicks import Click
from medseg_monai.clicks.run import correct_image
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.rle import decode_rle


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_a_mask_is_corrected_by_clicks(
    medseg: Callable[..., Outcome], demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    """Under the names of medseg predict, in a folder of its own; the last line says what has changed."""
    photograph = sorted((demo_data / "images").iterdir())[0]
    given = ("correct", "unetpp", photograph, "-w", trained)
    assert medseg("predict", "unetpp", photograph, "-w", trained, "--out", tmp_path / "masks").code == 0
    (tmp_path / "new").mkdir()  # one that is there will do
    before = pixels(tmp_path / "masks" / f"{photograph.stem}_mask.png")
    clicks = ("--inside", "10,20", "--outside", "lesion:70,90", "--box", "5,6,79,95")
    ended = medseg(*given, *clicks, "--out", tmp_path / "new", "--overlay", "--format", "png,rle,coco")
    assert ended.code == 0, ended.err
    after = pixels(tmp_path / "new" / f"{photograph.stem}_mask.png")
    assert (after[10, 20], after[70, 90]) == (255, 0)
    assert not after[:5].any()
    assert not after[:, :6].any()
    assert f"{photograph.name} corrected by 2 clicks and a box -> {tmp_path / 'new'}" in ended.out
    assert f"({(after != before).sum():,} pixels changed)" in ended.out
    assert pixels(tmp_path / "new" / f"{photograph.stem}_overlay.jpg").shape == (80, 96, 3)
    rows = (tmp_path / "new" / "masks_rle.csv").read_text().splitlines()[1:]
    height, width = after.shape
    decoded = decode_rle(rows[0].split(",")[-1], (width, height))
    assert np.array_equal(decoded.T, after == 255)
    coco = json.loads((tmp_path / "new" / "masks.coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [photograph.name]
    refused = medseg(*given, "--inside", "10,20", "--out", tmp_path / "masks")
    assert (refused.code, "which would no longer agree: name another folder with --out" in refused.err) == (1, True)
    beyond = medseg(*given, "--inside", "80,20", "--out", tmp_path / "none")
    assert (beyond.code, "row 80, column 20: outside the image, which has 80 rows and 96 columns" in beyond.err) == (
        1,
        True,
    )
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        shutil.copy(photograph, tmp_path / "two" / f"{name}{photograph.suffix}")
    several = medseg(
        "correct", "unetpp", tmp_path / "two", "-w", trained, "--inside", "1,2", "--out", tmp_path / "none"
    )
    assert (several.code, "clicks are about one: name it" in several.err) == (1, True)
    assert not (tmp_path / "none").exists()


def test_a_volumes_mask_is_corrected_by_a_click(tmp_path: Path) -> None:
    """ROW and COLUMN are j and i; the scan's grid, its format and its table of volumes are as predict writes them."""
    spec = DatasetSpec(
        "v", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(16, 16, 16),
        spacing_mm=(2, 2, 2), intensity=Intensity("zscore"),
    )  # fmt: skip
    torch.manual_seed(0)
    arguments = {"in_channels": 1, "out_channels": 3, "features": [4, 8], "spatial_dims": 3}
    content = Trained(spec, {"_target_": "medseg_monai.networks.UNet", **arguments}, "unet3d")
    content.write(tmp_path)
    torch.save(content.build_network().state_dict(), tmp_path / "model.pt")
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    voxels = np.random.default_rng(0).normal(size=(20, 24, 10)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "x.nii.gz")
    clicks = [Click(7, 11, slice=3, class_name="b"), Click(20, 2, slice=9, inside=False)]
    found = correct_image(
        REPOSITORY / "bundles" / "unetpp",
        tmp_path / "x.nii.gz",
        tmp_path / "deep" / "new",
        clicks=clicks,
        weights=str(tmp_path),
    )
    assert found.files == [tmp_path / "deep" / "new" / "x_mask.nii.gz"]
    mask = nibabel.load(found.files[0])
    numbers = np.asarray(mask.dataobj)
    assert (numbers[11, 7, 3], numbers[2, 20, 9]) == (2, 0)
    assert np.allclose(mask.affine, affine)
    assert (
        f"x,b,{0.012 * (numbers == 2).sum():.4f},{(numbers == 2).sum()}"
        in (tmp_path / "deep" / "new" / "volumes.csv").read_text()
    )
