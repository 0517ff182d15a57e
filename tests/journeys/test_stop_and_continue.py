"""A training that is stopped and continued as users do it, through MONAI alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from medseg_monai.training.recorded import read_record

ALONE: tuple[str, ...] = ()
SETTINGS = ("--architecture#features", "[4,8,8]", "--size", "[64,64]", "--max_epochs", "2", "--batch_size", "2")


def train(launcher: tuple[str, ...], data: Path, out: Path, *more: str) -> str:
    """Train through MONAI's own command; what it logged."""
    names = ("train", "multi_gpu_train") if launcher else ("train",)
    configs = ",".join(f"'{REPOSITORY}/bundles/unetpp/configs/{name}.json'" for name in names)
    command = ("-m", "monai.bundle", "run", "training", "--config_file", f"[{configs}]")
    ended = subprocess.run(
        [sys.executable, *launcher, *command, *SETTINGS, "--dataset_dir", str(data), "--output_dir", str(out), *more],
        cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [ALONE], ids=["alone"])
def test_resume_true_through_monai_ends_with_the_same_weights(
    launcher: tuple[str, ...], demo_data: Path, tmp_path: Path
) -> None:
    train(launcher, demo_data, tmp_path / "whole")
    stopped = train(launcher, demo_data, tmp_path / "out", "--stop_after", "0")
    assert "Stopped by its limit of 0 minutes in epoch 1 of 2" in stopped
    assert not (read_record(tmp_path / "out") or {}).get("finished")
    assert "within it" in train(launcher, demo_data, tmp_path / "out", "--resume", "true")
    for name in ("model.pt", "last.pt"):
        whole, continued = (torch.load(tmp_path / folder / name, weights_only=True) for folder in ("whole", "out"))
        whole, continued = whole.get("network", whole), continued.get("network", continued)
        assert whole.keys() == continued.keys()
        assert all(torch.equal(whole[key], continued[key]) for key in whole)
