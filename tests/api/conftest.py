"""A small training and its data set, for the tests of what comes after it."""

from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.training import Training

SMALL = ["architecture#features=[4, 8, 8]"]


@pytest.fixture(scope="session")
def data(demo_data: Path) -> ImageDataset:
    return mm.load_dataset(demo_data)


@pytest.fixture(scope="session")
def training(data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A U-Net of two epochs."""
    return mm.train(
        "unet", data, max_epochs=2, size=64, batch_size=4, seed=3, assignments=SMALL, out=tmp_path_factory.mktemp("w")
    )
