"""A training that is stopped and continued as users do it: through MONAI alone, on several processes, by folds from given weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, SMALL, Outcome

from medseg_monai.bundle.trained import Trained, read_weights
from medseg_monai.training.recorded import read_record

Medseg = Callable[..., Outcome]
ALONE: tuple[str, ...] = ()
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
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
@pytest.mark.parametrize("launcher", [ALONE, TWO], ids=["alone", "two processes"])
def test_resume_true_through_monai_ends_with_the_same_weights(
    launcher: tuple[str, ...], demo_data: Path, tmp_path: Path
) -> None:
    train(launcher, demo_data, tmp_path / "whole")
    stopped = train(launcher, demo_data, tmp_path / "out", "--stop_after", "0")
    assert "Stopped by its limit of 0 minutes in epoch 1 of 2" in stopped
    assert not (read_record(tmp_path / "out") or {}).get("finished")
    assert "within it" in train(launcher, demo_data, tmp_path / "out", "--resume", "true")
    for name in ("model.pt", "last.pt"):
        assert _equal(*(torch.load(tmp_path / folder / name, weights_only=True) for folder in ("whole", "out")))


@pytest.mark.slow
def test_a_clock_stops_it_and_the_same_command_goes_on(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    """By the clock of the machine; the time limit is an eighth of what the whole training takes, which may be in a hurry later."""
    command = ("train", "unet", "-d", demo_data, *SMALL, "--max-epochs", "12")
    assert medseg(*command, "--out", tmp_path / "whole").code == 0
    limit = Trained.read(tmp_path / "whole").training["train_seconds"] / 60 / 8
    stops = 0
    while not (read_record(tmp_path / "out") or {}).get("finished"):
        outcome = medseg(*command, "--out", tmp_path / "out", "--stop-after", f"{limit:.6f}")
        assert outcome.code == 0, outcome.err
        stops += "stopped before its end" in outcome.out
    assert stops >= 2
    for name in ("model.pt", "last.pt"):
        assert _equal(*(torch.load(tmp_path / folder / name, weights_only=True) for folder in ("whole", "out")))


def _equal(whole: dict[str, Any], continued: dict[str, Any]) -> bool:
    whole, continued = whole.get("network", whole), continued.get("network", continued)
    return whole.keys() == continued.keys() and all(torch.equal(whole[key], continued[key]) for key in whole)


@pytest.mark.slow
def test_folds_that_start_from_weights_go_on_too(
    medseg: Medseg, trained: Path, demo_data: Path, tmp_path: Path
) -> None:
    """Stopped in its first fold; each fold starts from the weights, which is scored as its epoch 0."""
    command = (
        "train",
        "unetpp",
        "-d",
        demo_data,
        "--folds",
        "2",
        "--from",
        trained,
        *SMALL,
        "--max-epochs",
        "1",
        "--lr",
        "1e-5",
    )
    whole = medseg(*command, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    stopped = medseg(*command, "--out", tmp_path / "out", "--stop-after", "0")
    assert (stopped.code, "not done yet: 1, 2" in stopped.out) == (0, True)
    assert medseg(*command, "--out", tmp_path / "out").code == 0
    weights = [read_weights(tmp_path / folder / "model.pt") for folder in ("whole", "out")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    for number in (1, 2):
        facts = Trained.read(tmp_path / "out" / f"fold_{number}").training
        assert facts["start"]["kept"] == facts["start"]["tensors"]
        assert (tmp_path / "out" / f"fold_{number}" / "history.csv").read_text().splitlines()[1].startswith("0,")
