"""Training by ``torchrun``: what several processes write equals what one process writes that has all of their cases in a batch."""

import csv
from pathlib import Path

import pytest
import torch
from launchers import ended, meeting, start, switch_off, wait_for

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
EPOCHS = ("--max_epochs", "6")
SETTINGS = ("--size", "[64,64]", "--max_epochs", "2", "--precision", "fp32", "--warmup", "0", "--lr", "1e-3")


def command(bundle: str, batch: int, data: Path, out: Path, *, launcher: tuple[str, ...] = ()) -> list[str]:
    """MONAI's own command, as Python's arguments, started by ``torchrun`` if there is a launcher."""
    names = ("train", "multi_gpu_train") if launcher else ("train",)
    configs = ",".join(f"'bundles/{bundle}/configs/{name}.json'" for name in names)
    training = ("-m", "monai.bundle", "run", "training", "--config_file", f"[{configs}]", "--batch_size", str(batch))
    return [*launcher, *training, *SMALL[bundle], *SETTINGS, "--dataset_dir", str(data), "--output_dir", str(out)]


def run(*commands: list[str]) -> None:
    """Run them side by side, to their end."""
    for process in [start(*command) for command in commands]:
        code, _, said = ended(process, seconds=900)
        assert code == 0, said


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
    run(*(command("unetpp", 3, demo_data, tmp_path / "together", launcher=launcher) for launcher in meeting()))
    run(command("unetpp", 6, demo_data, tmp_path / "alone"))
    assert_same_training(tmp_path / "together", tmp_path / "alone")


def on_two_machines(data: Path, out: Path, *more: str) -> list[list[str]]:
    """Six epochs by two launchers."""
    return [[*command("unet", 3, data, out, launcher=launcher), *more, *EPOCHS] for launcher in meeting()]


@pytest.fixture(scope="module")
def undisturbed(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two launchers write that nobody interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(*on_two_machines(demo_data, folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_machine_that_dies_ends_the_other_and_both_go_on_to_the_same_weights(
    dead: int, undisturbed: Path, demo_data: Path, tmp_path: Path
) -> None:
    """0 is the one at whose port they meet."""
    launched = [start(*each) for each in on_two_machines(demo_data, tmp_path)]
    table = tmp_path / "history.csv"
    wait_for(lambda: table.is_file() and len(history(tmp_path)) >= 2, *launched)
    switch_off(launched[dead])
    code, _, said = ended(launched[1 - dead], seconds=120)
    assert code != 0
    if dead == 1:  # else torchrun ends the process before it notices
        assert "another process of this training has ended, or cannot be reached" in said
    ended(launched[dead])
    assert len(history(tmp_path)) < 6
    run(*on_two_machines(demo_data, tmp_path, "--resume", "true"))
    assert history(tmp_path) == history(undisturbed)
    ours, theirs = (read_weights(folder / "model.pt") for folder in (tmp_path, undisturbed))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
