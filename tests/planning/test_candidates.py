"""The forms of networks that a plan chooses from: they can be built, are ordered by cost, and say when ImageNet would help."""

import importlib.util
import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from conftest import REPOSITORY
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


@pytest.mark.parametrize(
    ("network", "bundle"), [("UNetPlusPlus", "unetpp"), ("PSPNet", "pspnet"), ("DeepLabV3Plus", "deeplabv3plus")]
)
def test_beside_an_imagenet_encoder_is_what_the_shipped_weights_have(
    network: str, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medseg_monai.planning.candidates.packaged_weights_file", lambda name: f"{name}.pth")
    shipped = json.loads((REPOSITORY / "bundles" / bundle / "models" / "spec.json").read_text())["architecture"]
    *_, form = (one for one in photo_candidates(network, PHOTOS) if one.pretrained)
    own = {"deep_supervision"}  # heads besides the deepest cost accuracy in a short training
    assert {key: value for key, value in form.architecture.items() if key not in own}.items() <= shipped.items()


def test_of_unetpp_only_the_published_form_has_several_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.planning.candidates.packaged_weights_file", lambda name: f"{name}.pth")
    *forms, published = photo_candidates("UNetPlusPlus", PHOTOS)
    assert len(forms) == 6
    assert {form.architecture["deep_supervision"] for form in (*forms, *volume_candidates("UNetPlusPlus"))} == {False}
    assert not published.architecture


def test_forms_are_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.planning.candidates.packaged_weights_file", lambda name: f"{name}.pth")
    levels = [one.architecture["levels"] for one in photo_candidates("PSPNet", PHOTOS) if "third map" in one.name]
    assert levels == [3, 3]
    for form in photo_candidates("UNet", PHOTOS)[:4]:
        features = form.architecture["features"]
        assert form.name.startswith(f"{features[0]} to {features[-1]} channels")
        assert ("half size" in form.name) == (form.architecture["stem_stride"] == 2)
        assert [wide / narrow for narrow, wide in pairwise(features)] == [2] * 4
        assert form.width == features[0]
    shipped = json.loads((REPOSITORY / "bundles" / "unet3d" / "models" / "spec.json").read_text())["architecture"]
    narrow, plain, third, wide = (form.architecture["features"] for form in volume_candidates("UNet"))
    assert third == shipped["features"]
    assert all(b == 2 * a for features in (narrow, plain, wide) for a, b in pairwise(features))
    # the finest two levels count: the roots of 8 x 16, 16 x 32, 16 x 48 and 32 x 64
    assert [form.width for form in volume_candidates("UNet")] == [11, 23, 28, 45]
    assert [form.name.split(" ch")[0] for form in volume_candidates("UNet")] == [
        "8 to 64", "16 to 128", "16 to 192", "32 to 256",
    ]  # fmt: skip


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
