"""Stored grey values to network values: a window to 0..1, then mean and standard deviation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.images.photos import Array


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
            f"intensity kind {intensity.kind!r} is for volumes; for photographs use uint8, percentile or window"
        )
    ends = np.percentile(image.reshape(channels, -1), intensity.bounds, axis=1).T
    even = ends[:, 1] <= ends[:, 0]  # a single grey level: becomes 0, not NaN
    window: Array = np.stack([ends[:, 0], ends[:, 1] + even], axis=1).astype(np.float32)
    return window


@lru_cache(maxsize=64)
def mean_and_std(intensity: Intensity, channels: int) -> tuple[Array, Array]:
    """Each as (C,) float32; a single number applies to all channels."""
    ones = np.ones(channels, np.float32)
    return ones * np.asarray(intensity.mean, np.float32), ones * np.asarray(intensity.std, np.float32)


def unit_values(image: Tensor, window: Tensor) -> Tensor:
    """uint8 or uint16 (C, W, H) to float32: the window to 0..1, clipped."""
    low, high = window[:, :1, None], window[:, 1:, None]
    return image.float().sub_(low).div_(high - low).clamp_(0, 1)


def normalised(image: Tensor, window: Tensor, intensity: Intensity) -> Tensor:
    """uint8 or uint16 (C, W, H) to the network's float32: (unit value - mean) / std."""
    mean, std = (torch.from_numpy(values)[:, None, None] for values in mean_and_std(intensity, len(image)))
    return unit_values(image, window).sub_(mean).div_(std)
