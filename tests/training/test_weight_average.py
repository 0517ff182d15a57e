"""The running average of weights, by hand."""

from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from torch import nn

from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.training.weight_average import AverageWeights, weight_average


def test_an_average_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0)
    average = weight_average(network, 0.9)
    assert average is not None
    handler = AverageWeights(network, average, 0.9)
    expected = 0.0
    for step, value in enumerate([10.0, 20.0, -5.0] * 20, start=1):
        network.weight.data.fill_(value)
        handler(None)  # type: ignore[arg-type]
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.weight.item() == pytest.approx(expected, rel=1e-5)


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    network = nn.BatchNorm1d(2)
    average = weight_average(network, 0.5)
    assert average is not None
    handler = AverageWeights(network, average, 0.5)
    network.train()(torch.tensor([[1.0, 2.0], [3.0, 10.0]]))
    handler(None)  # type: ignore[arg-type]
    decay = 2 / 11  # below 0.5 in the first step
    assert torch.allclose(average.running_mean, (1 - decay) * network.running_mean)  # type: ignore[arg-type, operator]
    assert average.num_batches_tracked == 1


def test_the_average_is_another_network_that_is_not_trained() -> None:
    network = nn.Linear(2, 2)
    average = weight_average(network, 0.99)
    assert average is not None
    assert not any(parameter.requires_grad for parameter in average.parameters())
    network.weight.data.add_(1)
    assert not torch.equal(average.weight, network.weight)  # type: ignore[arg-type]


def test_a_shortened_run_averages_over_the_same_share_of_its_steps() -> None:
    network = nn.Linear(1, 1)
    handler = AverageWeights(network, nn.Linear(1, 1), 0.9)
    handler.change_length(50, instead_of=100)
    assert handler.decay == pytest.approx(0.8)
    again = AverageWeights(network, nn.Linear(1, 1), 0.9)
    again.load_state_dict(handler.state_dict())
    assert again.decay == handler.decay
    again.load_state_dict({"steps": 3})  # as earlier versions kept it
    assert (again.decay, again.steps) == (handler.decay, 3)
    handler.change_length(1, instead_of=50)
    assert handler.decay == 0


def test_none_is_wanted_by_default_and_no_share_is_refused() -> None:
    assert weight_average(nn.Linear(1, 1), 0) is None
    with pytest.raises(ValueError, match="weight_average is 1; it must be in"):
        weight_average(nn.Linear(1, 1), 1)


def test_a_training_keeps_and_validates_the_average(demo_data: Path, tmp_path: Path) -> None:
    """With a decay of nearly 1 the average of a short run lies between its start and its end."""
    kept = {}
    for name, decay in (("plain", 0), ("averaged", 0.9)):
        settings = {"architecture#features": [4, 8], "batch_size": 4, "size": [32, 32], "max_epochs": 1}
        given = {**settings, "weight_average": decay, "dataset_dir": str(demo_data), "output_dir": str(tmp_path / name)}
        run_bundle(REPOSITORY / "bundles" / "unet", "train", given)
        kept[name] = torch.load(tmp_path / name / "model.pt", weights_only=True)
        last = torch.load(tmp_path / name / "last.pt", weights_only=True)
        assert all(torch.equal(last["network"][key], value) for key, value in kept[name].items())
    assert kept["plain"].keys() == kept["averaged"].keys()
    assert not torch.equal(kept["plain"]["head.weight"], kept["averaged"]["head.weight"])
