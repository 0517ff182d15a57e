"""MONAI's federated client with its defaults, and the model zoo's way to evaluate: train.json and evaluate.json merged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
from network_contract import small_bundle
from torch import Tensor

from medseg_monai.bundle.trained import untrained
from medseg_monai.evaluation.tables import read_evaluation

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
EVERY = [
    pytest.param(bundle, marks=() if bundle.name == "unetpp" else pytest.mark.slow, id=bundle.name)
    for bundle in BUNDLES
]


def small(bundle: Path) -> dict[str, Any]:
    """A network of a few thousand weights: what takes seconds, not what is accurate."""
    volumes = untrained(bundle).dataset.spatial_dims == 3
    return {**small_bundle(bundle), "batch_size": 4, "size": [16, 16, 16] if volumes else [64, 64]}


@pytest.fixture
def data(request: pytest.FixtureRequest, bundle: Path) -> str:
    return str(request.getfixturevalue("demo_volumes" if bundle.name == "unet3d" else "demo_data"))


def copied(weights: dict[str, Tensor]) -> ExchangeObject:
    """What a server sends: never the client's own tensors."""
    return ExchangeObject(weights={name: value.clone() for name, value in weights.items()})


@pytest.mark.filterwarnings("ignore:executing the bundle config")
@pytest.mark.parametrize("bundle", EVERY)
def test_three_rounds_of_federated_learning(bundle: Path, data: str, tmp_path: Path) -> None:
    given = {"dataset_dir": data, **small(bundle)}
    client = MonaiAlgo(
        str(bundle),
        train_kwargs={**given, "output_dir": str(tmp_path / "trained")},
        eval_kwargs={**given, "output_dir": str(tmp_path / "evaluated")},
    )
    client.initialize({})
    server = {name: value.clone() for name, value in client.trainer.network.state_dict().items()}
    for number in range(1, 4):
        client.train(copied(server))
        change = client.get_weights()
        server = {name: value + change.weights[name] for name, value in server.items()}
        assert change.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] == client.trainer.state.epoch_length
        # the learning rate never ends at nothing: each round changes the weights like the first
        assert max(float(value.abs().max()) for value in change.weights.values() if value.is_floating_point()) > 1e-4
        metrics = client.evaluate(copied(server)).metrics
        assert 0 <= metrics["mean_dice"] <= 1
        assert client.trainer.state.epoch == number
        # what the evaluator was given is what it evaluates
        evaluated = client.evaluator.network.state_dict()
        assert all(torch.allclose(evaluated[name].float(), value.float(), atol=1e-6) for name, value in server.items())
    client.finalize()
    # one training of three rounds, not three that push each other aside
    assert len((tmp_path / "trained" / "history.csv").read_text().splitlines()) == 1 + 3
    assert not (tmp_path / "trained" / "previous").exists()


@pytest.mark.parametrize("bundle", EVERY)
def test_the_zoos_way_to_evaluate(bundle: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    configs = [str(bundle / "configs" / f"{name}.json") for name in ("train", "evaluate")]
    given = {"dataset_dir": data, "bundle_root": str(bundle)}
    train = {**given, **small(bundle), "output_dir": str(tmp_path), "max_epochs": 1}
    trained = ConfigWorkflow(configs[0], logging_file=False, **train)
    trained.initialize()
    trained.run()
    merged = ConfigWorkflow(configs, workflow_type="train", logging_file=False, weights=str(tmp_path), **given)
    merged.initialize()
    assert merged.check_properties() == []
    merged.run()
    merged.finalize()
    summary = read_evaluation(tmp_path / "evaluation_test").summary
    assert 0 <= summary.overall.scores["dice"].mean <= 1


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_evaluate_replaces_nothing_that_validation_needs(bundle: Path) -> None:
    train, evaluate = (
        ConfigParser.load_config_file(bundle / "configs" / f"{name}.json") for name in ("train", "evaluate")
    )
    assert set(train["imports"]) <= set(evaluate["imports"])
    assert not {"spec", "architecture", "network", "initial_network", "validate", "train"} & evaluate.keys()
    assert train["source"] == evaluate["source"]
