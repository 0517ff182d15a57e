"""Maps from probabilities, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medseg_monai.app.maps import network_map
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.predictor import Prediction

SPEC = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(2, 1))


def test_probability_and_entropy_of_one_class() -> None:
    shares = np.array([[[0.5, 1.0, 0.25]]], np.float32)
    found = Prediction(np.zeros((1, 3), np.uint8), shares, 0.0, ("a",), PhotoGrid((3, 1)))
    assert np.array_equal(network_map(found, SPEC, "probability-0"), shares)
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    np.testing.assert_allclose(network_map(found, SPEC, "uncertainty")[0, 0], [1, 0, quarter], atol=1e-6)


def test_exclusive_classes_share_with_the_background() -> None:
    spec = replace(SPEC, task="multiclass", classes=("a", "b"))
    shares = np.array([[[1 / 3, 0.0]], [[1 / 3, 0.0]]], np.float32)  # the rest is background
    found = Prediction(np.zeros((1, 2), np.uint8), shares, 0.0, ("a", "b"), PhotoGrid((2, 1)))
    np.testing.assert_allclose(network_map(found, spec, "uncertainty")[0, 0], [1, 0], atol=1e-6)
    assert network_map(found, spec, "probability-1").shape == (1, 1, 2)
