"""Maps from probabilities, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medseg_monai.app import maps
from medseg_monai.app.maps import explained_map, network_map
from medseg_monai.app.network import Choice
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.files import Explanation, write_explanations, write_map
from medseg_monai.grids.geometry import Geometry
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
    shares = np.array([[[1 / 3, 0.0, 0.5]], [[1 / 3, 0.0, 0.25]]], np.float32)  # the rest is background
    found = Prediction(np.zeros((1, 3), np.uint8), shares, 0.0, ("a", "b"), PhotoGrid((3, 1)))
    bits = 0.5 * 1 + 2 * 0.25 * 2
    np.testing.assert_allclose(network_map(found, spec, "uncertainty")[0, 0], [1, 0, bits / np.log2(3)], atol=1e-6)
    assert network_map(found, spec, "probability-1").shape == (1, 1, 3)


@pytest.mark.parametrize("geometry", [None, Geometry((2, 3, 4), np.eye(4))], ids=["photograph", "volume"])
def test_an_explained_map_is_the_file_that_the_command_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: Geometry | None
) -> None:
    shape = (4, 5) if geometry is None else geometry.shape
    values = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
    file = "x_gradcam_b.png" if geometry is None else "x_gradcam_b.nii.gz"
    asked: list[dict[str, Any]] = []

    def command(bundle: Path, action: str, wanted: dict[str, Any]) -> None:
        asked.append(wanted)
        write_map(values, tmp_path / file, geometry)
        write_explanations(
            tmp_path, [Explanation("x", "b", "bottleneck", "gradcam", "predicted", 1.0, "", 9, 0.5, file)]
        )

    monkeypatch.setattr(maps, "run_bundle", command)
    spec = replace(SPEC, task="multilabel", classes=("a", "b"))
    found = explained_map(Choice("unet"), Path("x.png"), spec, "gradcam-1", tmp_path)
    own = values.T if geometry is None else values  # a photograph's map is written as (W, H), and its picture has rows
    assert found.shape == (1, *own.shape)
    np.testing.assert_allclose(found[0], own, atol=0.5 / 255)
    assert (asked[0]["classes"], asked[0]["methods"]) == (["b"], ["gradcam"])


@pytest.mark.parametrize(
    ("note", "said"), [("b is not predicted here", "b is not predicted here"), (None, "no map was made")]
)
def test_a_map_that_was_not_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str | None, said: str
) -> None:
    rows = [] if note is None else [Explanation("x", "a", "head", "cam", "predicted", None, note, 0, None, "")]
    monkeypatch.setattr(maps, "run_bundle", lambda *_: write_explanations(tmp_path, rows))
    with pytest.raises(ValueError, match=said):
        explained_map(Choice("unet"), Path("x.png"), SPEC, "cam-0", tmp_path)
