"""Rounds at the server: the mean by hand, who is left out and why, and a network that can be used after every round."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medseg_monai.bundle.trained import Trained, load_weights, read_weights
from medseg_monai.dataset import read_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.server import Federation
from medseg_monai.federated.site import Answer
from medseg_monai.federated.weights import Arrays
from medseg_monai.files.csv_tables import read_records

SETTINGS = {"architecture#features": [4, 8, 8], "size": [32, 48]}


@pytest.fixture
def federation(demo_data: Path, tmp_path: Path) -> Federation:
    return Federation(Agreement("unetpp", read_dataset(demo_data).spec, SETTINGS), tmp_path)


def moved(weights: Arrays, by: float) -> dict[str, Any]:
    """All numbers larger by that much; batches that batch norm has counted are left out of it if it is not a number."""
    kept = {name for name, array in weights.items() if not np.isfinite(by) and array.dtype != np.float32}
    return {
        name: array if name in kept else np.asarray(array + array.dtype.type(by)) for name, array in weights.items()
    }


def test_it_begins_with_the_bundles_own_network(federation: Federation, caplog: pytest.LogCaptureFixture) -> None:
    """Which is that of the bundle's seed, whoever draws it; no data set is made up for it."""
    again = Federation(federation.agreement, federation.folder)
    assert "NO DATA SET" not in caplog.text
    assert all(np.array_equal(again.weights[name], array) for name, array in federation.weights.items())
    assert any(array.std() > 0.01 for array in federation.weights.values() if array.ndim == 4)


def test_a_round_is_the_mean_by_cases_and_its_network_can_be_used(federation: Federation, tmp_path: Path) -> None:
    before = dict(federation.weights)
    south, north = Answer("south", moved(before, 4), 30, 0.5), Answer("north", moved(before, 0), 10, 0.25)
    federation.average([south, north])
    federation.scored([Answer("north", {}, mean_dice=0.75)])
    for name, array in read_weights(tmp_path / "model.pt").items():
        np.testing.assert_allclose(array, before[name] + 3, rtol=1e-6)  # (10 x 0 + 30 x 4) / 40
    trained = Trained.read(tmp_path)
    assert (trained.bundle, trained.dataset.size) == ("unetpp", (32, 48))
    assert trained.training["federated"] == {"rounds": 1, "rounds_planned": 5, "epochs_per_round": 1, "cases": 40}
    network = load_weights(trained.build_network(), tmp_path / "model.pt").eval()
    assert network(torch.zeros(1, 3, 32, 48)).shape == (1, 1, 32, 48)
    assert [list(row.values()) for row in read_records(tmp_path / "rounds.csv")] == [
        ["1", "north", "10", "0.2500", ""], ["1", "south", "30", "0.5000", ""], ["end", "north", "", "0.7500", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda good: Answer("south", {}, reason="x.jpg is damaged"), "x.jpg is damaged"),
        (lambda good: Answer("south", moved(good, np.nan), 30), "the weights of south cannot be used: .*not finite"),
        (lambda good: Answer("south", {}, 30), "the weights of south are another network's"),
        (lambda good: Answer("south", good, 0), "the number of its cases cannot be 0"),
        (lambda good: Answer("south", good, -7), "cannot be -7"),
        (lambda good: Answer("south", good, float("nan")), "cannot be nan"),
        (lambda good: Answer("south", good, True), "cannot be True"),
    ],
)
def test_a_site_that_cannot_be_used_is_named_and_the_others_go_on(
    answer: Any, said: str, federation: Federation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(federation.weights)
    floats = {name: array for name, array in before.items() if array.dtype == np.float32}
    federation.average([answer({**before, **floats}), Answer("north", moved(before, 1), 10)])
    name = next(iter(floats))
    np.testing.assert_allclose(federation.weights[name], before[name] + 1, rtol=1e-6)
    row = next(row for row in read_records(tmp_path / "rounds.csv") if row["site"] == "south")
    assert row["left_out"] in caplog.text
    assert re.search(said, row["left_out"])


def test_without_any_site_the_network_stays(federation: Federation, tmp_path: Path) -> None:
    before = dict(federation.weights)
    federation.average([Answer("north", moved(before, 1), 10)])
    written = (tmp_path / "model.pt").read_bytes()
    with pytest.raises(ValueError, match="round 2: no site's weights can be used"):
        federation.average([Answer("north", {}, reason="out of memory")])
    assert (tmp_path / "model.pt").read_bytes() == written
    assert read_records(tmp_path / "rounds.csv")[-1]["left_out"] == "out of memory"


def test_it_can_begin_with_weights_that_there_are(demo_data: Path, trained: Path, tmp_path: Path) -> None:
    settings = {"start_from": str(trained), "size": [64, 64]}
    begun = Federation(Agreement("unetpp", read_dataset(demo_data).spec, settings), tmp_path)
    there = read_weights(trained / "model.pt")
    assert begun.weights.keys() == there.keys()
    assert all(np.array_equal(begun.weights[name], tensor.numpy()) for name, tensor in there.items())


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"lrr": 1}, "unknown config key 'lrr'"), ({"architecture#_target_": "os.system"}, "_target_")],
)
def test_settings_are_values_of_known_keys(
    settings: dict[str, Any], said: str, demo_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        Federation(Agreement("unetpp", read_dataset(demo_data).spec, settings), tmp_path)


def test_a_setting_that_looks_like_code_is_not_run(demo_data: Path, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    settings = {"seed": f"$__import__('pathlib').Path({str(flag)!r}).touch()"}
    with pytest.raises(Exception):  # noqa: B017, PT011 - a text is no seed; what it raises is torch's
        Federation(Agreement("unetpp", read_dataset(demo_data).spec, settings), tmp_path)
    assert not flag.exists()
