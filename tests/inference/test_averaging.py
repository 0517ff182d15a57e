"""Test-time augmentation and ensembles: views undone exactly, means of probabilities by hand, members that do not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import EngineInferer
from medseg_monai.inference.averaging import (
    AveragedViews,
    Ensemble,
    check_alike,
    mean_logits,
    to_logits,
    views,
    with_members,
)

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))


@pytest.mark.parametrize(
    ("kind", "dims", "count"), [("flips", 2, 4), ("dihedral", 2, 8), ("flips", 3, 8), ("dihedral", 3, 16)]
)
def test_views_are_different_and_undone_exactly(kind: str, dims: int, count: int) -> None:
    image = torch.arange(2 * 2 * 5 * 4 * 3.0).reshape(2, 2, 5, 4, 3) if dims == 3 else torch.rand(2, 2, 5, 4)
    seen = views(kind, dims)
    for view in seen:
        assert torch.equal(view.back(view.of(image)), image)
    square = torch.rand(1, 1, 3, 3, 3) if dims == 3 else torch.rand(1, 1, 3, 3)
    assert len({tuple(view.of(square).flatten().tolist()) for view in seen}) == count


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="tta: got 'flip' .did you mean 'flips'"):
        views("flip", 2)


def test_the_mean_is_one_of_probabilities_by_hand() -> None:
    answers = [torch.tensor([[[[p]]]]).logit() for p in (0.2, 0.9)]
    assert mean_logits(answers, "binary").sigmoid().item() == pytest.approx(0.55)
    classes = [torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.1, 0.2, 0.7]).log()]
    mean = mean_logits([c[None, :, None, None] for c in classes], "multiclass").softmax(dim=1)
    assert mean.flatten().tolist() == pytest.approx([0.4, 0.2, 0.4])


def test_certain_probabilities_have_finite_logits() -> None:
    assert torch.isfinite(to_logits(torch.tensor([0.0, 1.0]), "binary")).all()


class LeftOnly(nn.Module):
    """Sees the lesion in the left half alone, and brightness on the right not at all."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full_like(x, -2)
        logits[:, :, : x.shape[2] // 2] = x[:, :, : x.shape[2] // 2]
        return logits


def test_flips_show_the_network_what_it_misses() -> None:
    image = torch.full((1, 1, 4, 4), 2.0)
    averaged = AveragedViews(SimpleInferer(), "flips", task="binary")(image, LeftOnly())
    expected = (torch.tensor(2.0).sigmoid() + torch.tensor(-2.0).sigmoid()) / 2
    assert torch.allclose(averaged.sigmoid(), expected.expand(1, 1, 4, 4), atol=1e-5)


def test_an_even_network_is_not_changed_by_its_views() -> None:
    image = torch.randn(2, 1, 6, 4)
    averaged = AveragedViews(SimpleInferer(), "dihedral", task="binary")(image, nn.Identity())
    assert torch.allclose(averaged, image, atol=1e-4)


class Upright(nn.Module):
    """Finds the brightest corner only where it expects it: up on the left."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full_like(x, -2)
        logits[:, :, :2, :2] = 2 * x[:, :, :2, :2]
        return logits


def test_a_network_that_does_not_know_mirror_images_is_pointed_out_once(caplog: pytest.LogCaptureFixture) -> None:
    averaged = AveragedViews(SimpleInferer(), "flips", task="binary")
    image = torch.ones(1, 1, 8, 8)
    for count in (0, 0, 1, 1):
        averaged(image, Upright())
        assert sum("finds something else (Dice 0.00" in line for line in caplog.messages) == count


def test_a_network_that_knows_mirror_images_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    averaged = AveragedViews(SimpleInferer(), "dihedral", task="binary")
    for _ in range(12):
        averaged(torch.ones(1, 1, 90, 130), nn.Identity())
        averaged(-torch.ones(1, 1, 90, 130), nn.Identity())  # nothing found: says nothing
    assert averaged.agreed is not None
    assert averaged.agreed.images == 3
    assert averaged.agreed.dice == 1
    assert not caplog.messages


def saved(folder: Path, seed: int, spec: DatasetSpec = SPEC) -> tuple[Trained, nn.Module]:
    """Weights of a small network in a folder."""
    torch.manual_seed(seed)
    arguments = {"in_channels": spec.in_channels, "out_channels": spec.out_channels, "features": [4, 8]}
    trained = Trained(dataset=spec, architecture={"_target_": "medseg_monai.networks.UNet", **arguments}, bundle="unet")
    folder.mkdir()
    trained.write(folder)
    network = trained.build_network().eval()
    torch.save(network.state_dict(), folder / "model.pt")
    return trained, network


def test_an_ensemble_is_the_mean_of_its_members(tmp_path: Path) -> None:
    (trained, first), (_, second) = saved(tmp_path / "a", 1), saved(tmp_path / "b", 2)
    both = with_members(first, trained, [str(tmp_path / "b")], bundle_root="nowhere").eval()
    image = torch.randn(2, 1, 8, 8)
    expected = (first(image).sigmoid() + second(image).sigmoid()) / 2
    assert isinstance(both, Ensemble)
    assert torch.allclose(both(image).sigmoid(), expected, atol=1e-5)
    assert with_members(first, trained, [], bundle_root="nowhere") is first


@pytest.mark.parametrize("engine", ["torch", "onnx", "openvino"])
def test_an_ensemble_runs_in_every_engine(engine: str, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(engine, engine))
    (trained, first), _ = saved(tmp_path / "a", 1), saved(tmp_path / "b", 2)
    both = with_members(first, trained, [str(tmp_path / "b")], bundle_root="nowhere").eval()
    image = 3 * torch.randn(2, 1, 8, 8)
    infer = EngineInferer(engine, precision="fp32", cache=tmp_path)
    assert torch.allclose(infer(image, both), both(image), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (16, 16)}, r"trained with size \(16, 16\), but the first weights with \(8, 8\)"),
        ({"classes": ("mole",)}, r"trained with classes \('mole',\)"),
    ],
)
def test_members_for_other_images_or_classes_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    trained, network = saved(tmp_path / "a", 1)
    saved(tmp_path / "b", 2, replace(SPEC, **changes))
    with pytest.raises(ValueError, match=message):
        with_members(network, trained, [tmp_path / "b"], bundle_root="nowhere")


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    trained, network = saved(tmp_path / "a", 1)
    with pytest.raises(FileNotFoundError, match="no weights 'elsewhere'"):
        with_members(network, trained, ["elsewhere"], bundle_root=tmp_path)


def test_a_data_sets_name_may_differ() -> None:
    check_alike(SPEC, replace(SPEC, name="other", licence="CC0"), "x")
