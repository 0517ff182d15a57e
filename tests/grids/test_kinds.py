"""Facts about photographs and volumes."""

import numpy as np
import pytest
import torch.nn.functional as F
from torch import ones

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.kinds import KINDS, ImageKind, kind_of
from medseg_monai.images.slices import slice_file
from medseg_monai.images.volumes import is_volume


@pytest.mark.parametrize("dims", [2, 3])
def test_a_spec_has_the_kind_with_its_number_of_axes(dims: int) -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), spatial_dims=dims, size=(8,) * dims)
    assert len(kind_of(spec).axes) == dims


def test_the_kinds_share_no_file() -> None:
    photos, volumes = KINDS[2], KINDS[3]
    assert not set(photos.suffixes) & set(volumes.suffixes)
    assert all(is_volume(f"x{suffix}") for suffix in volumes.suffixes)
    assert not any(is_volume(f"x{suffix}") for suffix in photos.suffixes)


def test_no_volume_is_taken_for_a_slice() -> None:
    name = "scans/slice_0001_266_276_1.50_1.63"
    assert slice_file(f"{name}.png")
    assert not any(slice_file(f"{name}{suffix}") for suffix in KINDS[3].suffixes)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.noun)
def test_what_a_kind_names_exists(kind: ImageKind) -> None:
    find_bundle(kind.first_bundle)
    constant = ones(1, 1, *[2] * len(kind.axes))
    assert (F.interpolate(constant, scale_factor=2, mode=kind.interpolation) == 1).all()


def test_images_as_people_index_them() -> None:
    """Columns come first in tensors, rows in pictures; colours last in pictures, channels first in volumes."""
    photo, volume = np.arange(6).reshape(1, 3, 2), np.arange(24).reshape(1, 2, 3, 4)
    assert KINDS[2].as_image(photo).tolist() == [[0, 2, 4], [1, 3, 5]]
    assert KINDS[2].as_image(np.concatenate([photo, photo + 10]))[1, 0].tolist() == [1, 11]
    assert np.array_equal(KINDS[3].as_image(volume), volume[0])
    assert np.array_equal(KINDS[3].as_image(np.concatenate([volume, volume + 50]))[1], volume[0] + 50)
