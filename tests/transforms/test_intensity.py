"""Stored values to network values: which become 0 and 1, and the mean and standard deviation after that."""

import numpy as np
import pytest
import torch

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.transforms.intensity import mean_and_std, normalised, unit_values, value_window

RAMP = np.arange(101, dtype=np.uint16).reshape(1, 101, 1)
"""0 to 100: the p-th percentile is p."""


def test_8_bits_have_one_window_whatever_the_picture() -> None:
    assert value_window(np.full((2, 3, 3), 9, np.uint8), Intensity("uint8")).tolist() == [[0, 255], [0, 255]]


def test_percentiles_are_those_of_each_channel() -> None:
    image = np.concatenate([RAMP, 10 * RAMP])
    assert value_window(image, Intensity("percentile", lower=5, upper=90)).tolist() == [[5, 90], [50, 900]]


def test_one_grey_level_all_over_becomes_0_and_not_nan() -> None:
    image = np.full((1, 4, 4), 7, np.uint16)
    window = value_window(image, Intensity("percentile", lower=1, upper=99))
    assert window.tolist() == [[7, 8]]
    assert not unit_values(torch.from_numpy(image), torch.from_numpy(window)).any()


def test_a_window_holds_for_every_picture() -> None:
    assert value_window(RAMP, Intensity("window", lower=-100, upper=300)).tolist() == [[-100, 300]]


def test_what_is_for_volumes_is_refused() -> None:
    with pytest.raises(ValueError, match="intensity kind 'zscore' is for volumes"):
        value_window(RAMP, Intensity("zscore"))


def test_values_outside_the_window_are_clipped() -> None:
    image, window = torch.tensor([[[10, 20, 30, 40, 50]]], dtype=torch.uint8), torch.tensor([[20.0, 40.0]])
    assert unit_values(image, window).tolist() == [[[0, 0, 0.5, 1, 1]]]


def test_mean_and_standard_deviation_come_after_the_window() -> None:
    image = torch.tensor([[[0]], [[255]]], dtype=torch.uint8)
    window = torch.tensor([[0.0, 255.0]] * 2)
    found = normalised(image, window, Intensity("uint8", mean=(0.5, 0.25), std=(0.25, 0.5)))
    assert found.tolist() == [[[-2]], [[1.5]]]
    mean, std = mean_and_std(Intensity("uint8", mean=(0.5,), std=(2.0,)), 3)
    assert (mean.tolist(), std.tolist()) == ([0.5] * 3, [2.0] * 3)
