"""Costs of small networks: a row for each, with its parameters."""

import importlib

import pytest
from conftest import REPOSITORY


def test_one_row_for_each_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    students = importlib.import_module("students")
    few = {name: students.CANDIDATES[name] for name in list(students.CANDIDATES)[-1:]}
    monkeypatch.setattr(students, "CANDIDATES", few)
    (row,) = students.table([32], 1)[2:]
    count = sum(parameter.numel() for parameter in few[next(iter(few))]().parameters())
    assert f"{count / 1e6:.2f} M" in row
    assert float(row.split("|")[3]) > 0
