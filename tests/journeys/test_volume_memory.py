"""A whole CT with 15 classes on a CPU, within the memory that is promised: 8 GB, measured from outside."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from conftest import REPOSITORY

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.networks import UNet

logger = logging.getLogger(__name__)

SHAPE = (512, 512, 300)
CLASSES = tuple(f"organ{number}" for number in range(1, 16))
RUN = """
import resource, sys
from pathlib import Path
from medseg_monai.bundle.workflow import run_bundle
weights, scan, out = sys.argv[1:]
given = {"dataset_dir": scan, "weights": weights, "output_dir": out, "device": "cpu"}
run_bundle(Path("bundles/unet3d"), "inference", given)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.5), (1.5, 1.5, 2.0)], ids=["its own spacing", "coarser"])
def test_a_whole_ct_of_15_classes_within_8_gb(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    """Also where the network works at the scan's own spacing: 16 maps of 79 million voxels."""
    spec = DatasetSpec(
        "ct", "multiclass", classes=CLASSES, channels=("ct",), spatial_dims=3, size=(128, 128, 96),
        spacing_mm=spacing, intensity=Intensity("window", lower=-160, upper=240),
    )  # fmt: skip
    architecture = {
        "_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 16, "features": [4, 8], "spatial_dims": 3,
    }  # fmt: skip
    Trained(dataset=spec, architecture=architecture, bundle="unet3d").write(tmp_path)
    torch.save(UNet(1, 16, features=[4, 8], spatial_dims=3).state_dict(), tmp_path / "model.pt")
    values = np.random.default_rng(0).integers(-150, 250, SHAPE, dtype=np.int16)
    scan = tmp_path / "ct.nii"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-0.8, -0.8, 1.5, 1.0])), scan)
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), str(scan), str(tmp_path / "out")],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    gigabytes = int(ended.stdout.splitlines()[-1]) * 1024 / 1e9
    logger.info("peak resident memory: %.2f GB", gigabytes)  # --log-cli-level=INFO shows it
    assert gigabytes < 8
    [written] = (tmp_path / "out").rglob("*.nii.gz")
    label = nibabel.load(written)
    assert label.shape == SHAPE
    assert np.allclose(label.affine, np.diag([-0.8, -0.8, 1.5, 1.0]), atol=1e-5)
