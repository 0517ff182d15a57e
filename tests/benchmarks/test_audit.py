"""How `benchmarks/audit.py` measures a ranking."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from audited import right_answers, write_discs

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("audit")


def test_average_precision_is_the_mean_precision_at_the_wrong_ones(benchmark: ModuleType) -> None:
    # ranks 1 and 3 of four: (1/1 + 2/3) / 2
    assert benchmark.average_precision([4, 3, 2, 1], [True, False, True, False]) == pytest.approx(5 / 6)
    assert benchmark.average_precision([1, 2], [True, False]) == 0.5


def test_each_draw_has_errors_in_a_twentieth_and_the_audit_finds_them(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "cleanlab_score", lambda looked: 1.0)
    dataset = write_discs(tmp_path, count=40)
    bench = benchmark.Bench(dataset, benchmark.once(right_answers(dataset)))
    for error in ("empty by mistake", "another picture's mask", "twin of another patient"):
        entries, wrong = benchmark.draw(bench, error, 5)
        assert len(entries) == (42 if error.startswith("twin") else 40)
        assert len(wrong) == (4 if error.startswith("twin") else 2)
    values = benchmark.measure(bench, "empty by mistake", [5, 6])
    assert values["audit"] == values["found"] == values["named"] == [1.0, 1.0]
    assert values["others"] == [0.0, 0.0]
    assert benchmark.interval([0.4, 0.6]) == "0.50 (0.00 to 1.00)"
    assert np.isfinite(values["Dice"]).all()


def test_importing_it_leaves_the_log_as_it_was(benchmark: ModuleType) -> None:
    assert logging.root.manager.disable < logging.WARNING
