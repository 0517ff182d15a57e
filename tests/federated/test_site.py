"""A site by itself: what it sends back, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medseg_monai.dataset import read_dataset, write_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.server import Federation
from medseg_monai.federated.site import Site
from medseg_monai.prepare.demo import prepare_demo

SETTINGS = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [64, 64]}


@pytest.fixture(scope="module")
def agreement(demo_data: Path) -> Agreement:
    return Agreement("unetpp", read_dataset(demo_data).spec, SETTINGS)


def test_two_rounds_change_the_weights_and_the_loss(agreement: Agreement, demo_data: Path, tmp_path: Path) -> None:
    site = Site("north", agreement, demo_data, tmp_path / "own")
    weights = Federation(agreement, tmp_path / "server").weights
    with pytest.raises(ValueError, match="the weights of the server cannot be used: .*not finite"):
        site.train({name: np.full_like(array, np.nan) for name, array in weights.items() if array.ndim} | {
            name: array for name, array in weights.items() if not array.ndim
        })  # fmt: skip
    first = site.train(weights)
    assert (first.site, first.cases, first.reason) == ("north", len(read_dataset(demo_data).training), "")
    assert 0 <= (first.mean_dice or 0) <= 1
    assert any(np.abs(array - weights[name]).max() > 1e-3 for name, array in first.weights.items() if array.ndim == 4)
    kept = {name: array.copy() for name, array in first.weights.items()}
    second = site.train(first.weights)
    assert all(np.array_equal(kept[name], array) for name, array in first.weights.items()), "what was sent stays"
    assert site.score(second.weights) == pytest.approx(site.score(second.weights), abs=1e-6)
    site.close()
    assert len((tmp_path / "own" / "history.csv").read_text().splitlines()) == 1 + 2


def test_after_a_failure_the_next_round_does_not_pass_over_what_failed(agreement: Agreement, tmp_path: Path) -> None:
    prepare_demo(tmp_path / "data", n=12, size=(96, 80))
    picture = Path(read_dataset(tmp_path / "data").cases("training")[0]["image"])
    good = picture.read_bytes()
    picture.write_bytes(b"no picture")
    site = Site("north", agreement, tmp_path / "data", tmp_path / "own")
    weights = Federation(agreement, tmp_path / "server").weights
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a picture"):
            site.train(weights)
    picture.write_bytes(good)
    learnt = site.train(weights).weights
    assert any(np.abs(array - weights[name]).max() > 1e-3 for name, array in learnt.items() if array.ndim == 4)
    site.close()


def test_it_ends_when_it_is_asked_to(agreement: Agreement, demo_data: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    site = Site("north", agreement, demo_data, tmp_path / "own", stopped=lambda: bool(steps.append(1) or True))
    site.train(Federation(agreement, tmp_path / "server").weights)
    site.close()
    assert len(steps) == 1


def test_another_class_list_is_refused_before_anything_is_trained(
    agreement: Agreement, demo_data: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(demo_data)
    write_dataset(replace(dataset, spec=replace(dataset.spec, classes=("naevus",))), tmp_path / "data")
    with pytest.raises(ValueError, match="classes of .* is naevus, but lesion is agreed"):
        Site("north", agreement, tmp_path / "data", tmp_path / "own")
    assert not (tmp_path / "own").exists()
