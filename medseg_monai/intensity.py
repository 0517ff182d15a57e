"""Stored grey values to network values: window to 0..1, gamma, mean and standard deviation, by one lookup
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medseg_monai.readers import Array
from medseg_monai.spec import Intensity


def value_window(image: Array, intensity: Intensity) -> Array:
    """The stored values that become 0 and 1: (C, 2) float32.

    ``uint8``: 0 and 255. ``percentile``: the image's own percentiles per channel, of the resized picture
    without its bars. ``window``: the same two values for all images.

    Raises:
        ValueError: the intensity rule is one for volumes.
    """
    channels = len(image)
    if intensity.kind == "uint8":
        return np.tile(np.asarray([0, 255], np.float32), (channels, 1))
    if intensity.kind == "window":
        return np.tile(np.asarray(intensity.bounds, np.float32), (channels, 1))
    if intensity.kind != "percentile":
        raise ValueError(
            f"intensity kind {intensity.kind!r} is for volumes; photographs take uint8, percentile or window"
        )
    ends = np.percentile(image.reshape(channels, -1), intensity.bounds, axis=1).T
    even = ends[:, 1] <= ends[:, 0]  # one grey level all over: becomes 0, not NaN
    window: Array = np.stack([ends[:, 0], ends[:, 1] + even], axis=1).astype(np.float32)
    return window


def per_channel(values: Sequence[float], channels: int) -> Array:
    """One value for all channels, or one each (the spec has checked which), as (C,) float32."""
    return np.broadcast_to(np.asarray(values, dtype=np.float32), (channels,))


def unit_values(image: Array, window: Array, *, gamma: float = 1.0) -> Array:
    """uint8 or uint16 (C, W, H) to float32: the window to 0..1, clipped, then ``value ** gamma``."""
    return _look_up(image, _unit_table(image.dtype, window, gamma))


def normalised(image: Array, window: Array, intensity: Intensity) -> Array:
    """uint8 or uint16 (C, W, H) to the network's float32: (unit value - mean) / std."""
    mean, std = per_channel(intensity.mean, len(image)), per_channel(intensity.std, len(image))
    return _look_up(image, (_unit_table(image.dtype, window, 1.0) - mean[:, None]) / std[:, None])


def _unit_table(dtype: np.dtype[Any], window: Array, gamma: float) -> Array:
    """(C, levels) float32: what each stored value becomes."""
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=np.float32)
    low, high = window[:, :1], window[:, 1:]
    table: Array = np.clip((levels - low) / (high - low), 0, 1)
    return table if gamma == 1.0 else table ** np.float32(gamma)


def _look_up(image: Array, table: Array) -> Array:
    out = np.empty(image.shape, np.float32)
    for values, plane, row in zip(out, image, table, strict=True):
        np.take(row, plane, out=values, mode="clip")  # all levels are in the table: clip spares the check
    return out
