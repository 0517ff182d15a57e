"""What describes a volume: as many numbers for every size, each about what its name says; the network's answer plays no part."""

import numpy as np
import pytest
import torch

from medseg_monai.quality.volume_descriptor import VERSION, describe_volume, volume_number_names


def smooth(size: tuple[int, int, int]) -> torch.Tensor:
    """A slope with a bright ball to the left, front and top, (1, i, j, k)."""
    axes = torch.meshgrid(*[(torch.arange(count) + 0.5) / count for count in size], indexing="ij")
    places = torch.stack(list(axes))
    ball = torch.sigmoid((0.25 - (places - torch.tensor([0.3, 0.7, 0.7])[:, None, None, None]).norm(dim=0)) * 30)
    return (places[0] + 3 * ball)[None]


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("size", [(40, 50, 30), (1, 64, 64), (5, 2, 3), (96, 20, 100)])
def test_there_are_as_many_finite_numbers_as_names_whatever_the_size(channels: int, size: tuple[int, int, int]) -> None:
    names = volume_number_names([f"channel {number}" for number in range(channels)])
    for image in (torch.randn(channels, *size), torch.zeros(channels, *size)):
        found = describe_volume(image)
        assert {part: len(numbers) for part, numbers in found.items()} == {part: len(n) for part, n in names.items()}
        assert all(np.isfinite(numbers).all() for numbers in found.values())
    for given in names.values():
        assert len(set(given)) == len(given)


def test_size_hardly_matters_for_what_is_not_the_finest_texture() -> None:
    expected, found = describe_volume(smooth((64, 64, 64))), describe_volume(smooth((40, 80, 50)))
    assert np.allclose(found["values"], expected["values"], atol=0.05)
    assert np.allclose(found["layout"], expected["layout"], atol=0.05)


def test_the_brightest_cell_is_named() -> None:
    image = torch.zeros(1, 32, 32, 32)
    image[:, :11, 21:, :11] = 1  # first along left to right, last along back to front, first along bottom to top
    cells = dict(zip(volume_number_names(["mri"])["layout"], describe_volume(image)["layout"], strict=True))
    assert max(cells, key=lambda name: cells[name]) == "brightness left front bottom"
    # one of 27 cells is 1: that cell is 26 / 27 above the mean
    assert max(cells.values()) == pytest.approx(26 / 27, abs=0.05)


def test_values_by_hand() -> None:
    """Three quarters of 1, one quarter of 5: the mean is 2, each is 3 or 1 off, the standard deviation is the root of 3."""
    image = torch.ones(1, 32, 32, 32)
    image[:, 24:] = 5
    values = dict(zip(volume_number_names(["mri"])["values"], describe_volume(image)["values"], strict=True))
    assert values["contrast of mri"] == pytest.approx(np.log(np.sqrt(3)), abs=1e-3)
    named = [values[f"{name} values of mri"] for name in ("lowest", "middle", "higher", "highest")]
    assert named == [1, 1, 1, 5], "three quarters of the voxels, the last of which is the upper quartile"


def test_fine_differences_by_hand() -> None:
    """Along the first axis -1 and 1 in turn: neighbours differ by 2, and such differences by 4; along the others nothing differs."""
    image = torch.tensor([-1.0, 1.0]).repeat(20)[None, :, None, None].expand(1, 40, 30, 20)
    found = dict(zip(volume_number_names(["ct"])["texture"], describe_volume(image)["texture"], strict=True))
    assert found["differences between voxels left to right"] == pytest.approx(np.log(2), abs=1e-3)
    assert found["roughness left to right"] == pytest.approx(np.log(4), abs=1e-3)
    for axis in ("back to front", "bottom to top"):
        assert found[f"differences between voxels {axis}"] == pytest.approx(np.log(1e-3), abs=1e-3)


def test_a_large_volume_is_sampled_with_little_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn(1, 60, 70, 80, generator=torch.Generator().manual_seed(0))
    whole = describe_volume(image)["texture"]
    monkeypatch.setattr("medseg_monai.quality.volume_descriptor.SAMPLED_VOXELS", 20_000)
    assert describe_volume(image)["texture"] == pytest.approx(whole, abs=0.05)


def test_numbers_that_mean_something_else_are_of_a_new_version() -> None:
    """If this fails, what weights have learnt of volumes no longer fits: raise VERSION, and write the new numbers here."""
    found = {part: float(np.sqrt(np.mean(row**2))) for part, row in describe_volume(smooth((24, 30, 20))).items()}
    assert VERSION == 1
    assert found == pytest.approx({"values": 1.218, "layout": 0.357, "texture": 2.895}, abs=0.002)
