"""A site by itself: what it sends back, and what it refuses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from medseg_monai.dataset import read_dataset, write_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.server import Federation
from medseg_monai.federated.site import Site
from medseg_monai.prepare.demo import prepare_demo

TRIAL_RATE = 1e-6
"""Of the steps by which a training says in advance how long it takes."""
SETTINGS = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [64, 64]}


@pytest.fixture(scope="module")
def agreement(demo_data: Path) -> Agreement:
    return Agreement("unetpp", read_dataset(demo_data).spec, SETTINGS)


def test_two_rounds_change_the_weights_and_the_loss(agreement: Agreement, demo_data: Path, tmp_path: Path) -> None:
    site = Site("north", agreement, demo_data, tmp_path / "own")
    weights = Federation(agreement, tmp_path / "server").weights
    with pytest.raises(ValueError, match="the weights of the server cannot be used: .*not finite"):
        site.train({name: np.full_like(array, np.nan) if array.ndim else array for name, array in weights.items()}, 0)
    first = site.train(weights, 0)
    assert (first.site, first.cases, first.reason) == ("north", len(read_dataset(demo_data).training), "")
    assert 0 <= (first.mean_dice or 0) <= 1
    assert any(np.abs(array - weights[name]).max() > 1e-3 for name, array in first.weights.items() if array.ndim == 4)
    kept = {name: array.copy() for name, array in first.weights.items()}
    second = site.train(first.weights, 1)
    assert all(np.array_equal(kept[name], array) for name, array in first.weights.items()), "what was sent stays"
    assert site.score(second.weights) == pytest.approx(site.score(second.weights), abs=1e-6)
    site.close()
    assert len((tmp_path / "own" / "history.csv").read_text().splitlines()) == 1 + 2


@pytest.fixture
def rates() -> Iterator[list[float]]:
    """The learning rate of each step that any optimiser makes."""
    seen: list[float] = []
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"]))
    yield seen
    hook.remove()


def test_the_learning_rate_rises_and_falls_once_in_all_rounds(
    agreement: Agreement, demo_data: Path, tmp_path: Path, rates: list[float]
) -> None:
    """Also at a site that was left out of the first of them."""
    agreed = replace(agreement, rounds=3, settings={**SETTINGS, "lr": 0.01, "warmup": 0.25})
    weights = Federation(agreed, tmp_path / "server").weights
    for name, numbers in (("always", (0, 1, 2)), ("late", (1, 2))):
        site = Site(name, agreed, demo_data, tmp_path / name)
        for number in numbers:
            site.train(weights, number)
        site.close()
    seen = [rate for rate in rates if rate != TRIAL_RATE]
    count = len(seen) * 3 // 5
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=count, pct_start=0.25)
    expected = [*cycle.get_last_lr()]
    for _ in range(count - 1):
        optimizer.step()
        cycle.step()
        expected += cycle.get_last_lr()
    assert max(expected) == pytest.approx(0.01, rel=0.1)
    assert seen == pytest.approx([*expected, *expected[count // 3 :]])


@pytest.mark.parametrize("number", [-1, 5, None, "1", True])
def test_a_round_that_was_not_agreed_is_refused(
    number: object, agreement: Agreement, demo_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="the server says that this is round .*, but 5 are agreed"):
        Site("north", agreement, demo_data, tmp_path / "own").train({}, number)


def test_after_a_failure_the_next_round_does_not_pass_over_what_failed(agreement: Agreement, tmp_path: Path) -> None:
    prepare_demo(tmp_path / "data", n=12, size=(96, 80))
    picture = Path(read_dataset(tmp_path / "data").cases("training")[0]["image"])
    good = picture.read_bytes()
    picture.write_bytes(b"no picture")
    site = Site("north", agreement, tmp_path / "data", tmp_path / "own")
    weights = Federation(agreement, tmp_path / "server").weights
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a picture"):
            site.train(weights, 0)
    picture.write_bytes(good)
    learnt = site.train(weights, 0).weights
    assert any(np.abs(array - weights[name]).max() > 1e-3 for name, array in learnt.items() if array.ndim == 4)
    site.close()


def test_it_ends_when_it_is_asked_to(agreement: Agreement, demo_data: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    site = Site("north", agreement, demo_data, tmp_path / "own", stopped=lambda: bool(steps.append(1) or True))
    site.train(Federation(agreement, tmp_path / "server").weights, 0)
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
