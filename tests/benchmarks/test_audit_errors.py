"""The errors that `benchmarks/audit.py` makes are what their names say."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from audited import disc

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("audit_errors")


def two(size: int = 80) -> np.ndarray:
    """Two discs that do not overlap."""
    return np.stack([disc(30, 30, 12, shape=(size, size)), disc(58, 50, 8, shape=(size, size))])


@pytest.mark.parametrize("seed", range(5))
def test_errors_change_labels_as_their_names_say(errors: ModuleType, seed: int) -> None:
    masks, chance = two(), np.random.default_rng(seed)
    sizes = masks.sum(axis=(1, 2))
    moved = errors.shifted(masks, chance)
    assert (moved != masks).any()
    assert moved.sum() == masks.sum(), "there is room for it"
    less = errors.missing(masks, chance)
    assert not (less & ~masks).any()
    assert 0.13 < 1 - (less.sum(axis=(1, 2)) / sizes).min() < 0.52
    more = errors.extra(masks, chance)
    assert (more & masks).sum() == masks.sum()
    added = (more & ~masks).sum(axis=(1, 2)) / sizes
    assert (added > 0.05).sum() == 1
    assert not (more & ~masks).any(axis=0)[masks.any(axis=0)].any(), "in the background alone"
    assert sorted(errors.empty(masks, chance).any(axis=(1, 2))) == [False, True]
    np.testing.assert_array_equal(errors.swapped(masks, chance), masks[::-1])


@pytest.mark.parametrize("name", ["jagged", "blurred"])
@pytest.mark.parametrize("seed", range(4))
def test_outlines_change_and_little_else(errors: ModuleType, name: str, seed: int) -> None:
    masks = two()
    changed = getattr(errors, name)(masks, np.random.default_rng(seed))
    assert changed.shape == masks.shape
    assert 0 < (changed != masks).sum() < 0.45 * masks.sum()
    assert not changed.all(axis=0).any(), "classes stay apart"


def test_masks_of_another_shape_keep_their_centre(errors: ModuleType) -> None:
    mask = np.zeros((1, 6, 4), bool)
    mask[0, 2:4, 1:3] = True
    assert np.argwhere(errors.fitted(mask, (4, 8))[0]).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
