"""What `benchmarks/robustness.py` does to photographs: the same for all weights, and as much as it says."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import read_dataset
from medseg_monai.prepare.demo import prepare_demo

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def robustness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("robustness")


@pytest.fixture
def pixels() -> np.ndarray:
    """(H, W, 3) between 60 and 180: nothing is clipped."""
    y, x = np.mgrid[:40, :60]
    return np.stack([60 + 2 * x, 60 + 3 * y, 60 + x + y], axis=2).astype(np.uint8)


def test_every_photograph_is_changed_in_every_way_and_the_same_each_time(
    robustness: ModuleType, tmp_path: Path
) -> None:
    prepare_demo(tmp_path / "data", n=12, size=(48, 32))
    cases = read_dataset(tmp_path / "data").cases("validation")
    for out in ("one", "two"):
        robustness.changed(tmp_path / "data", "validation", tmp_path / out)
    for case in cases:
        before = np.asarray(Image.open(case["image"]).convert("RGB"))
        name = f"{Path(case['image']).stem}.png"
        found = [np.asarray(Image.open(tmp_path / "one" / str(n) / name)) for n in range(len(robustness.CHANGES))]
        again = [np.asarray(Image.open(tmp_path / "two" / str(n) / name)) for n in range(len(robustness.CHANGES))]
        assert all(np.array_equal(one, two) for one, two in zip(found, again, strict=True))
        assert np.array_equal(found[0], before)
        assert all(one.shape == before.shape and not np.array_equal(one, before) for one in found[1:])


def test_a_cast_is_a_factor_per_channel(robustness: ModuleType, pixels: np.ndarray) -> None:
    gains = []
    for seed in range(60):
        ratio = robustness.with_cast(pixels, np.random.default_rng(seed)) / pixels
        assert (np.ptp(ratio, axis=(0, 1)) < 2 / 60).all()  # one factor but for rounding
        gains.append(ratio.mean((0, 1)))
    assert 1 / 1.31 < np.min(gains) < 0.8
    assert 1.25 < np.max(gains) < 1.31


def test_hairs_only_take_light(robustness: ModuleType, pixels: np.ndarray) -> None:
    found = robustness.with_hairs(pixels, np.random.default_rng(0))
    assert (found <= pixels).all()
    assert 0.02 < (found < pixels).any(2).mean() < 0.6


def test_the_file_is_of_the_quality_that_is_said(robustness: ModuleType, pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=20)
    found = robustness.through_jpeg(pixels, np.random.default_rng(0))
    np.testing.assert_array_equal(found, np.asarray(Image.open(tmp_path / "a.jpg")))
