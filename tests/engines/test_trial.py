"""The trial of engines: which are tried, on what, and what is remembered of it."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from medseg_monai.engines import trial
from medseg_monai.engines.trial import SAMPLE_IMAGES, Choice, Trial, candidates

CPU = torch.device("cpu")


def network(bias: float = 0.1) -> nn.Module:
    """Foreground where the image is above -bias."""
    net = nn.Conv2d(1, 1, 1).eval()
    nn.init.ones_(net.weight)
    nn.init.constant_(net.bias, bias)  # type: ignore[arg-type]
    return net


def tried(folder: Path, images: torch.Tensor, net: nn.Module | None = None) -> Trial:
    return Trial(net or network(), images, task="binary", cache=folder)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All engines, on hardware with bfloat16."""
    monkeypatch.setattr(trial, "is_installed", lambda _: True)
    monkeypatch.setattr(trial, "precision_of", lambda wanted, _: torch.bfloat16 if wanted in ("auto", "bf16") else None)


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        ("torch", "auto", ["torch bf16", "torch fp32"]),
        ("torch", "bf16", ["torch bf16"]),
        ("torch", "fp32", ["torch fp32"]),
        ("onnx", "auto", ["onnx fp32"]),
        ("auto", "auto", ["torch bf16", "torch fp32", "onnx fp32", "openvino bf16", "openvino fp32"]),
    ],
)
def test_the_faster_precision_is_tried_first(engine: str, precision: str, expected: list[str], installed: None) -> None:
    assert sorted(f"{each.engine} {each.precision}" for each in candidates(engine, precision, CPU)) == sorted(expected)
    of_one = [each.precision for each in candidates(engine, precision, CPU) if each.engine == expected[0].split()[0]]
    assert of_one == [name.split()[1] for name in expected if name.startswith(expected[0].split()[0])]


def test_runtimes_are_for_the_cpu(installed: None) -> None:
    with pytest.raises(ValueError, match="engine onnx runs on the CPU: use engine torch for cuda, or device cpu"):
        candidates("onnx", "auto", torch.device("cuda"))
    assert {each.engine for each in candidates("auto", "auto", torch.device("cuda"))} == {"torch"}


@pytest.mark.parametrize(("count", "sampled"), [(1, 4), (2, 8), (3, 9), (8, 8), (20, 20)])
def test_mirrored_images_make_up_for_few(count: int, sampled: int) -> None:
    images = torch.rand(count, 1, 4, 6)
    found = trial._sample(images)
    assert len(found) == sampled >= min(SAMPLE_IMAGES, 4 * count)
    assert torch.equal(found[:count], images)
    if count == 1:
        assert torch.equal(found[3], images[0].flip((-2, -1)))


def test_images_without_foreground_decide_nothing(tmp_path: Path) -> None:
    assert tried(tmp_path, torch.full((2, 1, 8, 8), -5.0)).choose("torch", "fp32") is None
    assert not list(tmp_path.rglob("*.json"))


def test_a_choice_is_remembered_for_these_weights_and_this_size(tmp_path: Path) -> None:
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    choice = tried(tmp_path, images).choose("torch", "fp32")
    assert choice is not None
    assert (choice.engine, choice.precision) == ("torch", "fp32")
    (file,) = tmp_path.rglob("*.json")
    file.write_text(json.dumps({"engine": "plain", "precision": "fp32", "why": "read"}))
    assert tried(tmp_path, images).choose("torch", "fp32") == Choice("plain", "fp32", "read")
    for other in (tried(tmp_path, images, network(0.2)), tried(tmp_path, images[..., :6])):
        found = other.choose("torch", "fp32")
        assert found is not None
        assert found.why != "read"
    file.write_text("{torn")
    assert tried(tmp_path, images).choose("torch", "fp32") == choice


def test_an_engine_that_differs_is_refused_by_name_and_passed_over_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trial, "runner", lambda self, choice: lambda images: -network()(images))
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="torch with precision fp32 is refused: torch fp32 differs from plain float32"):
        tried(tmp_path, images).choose("torch", "fp32")
    choice = tried(tmp_path, images).choose("torch", "auto")
    assert choice is not None
    assert choice.engine == "plain"
    assert not list(tmp_path.rglob("*.json")), "other images may decide otherwise"
