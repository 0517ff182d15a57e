"""Networks of folds as one file of weights; the rest of what folds leave is tested with their run."""

import json
from pathlib import Path

import pytest
import torch

from medseg_monai.bundle.paths import has_encoder
from medseg_monai.bundle.trained import Trained, load_weights, write_weights
from medseg_monai.folds.combine import write_ensemble
from medseg_monai.inference.averaging import to_logits
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.transforms.decision import to_probabilities

NETWORK = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1, "features": [4, 8]}


def fold(folder: Path, *, seed: int, features: tuple[int, int] = (4, 8)) -> Path:
    torch.manual_seed(seed)
    facts = {"train_seconds": 2.0, "parameters": 10}
    trained = Trained(demo_spec(size=32), {**NETWORK, "features": list(features)}, "unet", facts)
    write_weights(folder, trained.build_network().state_dict(), trained)
    return folder


def test_the_ensemble_answers_with_the_mean_of_its_members_probabilities(tmp_path: Path) -> None:
    folds = [fold(tmp_path / str(seed), seed=seed) for seed in range(3)]
    trained = write_ensemble(tmp_path, folds, facts={"dice": 0.5})
    assert trained.training["train_seconds"] == 6
    assert trained.training["parameters"] == 30
    read = Trained.read(tmp_path)
    network = load_weights(read.build_network(), tmp_path / "model.pt").eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        members = [
            load_weights(Trained.read(place).build_network(), place / "model.pt").eval()(images) for place in folds
        ]
        mean = torch.stack([to_probabilities(logits, "binary") for logits in members]).mean(0)
        assert torch.allclose(network(images), to_logits(mean, "binary"), atol=1e-5)


def test_networks_of_other_widths_make_no_ensemble(tmp_path: Path) -> None:
    folds = [fold(tmp_path / "1", seed=0), fold(tmp_path / "2", seed=1, features=(4, 12))]
    with pytest.raises(ValueError, match="has another network than .*: train the folds with one plan"):
        write_ensemble(tmp_path, folds, facts={})
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("target", ["os.system", "torch.nn.Linear", ""])
def test_members_that_are_no_networks_of_ours_are_refused(tmp_path: Path, target: str) -> None:
    write_ensemble(tmp_path, [fold(tmp_path / str(seed), seed=seed) for seed in range(2)], facts={})
    spec = tmp_path / "spec.json"
    content = json.loads(spec.read_text())
    content["architecture"]["member"]["_target_"] = target
    spec.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="which is not a network of medseg_monai or MONAI: refused"):
        Trained.read(tmp_path).build_network()


def test_an_encoder_is_noticed_within_an_ensemble(tmp_path: Path) -> None:
    for encoder, noticed in (("plain", False), ("resnet18", True)):
        (tmp_path / "spec.json").write_text(json.dumps({"architecture": {"member": {"encoder": encoder}}}))
        assert has_encoder(tmp_path / "model.pt") is noticed
