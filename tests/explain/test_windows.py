"""Maps of volumes, window by window: with a network that sees one voxel the windows cannot be told."""

import pytest
import torch
from explanations import Brightness

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.explain.maps import explain
from medseg_monai.explain.windows import explain_case

SPEC = DatasetSpec(
    "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=Intensity("zscore")
)


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """A volume of 16 x 8 x 8, bright in a block of its first half, and the region, that block."""
    image = torch.zeros(1, 1, 16, 8, 8)
    image[..., 1:5, 2:6, 2:6] = 1
    return image, (image[0, 0] > 0.5).float()


@pytest.mark.parametrize("method", ["cam", "gradcam"])
def test_the_heat_is_where_the_network_looks_and_the_score_is_that_of_the_whole(method: str) -> None:
    network, (image, region) = Brightness(spatial_dims=3).eval(), scene()
    logits = network(image)[0].detach()
    arguments = {"channel": 0, "region": region, "method": method, "layer": None}
    found = explain_case(network, image, spec=SPEC, logits=logits, **arguments)  # type: ignore[arg-type]
    assert found.values.shape == (16, 8, 8)
    assert found.values[region > 0].mean() > 10 * found.values[region == 0].abs().mean()
    assert found.score == pytest.approx(3.0)  # 4 times 1, less 1, over the region


def test_a_cam_of_windows_is_that_of_the_whole_if_the_network_sees_one_voxel() -> None:
    network, (image, region) = Brightness(spatial_dims=3).eval(), scene()
    arguments = {"channel": 0, "region": region, "method": "cam", "layer": None}
    found = explain_case(network, image, spec=SPEC, logits=network(image)[0].detach(), **arguments)  # type: ignore[arg-type]
    torch.testing.assert_close(found.values, explain(network, image, **arguments).values)  # type: ignore[arg-type]


def test_windows_count_by_their_share_of_the_region_and_others_not_at_all() -> None:
    """Three bright voxels of the region in the first window, one in the last, and one beside it that is not of the region."""
    network, image = Brightness(spatial_dims=3).eval(), torch.zeros(1, 1, 24, 8, 8)
    image[..., 1, 3, 2:5] = image[..., 10, 3, 3] = image[..., 22, 3, 3] = 1
    region = (image[0, 0] > 0.5).float()
    region[10] = 0
    arguments = {"channel": 0, "region": region, "method": "gradcam", "layer": None}
    found = explain_case(network, image, spec=SPEC, logits=network(image)[0].detach(), **arguments)  # type: ignore[arg-type]
    assert found.values[1, 3, 3] == pytest.approx(3 * found.values[22, 3, 3].item())
    assert found.values[22, 3, 3] > 0
    assert found.values[10, 3, 3] == 0


def test_a_photograph_is_explained_at_once() -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(8, 8))
    network, image = Brightness().eval(), torch.rand(1, 1, 8, 8)
    arguments = {"channel": 0, "region": torch.ones(8, 8), "method": "gradcam", "layer": None}
    once = explain(network, image, **arguments)  # type: ignore[arg-type]
    found = explain_case(network, image, spec=spec, logits=torch.zeros(1, 8, 8), **arguments)  # type: ignore[arg-type]
    assert torch.equal(found.values, once.values)
    assert found.score == once.score


def test_where_nothing_is_hot_it_is_said() -> None:
    network, (image, region) = Brightness(spatial_dims=3).eval(), scene()
    torch.nn.init.zeros_(network.head.weight)
    arguments = {"channel": 0, "region": region, "method": "gradcam", "layer": None}
    found = explain_case(network, image, spec=SPEC, logits=network(image)[0].detach(), **arguments)  # type: ignore[arg-type]
    assert not found.values.any()
    assert found.note
