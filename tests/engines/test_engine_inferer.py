"""Engines give plain float32's logits; one that does not is refused; what was found is remembered."""

import json
import logging
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import EngineInferer
from medseg_monai.engines.engine_inferer import cache_folder
from medseg_monai.engines.trial import Choice, Trial
from medseg_monai.inference.inferer import case_inferer, preparation_seconds
from medseg_monai.networks import UNet

PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}


def inferer(engine: str, folder: Path, **options: str) -> EngineInferer:
    return EngineInferer(engine, cache=folder, **options)


def blobs(count: int = 3, seed: int = 0) -> Tensor:
    """Noise with a bright square."""
    images = torch.randn(count, 3, 32, 24, generator=torch.Generator().manual_seed(seed)) / 4
    images[:, :, 8:20, 6:16] += 3
    return images


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    net = UNet(3, 1, features=(8, 16)).eval()
    nn.init.constant_(net.head.bias, 0.1)
    return net


@pytest.mark.parametrize("engine", PACKAGES)
def test_every_engine_gives_the_networks_logits(engine: str, network: nn.Module, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[engine])
    infer = inferer(engine, tmp_path, precision="fp32")
    with torch.no_grad():
        for images in (blobs(3), blobs(2, seed=1), blobs(1, seed=2)):  # the last batch may be smaller
            assert torch.allclose(infer(images, network), network(images), atol=1e-4)
    assert infer.choice is not None
    assert (infer.choice.engine, infer.choice.precision) == (engine, "fp32")


def test_auto_takes_one_that_agrees_and_says_which(
    network: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "medseg_monai.engines.engine_inferer")
    infer = inferer("auto", tmp_path)
    logits = infer(blobs(), network)
    assert infer.choice is not None
    assert f"engine {infer.choice.engine}, {infer.choice.precision}: mask Dice" in caplog.text
    assert "per image" in infer.choice.why
    assert torch.allclose(logits, network(blobs()), atol=0.1)


class Cancelling(nn.Module):
    """Adds and takes away 1000: bfloat16, whose steps are 4 there, loses the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(self.layer.weight)
        nn.init.constant_(self.layer.bias, 1000)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.layer(x)[:, :1].float() - 1000


def test_a_precision_that_changes_masks_is_left(tmp_path: Path) -> None:
    infer = inferer("torch", tmp_path)
    infer.precision = "auto"
    images = blobs()
    assert torch.allclose(infer(images, Cancelling()), images[:, :1], atol=1e-3)
    assert infer.choice is not None
    assert infer.choice.precision == "fp32"


def test_a_precision_that_was_asked_for_and_changes_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="engine torch with precision bf16 is refused: torch bf16 differs from plain"):
        inferer("torch", tmp_path, precision="bf16")(blobs(), Cancelling())


def test_without_a_choice_of_the_user_plain_float32_is_used_where_nothing_agrees(tmp_path: Path) -> None:
    """A structure of one pixel, decided by the last digits of a float32, must not end a prediction; larger ones decide anew."""

    class Touchy(nn.Module):
        """One foreground pixel, which every other way of running it (replaced below) turns round."""

        def forward(self, x: Tensor) -> Tensor:
            logits = -torch.ones_like(x[:, :1])
            logits[..., 0, 0] = 1
            return logits

    images, network = blobs(), Touchy().eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medseg_monai.engines.trial.torch_runner", lambda *_: lambda batch: -network(batch))
        infer = inferer("torch", tmp_path, precision="auto")
        assert torch.equal(infer(images, network), network(images))
        assert infer.choice is not None
        assert infer.choice.engine == "plain"
        assert "torch fp32 differs from plain float32" in infer.choice.why
        assert list((tmp_path / "engines").glob("*.json")) == []
        with pytest.raises(ValueError, match="is refused"):
            inferer("torch", tmp_path, precision="fp32")(images, network)


def test_an_engine_that_fails_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        """Answers of a traced network would repeat the first one's random numbers."""

        def forward(self, x: Tensor) -> Tensor:
            return torch.rand_like(x[:, :1]) - 0.5

    pytest.importorskip("onnxruntime")
    with pytest.raises(ValueError, match="engine onnx with precision auto is refused: onnx fp32 differs"):
        inferer("onnx", tmp_path)(blobs(), Odd())


