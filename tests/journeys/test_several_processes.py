"""Training by ``torchrun``: what several processes write equals what one process writes that has all of their cases in a batch."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from medseg_monai.bundle.trained import read_weights

SMALL = {
    "unetpp": ("--architecture#features", "[4,8,8]"),
    "unet": ("--architecture#features", "[4,8,8]"),
    # dropout draws in each process, so it is left out here
    "deeplabv3plus": (
        "--architecture#features",
        "[4,8,8,8]",
        "--architecture#width",
        "16",
        "--architecture#dropout",
        "0.0",
    ),
}
SETTINGS = ("--size", "[64,64]", "--max_epochs", "2", "--precision", "fp32", "--warmup", "0", "--lr", "1e-3")


def command(bundle: str, batch: int, data: Path, out: Path, *, launcher: tuple[str, ...] = ()) -> list[str]:
    """MONAI's own command, started by ``torchrun`` if there is a launcher."""
    names = ("train", "multi_gpu_train") if launcher else ("train",)
    configs = ",".join(f"'bundles/{bundle}/configs/{name}.json'" for name in names)
    training = ("-m", "monai.bundle", "run", "training", "--config_file", f"[{configs}]", "--batch_size", str(batch))
    return [
        sys.executable,
        *launcher,
        *training,
        *SMALL[bundle],
        *SETTINGS,
        "--dataset_dir",
        str(data),
        "--output_dir",
        str(out),
    ]


def run(*commands: list[str]) -> None:
    """Run them side by side, to their end."""
    settings = {"cwd": REPOSITORY, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True}
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, **settings) for command in commands]
    for process in started:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said


def history(folder: Path) -> list[dict[str, float]]:
    """All that was measured in each epoch."""
    with (folder / "history.csv").open(newline="") as table:
        return [{key: float(value) for key, value in row.items() if key != "seconds"} for row in csv.DictReader(table)]


def assert_same_training(together: Path, alone: Path) -> None:
    """The same history and weights, but for rounding."""
    assert [row["epoch"] for row in history(together)] == [1, 2]
    for row, expected in zip(history(together), history(alone), strict=True):
        assert row == pytest.approx(expected, abs=1e-4)
    ours, theirs = (read_weights(folder / "model.pt") for folder in (together, alone))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("bundle", "processes", "batch"), [("unetpp", 2, 3), ("unet", 3, 2), ("deeplabv3plus", 2, 3)])
def test_the_history_is_that_of_one_process_with_the_same_global_batch(
    bundle: str, processes: int, batch: int, demo_data: Path, tmp_path: Path
) -> None:
    """The demo's cases are not a multiple of the batch, nor its validation cases of the processes."""
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
    run(command(bundle, batch, demo_data, tmp_path / "together", launcher=launcher))
    run(command(bundle, processes * batch, demo_data, tmp_path / "alone"))
    assert_same_training(tmp_path / "together", tmp_path / "alone")


@pytest.mark.slow
def test_two_machines_that_meet_at_an_address(demo_data: Path, tmp_path: Path) -> None:
    """Two launchers, as two machines run them, with a process each; what they share is the data and the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = (
        "--nproc_per_node=1",
        "--nnodes=2",
        "--rdzv_backend=c10d",
        f"--rdzv_endpoint=127.0.0.1:{port}",
        "--rdzv_id=1",
    )
    together = command(
        "unetpp", 3, demo_data, tmp_path / "together", launcher=("-m", "torch.distributed.run", *meeting)
    )
    run(together, together)
    run(command("unetpp", 6, demo_data, tmp_path / "alone"))
    assert_same_training(tmp_path / "together", tmp_path / "alone")
