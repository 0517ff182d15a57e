"""The benchmark of the quickest network runs, and its tables hold what was measured."""

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from untrained import untrained

from medseg_monai.dataset import read_dataset


def test_tables_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    fast = importlib.import_module("fast")
    rounds = [
        {"torch": 1.0, "resnet34": 4.0, "mobilenet_v2": 2.0},
        {"torch": 2.0, "resnet34": 6.0, "mobilenet_v2": 3.0},
        {"torch": 1.0, "resnet34": 5.0, "mobilenet_v2": 2.5},
    ]
    ours, resnet, _ = fast.speed_table(rounds, 10)[2:]
    assert [cell.strip() for cell in ours.strip("|").split("|")] == ["ours, torch", "10.0", "4.00", "2.00"]
    assert resnet.split("|")[2].strip() == "2.0"
    scores = {"ours": np.array([0.9, 0.7]), "resnet34": np.array([0.8, 0.5])}
    facts = dict.fromkeys(scores, "facts")
    ours, peer = fast.accuracy_table(scores, facts)[2:]
    assert "| 0.800" in ours
    assert re.search(r"\| 0\.650.*\| 0\.150", peer)


@pytest.mark.slow
def test_it_runs_from_training_to_report(demo_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    weights = untrained(tmp_path / "weights", read_dataset(demo_data).spec, seed=0)
    arguments = argparse.Namespace(seconds=2, size=64, images=2, rounds=1, cases=2, threads=1)
    given = [f"--{name}={value}" for name, value in vars(arguments).items()]
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "fast.py"), str(demo_data), *given]
    subprocess.run([*command, "--work", str(tmp_path / "work"), "--weights", str(weights)], check=True, cwd=REPOSITORY)
    report = (tmp_path / "work" / "fast.md").read_text()
    assert "smp Unet, resnet34, plain script" in report
    assert "ours minus this" in report
