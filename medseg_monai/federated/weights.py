"""Weights as they travel between sites: plain numpy arrays by name. What comes from another site is data, and is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = Mapping[str, NDArray[np.generic]]


def to_arrays(state: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Copies of a network's tensors: training goes on in the originals."""
    return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in state.items()}


def to_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """The inverse of `to_arrays`."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def checked(arrays: object, expected: Arrays, sender: str) -> Arrays:
    """Weights from elsewhere, if they are a network's.

    Args:
        arrays: what was received.
        expected: weights of the network.
        sender: who sent them, for the message.

    Raises:
        ValueError: they are not arrays, are another network's, or contain numbers that are not finite.
    """
    if not isinstance(arrays, Mapping):
        raise ValueError(f"{sender} sent no weights")
    if other := sorted(arrays.keys() ^ expected.keys(), key=str):
        what = "lack" if other[0] in expected else "also contain"
        raise ValueError(f"the weights of {sender} are another network's: they {what} {other[0]}")
    for name, wanted in expected.items():
        array = arrays[name]
        is_array = isinstance(array, np.ndarray | np.generic)  # numpy makes scalars of arrays without axes
        if not is_array or array.dtype != wanted.dtype:
            kind = array.dtype if is_array else type(array).__name__
            raise ValueError(f"the weights of {sender} cannot be used: {name} is {kind}, not {wanted.dtype}")
        if array.shape != wanted.shape:
            raise ValueError(
                f"the weights of {sender} are another network's: {name} is {array.shape}, not {wanted.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"the weights of {sender} cannot be used: {name} contains numbers that are not finite (NaN or infinite)"
            )
    return arrays


def weighted_mean(parts: Sequence[tuple[float, Arrays]]) -> dict[str, NDArray[np.generic]]:
    """The mean of several networks' weights (McMahan et al., AISTATS 2017, arXiv:1602.05629, algorithm 1).

    Batch norm's means and variances are averaged likewise. Whole numbers (batches that batch norm has counted) are rounded.

    Args:
        parts: (weight, arrays) of each network; the weights need not sum to 1.

    >>> mean = weighted_mean([(1, {"a": np.array([0.0, 4.0])}), (3, {"a": np.array([4.0, 0.0])})])
    >>> mean["a"].tolist()
    [3.0, 1.0]
    """
    total = sum(weight for weight, _ in parts)
    return {name: _mean([(weight / total, arrays[name]) for weight, arrays in parts]) for name in parts[0][1]}


def _mean(parts: Sequence[tuple[float, NDArray[np.generic]]]) -> NDArray[np.generic]:
    kind = parts[0][1].dtype
    # in float64, so that the order of many sites does not matter
    mean = np.sum([share * array.astype(np.float64) for share, array in parts], axis=0)
    return np.asarray(mean if np.issubdtype(kind, np.floating) else np.rint(mean)).astype(kind)
