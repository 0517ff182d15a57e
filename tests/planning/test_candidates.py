"""The forms of networks that a plan chooses from: they can be built, are ordered by cost, and say when ImageNet would help."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from drawn_facts import PHOTOS

from medseg_monai import networks
from medseg_monai.dataset import Intensity
from medseg_monai.planning.candidates import (
    PUBLISHED,
    Candidate,
    missing_encoders,
    photo_candidates,
    volume_candidates,
)

OURS = ("UNet", "UNetPlusPlus", "ResUNetPlusPlus", "PSPNet", "DeepLabV3Plus")


def built(network: str, form: Candidate, **arguments: object) -> torch.nn.Module:
    """On the meta device, without weights."""
    given = {**arguments, **form.architecture, **({"pretrained": False} if form.pretrained else {})}
    with torch.device("meta"):
        module: torch.nn.Module = getattr(networks, network)(**given)
    return module


@pytest.mark.parametrize("network", OURS)
def test_every_form_for_photographs_can_be_built_and_the_last_is_the_published_one(network: str) -> None:
    forms = photo_candidates(network, PHOTOS)
    assert forms[-1].name == PUBLISHED
    assert not forms[-1].architecture
    assert len({form.name for form in forms}) == len(forms)
    for form in forms:
        answer = built(network, form, in_channels=3, out_channels=1).eval()(torch.empty(1, 3, 64, 64, device="meta"))
        assert answer.shape == (1, 1, 64, 64)


@pytest.mark.parametrize("network", OURS)
def test_the_stride_of_a_form_is_that_of_its_finest_map(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.planning.candidates.packaged_weights_file", lambda name: f"{name}.pth")
    for form in photo_candidates(network, PHOTOS):
        module, sides = built(network, form, in_channels=3, out_channels=1).eval(), []
        module.get_submodule("last_stage").register_forward_hook(
            lambda _module, _inputs, output, sides=sides: sides.append(output.shape[2])
        )
        module(torch.empty(1, 3, 64, 64, device="meta"))
        assert sides == [64 // form.stride], form.name


@pytest.mark.parametrize("network", ["UNet", "UNetPlusPlus", "ResUNetPlusPlus"])
def test_forms_for_volumes_are_built_with_instance_norm_and_grow(network: str) -> None:
    forms = volume_candidates(network)
    weights = []
    for form in forms:
        module = built(network, form, in_channels=1, out_channels=2, spatial_dims=3)
        assert any(isinstance(part, torch.nn.InstanceNorm3d) for part in module.modules())
        weights.append(sum(parameter.numel() for parameter in module.parameters()))
    assert weights == sorted(weights)
    assert [form.width for form in forms] == sorted(form.width for form in forms)


def test_a_network_of_somebody_else_is_taken_as_it_is() -> None:
    assert [form.name for form in photo_candidates("SwinUNETR", PHOTOS)] == [PUBLISHED]
    assert volume_candidates("SwinUNETR") == [Candidate(PUBLISHED)]


@pytest.mark.parametrize("network", OURS)
def test_imagenet_is_offered_where_its_values_are_known_and_a_decoder_takes_it(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medseg_monai.planning.candidates.packaged_weights_file", lambda name: f"{name}.pth")
    offered = [form for form in photo_candidates(network, PHOTOS) if form.pretrained]
    assert bool(offered) == (network != "ResUNetPlusPlus")
    assert not missing_encoders(network, PHOTOS)
    own_scale = replace(PHOTOS, intensity=Intensity("zscore"))
    assert not [form for form in photo_candidates(network, own_scale) if form.pretrained]


def test_it_is_said_when_a_package_with_weights_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert missing_encoders("UNet", PHOTOS)
    assert not missing_encoders("ResUNetPlusPlus", PHOTOS)
