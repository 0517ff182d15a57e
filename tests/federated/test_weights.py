"""Weights from other sites: means by hand, and what is refused, with whose they are."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medseg_monai.federated.weights import checked, to_arrays, to_tensors, weighted_mean

NETWORK = {"conv.weight": np.zeros((2, 3), np.float32), "norm.num_batches_tracked": np.array(4, np.int64)}


def test_a_mean_weighted_by_cases() -> None:
    """(10 x 1 + 30 x 5) / 40 = 4; batches are counted in whole numbers: (10 x 4 + 30 x 7) / 40 = 6.25."""
    one = {"conv.weight": np.full((2, 3), 1, np.float32), "norm.num_batches_tracked": np.array(4, np.int64)}
    other = {"conv.weight": np.full((2, 3), 5, np.float32), "norm.num_batches_tracked": np.array(7, np.int64)}
    mean = weighted_mean([(10, one), (30, other)])
    assert mean["conv.weight"].tolist() == [[4.0] * 3] * 2
    assert mean["norm.num_batches_tracked"] == 6
    assert [array.dtype for array in mean.values()] == [np.float32, np.int64]
    assert mean["norm.num_batches_tracked"].shape == ()


def test_the_order_of_many_sites_does_not_matter() -> None:
    random = np.random.default_rng(0)
    parts = [(int(n), {"a": random.normal(size=50).astype(np.float32)}) for n in random.integers(1, 99, 20)]
    assert weighted_mean(parts)["a"].tolist() == weighted_mean(parts[::-1])["a"].tolist()


def test_one_site_alone_keeps_its_weights() -> None:
    array = np.random.default_rng(1).normal(size=100).astype(np.float32)
    assert weighted_mean([(7, {"a": array})])["a"].tolist() == array.tolist()


def test_arrays_are_copies_and_come_back() -> None:
    network = nn.BatchNorm1d(3)
    arrays = to_arrays(network.state_dict())
    with torch.no_grad():
        network.weight.fill_(9)
    assert arrays["weight"].tolist() == [1, 1, 1]
    tensors = to_tensors(arrays)
    arrays["weight"][...] = 5
    assert tensors["weight"].tolist() == [1, 1, 1]
    assert tensors["num_batches_tracked"].dtype == torch.int64


def test_what_fits_passes() -> None:
    assert checked(NETWORK, NETWORK, "north") == NETWORK


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"conv.weight": np.full((2, 3), np.nan, np.float32)}, "conv.weight contains numbers that are not finite"),
        ({"conv.weight": np.full((2, 3), -np.inf, np.float32)}, "not finite"),
        ({"conv.weight": np.zeros((3, 2), np.float32)}, r"conv.weight is \(3, 2\), not \(2, 3\)"),
        ({"conv.weight": np.zeros((2, 3), np.float64)}, "conv.weight is float64, not float32"),
        ({"conv.weight": np.zeros((2, 3), object)}, "conv.weight is object, not float32"),
        ({"conv.weight": [[0.0] * 3] * 2}, "conv.weight is list, not float32"),
        ({"head.weight": np.zeros(1, np.float32)}, "they also contain head.weight"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_sites_name(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"of south .*{said}"):
        checked({**NETWORK, **changed}, NETWORK, "south")


@pytest.mark.parametrize(("sent", "said"), [(None, "south sent no weights"), ({}, "of south .*lack conv.weight")])
def test_nothing_is_refused(sent: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(sent, NETWORK, "south")
