"""Patches and batches that fit a budget: counted by hand on a network of one layer."""

from functools import partial

import pytest
import torch
from torch import nn

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.networks import UNet
from medseg_monai.training.memory import ACTIVATION_BYTES, PROGRAM_BYTES, STATE_BYTES, activations, fit_memory

SPEC = DatasetSpec(
    "x",
    "multiclass",
    classes=("a", "b"),
    channels=("ct",),
    spatial_dims=3,
    size=(128, 112, 64),
    intensity=Intensity("zscore"),
)
NETWORK = partial(UNet, 1, 3, features=[8, 16], spatial_dims=3)


def test_activations_by_hand() -> None:
    """What each layer's backward pass needs: a convolution its input, batch norm its input, a rectifier its output."""
    with torch.device("meta"):
        layers = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1, bias=False),
            nn.BatchNorm3d(4),
            nn.ReLU(inplace=True),
            nn.Conv3d(4, 2, 1, bias=False),
        )
    found = activations(layers, (1, 6, 5, 4))
    voxels = 6 * 5 * 4
    assert (
        voxels * (1 + 4 + 4) <= found <= voxels * (1 + 4 + 4) + 4 * 4
    )  # batch norm also keeps a few numbers per channel


def test_activations_grow_with_the_patch() -> None:
    with torch.device("meta"):
        network = NETWORK()
    small, large = (activations(network, (1, side, side, side)) for side in (16, 32))
    assert large == pytest.approx(8 * small, rel=0.01)


def test_without_a_budget_nothing_changes() -> None:
    plan = fit_memory(SPEC, NETWORK, batch_size=3)
    assert (plan.spec, plan.batch_size) == (SPEC, 3)


def test_a_larger_budget_never_gives_less() -> None:
    voxels = []
    for budget in (1.1, 1.3, 1.6, 2, 4, 64):
        plan = fit_memory(SPEC, NETWORK, batch_size=2, memory_gb=budget, precision="fp32")
        i, j, k = plan.spec.size or (0, 0, 0)
        voxels.append(i * j * k * plan.batch_size)
        assert plan.memory_gb <= budget
        assert i <= 128 and j <= 112 and k <= 64  # noqa: PT018
    assert voxels == sorted(voxels)
    assert voxels[-1] == 128 * 112 * 64 * 2
    assert voxels[0] < voxels[-1] / 4


def test_the_figure_is_the_sum_that_the_module_states() -> None:
    plan = fit_memory(SPEC, NETWORK, batch_size=2, memory_gb=64, precision="fp32")
    with torch.device("meta"):
        network = NETWORK()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    values = 2 * activations(network, (1, 128, 112, 64))
    wanted = PROGRAM_BYTES + STATE_BYTES * parameters + ACTIVATION_BYTES[None] * values
    assert plan.memory_gb == pytest.approx(wanted / 1e9)


def test_a_patch_is_chosen_where_none_was_named() -> None:
    spec = DatasetSpec(
        "x",
        "binary",
        classes=("a",),
        channels=("ct",),
        spatial_dims=3,
        spacing_mm=(1, 1, 1),
        intensity=Intensity("zscore"),
    )
    assert fit_memory(spec, NETWORK, batch_size=2).spec.size == (96, 96, 96)


def test_pictures_keep_their_size() -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(256, 256))
    flat = partial(UNet, 1, 1, features=[8, 16])
    one = fit_memory(spec, flat, batch_size=1, memory_gb=64, precision="fp32").memory_gb
    two = fit_memory(spec, flat, batch_size=2, memory_gb=64, precision="fp32").memory_gb
    plan = fit_memory(spec, flat, batch_size=16, memory_gb=one + 4.5 * (two - one), precision="fp32")
    assert (plan.spec, plan.batch_size) == (spec, 5)


def test_an_impossible_budget_is_named() -> None:
    with pytest.raises(ValueError, match=r"memory_gb is 0\.5: even one patch of 16 voxels per side takes 1\.\d GB"):
        fit_memory(SPEC, NETWORK, batch_size=2, memory_gb=0.5)
    with pytest.raises(ValueError, match="memory_gb is 0; it must be above 0"):
        fit_memory(SPEC, NETWORK, batch_size=2, memory_gb=0)


def test_a_size_that_no_machine_can_hold_is_refused_at_once() -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("red", "green", "blue"), size=(100_000, 100_000))
    network = partial(UNet, 3, 1, features=[8, 16])
    with pytest.raises(
        ValueError, match=r"size: one sample of 100000x100000 takes about [\d,]+ GB, but this machine has "
    ):
        fit_memory(spec, network, batch_size=1)


def test_what_one_sample_takes_decides_not_the_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(512, 512))
    network = partial(UNet, 1, 1, features=[64, 64])
    picture = 4 * 512 * 512 * 3  # with its logits and their gradient
    monkeypatch.setattr("medseg_monai.training.memory._memory_bytes", lambda device: 10 * picture)
    with pytest.raises(ValueError, match="one sample of 512x512"):
        fit_memory(spec, network, batch_size=1)
    monkeypatch.setattr("medseg_monai.training.memory._memory_bytes", lambda device: 1000 * picture)
    assert fit_memory(spec, network, batch_size=1).spec.size == (512, 512)