def test_an_engine_whose_runtime_fails_is_refused_and_leaves_the_others(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    def fail(*arguments: object, **options: object) -> None:
        raise OSError("no such instruction\nand more")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    assert torch.allclose(inferer("auto", tmp_path)(blobs(), network), network(blobs()), atol=0.1)
    refusal = r"engine onnx with precision fp32 is refused: onnx fp32 does not run here \(no such instruction\)"
    with pytest.raises(ValueError, match=refusal):
        inferer("onnx", tmp_path, precision="fp32")(blobs(), network)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_damaged_export_is_written_anew(
    engine: str, network: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip(PACKAGES[engine])
    inferer(engine, tmp_path, precision="fp32")(blobs(), network)
    (exported,) = (tmp_path / "engines").glob("*.onnx")
    exported.write_bytes(b"no ONNX")
    logits = inferer(engine, tmp_path, precision="fp32")(blobs(), network)  # the choice is remembered, the file is not
    assert torch.allclose(logits, network(blobs()), atol=1e-4)
    assert f"{exported} cannot be used and is exported again" in caplog.text


def test_a_choice_is_remembered_for_the_same_weights_only(tmp_path: Path) -> None:
    network = Cancelling()
    inferer("torch", tmp_path, precision="fp32")(blobs(), network)
    compared = network.runs
    again = inferer("torch", tmp_path, precision="fp32")
    again(blobs(), network)
    assert (
        network.runs == compared
    )  # the copy that is fused runs; the network itself has nothing left to be compared with
    nn.init.constant_(network.layer.bias, 1001)
    logits = again(blobs(), network)
    assert network.runs > compared
    assert torch.allclose(logits, blobs()[:, :1] + 1, atol=1e-3)
    remembered = [json.loads(file.read_text()) for file in (tmp_path / "engines").glob("*.json")]
    assert [choice["engine"] for choice in remembered] == ["torch", "torch"]


def test_images_without_foreground_are_run_as_they_are_and_decide_nothing(network: nn.Module, tmp_path: Path) -> None:
    nn.init.constant_(network.head.bias, -100)
    infer = inferer("torch", tmp_path)
    assert torch.equal(infer(blobs(), network), network(blobs()))
    assert infer.choice is None


def test_an_image_without_foreground_costs_no_mirror_images(tmp_path: Path) -> None:
    class Counting(nn.Module):
        """Foreground nowhere."""

        seen = 0

        def forward(self, x: Tensor) -> Tensor:
            self.seen += len(x)
            return x[:, :1] * 0 - 9

    network = Counting()
    inferer("torch", tmp_path)(blobs(1), network)
    assert network.seen == 2  # once to see whether it can tell anything, once for the answer


@pytest.mark.parametrize("engine", PACKAGES)
def test_volumes_run_in_every_engine(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[engine])
    torch.manual_seed(0)
    network = UNet(1, 2, features=(4, 8), spatial_dims=3).eval()
    image = torch.randn(1, 1, 16, 12, 8)
    infer = inferer(engine, tmp_path, precision="fp32", task="multilabel")
    assert torch.allclose(infer(image, network), network(image), atol=1e-4)


def test_plain_is_the_network_as_it_is(network: nn.Module, tmp_path: Path) -> None:
    assert torch.equal(inferer("plain", tmp_path)(blobs(), network), network(blobs()))


def test_choosing_an_engine_is_no_cost_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(16, 16))
    scans = case_inferer(spec, precision="fp32", device="cpu", engine="torch", tta="flips")
    choose, chosen = Trial.choose, []

    def slow(self: Trial, engine: str, precision: str) -> Choice | None:
        chosen.append(engine)
        time.sleep(0.3)
        return choose(self, engine, precision)

    monkeypatch.setattr(Trial, "choose", slow)
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path))
    network = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.constant_(network.weight, 1.0)
    assert preparation_seconds(scans) == 0
    began = time.perf_counter()
    scans(torch.ones(1, 1, 16, 16), network)
    seconds = time.perf_counter() - began
    assert 0.3 <= preparation_seconds(scans) <= seconds
    scans(torch.ones(1, 1, 16, 16), network)
    assert chosen == ["torch"]  # not again


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_cache_that_cannot_be_written_only_warns(
    engine: str, tmp_path: Path, network: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    (tmp_path / "file").touch()
    answer = inferer(engine, tmp_path / "file" / "cache", precision="fp32")(blobs(), network)
    assert torch.allclose(answer, inferer("plain", tmp_path)(blobs(), network), atol=1e-4)
    assert "the next run will choose again" in caplog.text


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEDSEG_CACHE")
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert cache_folder().name.startswith("medseg_monai-")
