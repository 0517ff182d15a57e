"""Disks and memories that are too small for a training, found before its first epoch or said with what to change."""

import errno
import logging
import math
import os
import resource
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from conftest import SMALL
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from medseg_monai.dataset import DatasetSpec
from medseg_monai.files.writing import DiskFullError
from medseg_monai.networks import UNet
from medseg_monai.training.room import GuardMemory, RefuseFullDisk, checkpoint_bytes, limited_memory, smaller

SPEC = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(64, 64))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def trainer_of(network: nn.Module, *, samples: int = 2, loss: Any = None) -> SupervisedTrainer:
    data = [{"image": torch.ones(1, 64, 64), "label": torch.zeros(1, 64, 64)} for _ in range(samples)]
    loader = torch.utils.data.DataLoader(data, batch_size=samples)
    optimizer = torch.optim.AdamW(network.parameters())
    return SupervisedTrainer("cpu", 1, loader, network, optimizer, loss or nn.MSELoss(), decollate=False)


@pytest.mark.parametrize("averaged", [False, True])
def test_a_training_writes_no_more_than_was_foreseen(averaged: bool, tmp_path: Path) -> None:
    network = nn.Linear(300, 300)
    kept = nn.Linear(300, 300) if averaged else network
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 300)).sum().backward()
    optimizer.step()
    torch.save(kept.state_dict(), tmp_path / "model.pt")
    content = {"network": kept.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**content, "weights": network.state_dict()}, tmp_path / "last.pt")
    weights, last = ((tmp_path / name).stat().st_size for name in ("model.pt", "last.pt"))
    assert checkpoint_bytes(kept, network) == pytest.approx(2 * weights + 3 * last, rel=0.05)


def test_a_full_disk_ends_training_before_its_first_epoch(
    medseg: Callable[..., Any], demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    out = tmp_path / "out"
    ended = medseg("train", "unetpp", "-d", demo_data, *SMALL, "--max-epochs", 1, "--output-dir", out)
    assert ended.code == 1
    assert "its checkpoints take about 0.01 GB, and 0.00 GB are free. Free some space" in ended.err.splitlines()[-1]
    assert "epoch 1/1" not in ended.err
    assert not (out / "model.pt").exists()


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    trainer = trainer_of(nn.Conv2d(1, 1, 3, padding=1))
    RefuseFullDisk(trainer.network, tmp_path / "out").attach(trainer)
    with pytest.raises(NotADirectoryError, match=r"out is a file: name a folder for the training with --out"):
        trainer.run()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files are not reserved here")
def test_a_limit_of_the_users_own_is_found_too(tmp_path: Path) -> None:
    trainer = trainer_of(nn.Conv2d(1, 1, 3, padding=1))
    RefuseFullDisk(trainer.network, tmp_path).attach(trainer)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(DiskFullError, match="its checkpoints take about 0.01 GB, and the quota allows less"):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_reserves_nothing_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(file: int, offset: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    trainer = trainer_of(nn.Conv2d(1, 1, 3, padding=1))
    RefuseFullDisk(trainer.network, tmp_path).attach(trainer)
    trainer.run()
    assert trainer.state.iteration == 1


def _raise(engine: SupervisedTrainer, error: BaseException) -> None:
    raise error


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_that_runs_out_is_an_error_before_the_kernel_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = 400_000_000
    monkeypatch.setattr("medseg_monai.training.room.free_memory_bytes", lambda: free)
    monkeypatch.setattr("medseg_monai.planning.machine.free_memory_bytes", lambda: free)

    def greedy(logits: Tensor, label: Tensor) -> Tensor:
        return logits.mean() + torch.zeros(150_000_000).sum()  # 600 MB

    before = resource.getrlimit(resource.RLIMIT_DATA)
    network = UNet(1, 1, features=[4, 8])
    trainer = trainer_of(network, loss=greedy)
    GuardMemory(SPEC, partial(UNet, 1, 1, features=[4, 8]), precision="fp32").attach(trainer)
    trainer.add_event_handler(Events.EXCEPTION_RAISED, _raise)  # as the handler that saves weights does
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="can't allocate memory"):
        trainer.run()
    assert (
        "Memory ran out; 0.4 GB were free when training began: batch_size 1 instead of 2 would take about 0."
        in caplog.text
    )
    assert caplog.text.count("Memory ran out") == 1
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_step_that_will_not_fit_is_said_before_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("medseg_monai.planning.machine.free_memory_bytes", lambda: 1_000_000)
    monkeypatch.setattr("medseg_monai.training.room.free_memory_bytes", lambda: math.inf)
    trainer = trainer_of(nn.Conv2d(1, 1, 3, padding=1))
    GuardMemory(SPEC, partial(UNet, 1, 1, features=[16, 32]), precision="fp32").attach(trainer)
    with caplog.at_level(logging.WARNING):
        trainer.run()
    assert "memory: a step takes about 0.0 GB, and 0.0 GB are free: " in caplog.text


def test_after_training_memory_is_as_free_as_before() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    trainer = trainer_of(nn.Conv2d(1, 1, 3, padding=1))
    GuardMemory(SPEC, partial(UNet, 1, 1, features=[4, 8]), precision="fp32").attach(trainer)
    trainer.run()
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@given(side=st.integers(32, 512), batch=st.integers(1, 64), free=st.floats(0.01, 20), fixed=st.floats(0.001, 0.1))
def test_what_is_proposed_fits_and_the_next_batch_does_not(side: int, batch: int, free: float, fixed: float) -> None:
    def needed(size: Sequence[int], samples: int) -> float:
        return fixed + 1e-6 * samples * math.prod(size)

    if needed((side, side), batch) <= free:
        return
    words = smaller(needed, (side, side), batch, free).split()
    if words[0] == "batch_size":
        proposed = int(words[1])
        assert proposed < batch
        assert needed((side, side), proposed) <= free + 1e-9
        assert proposed == batch - 1 or needed((side, side), proposed + 1) > free - 1e-9
    elif words[0] == "size":
        width, height = map(int, words[1].split("x"))
        assert width <= side
        assert needed((width, height), 1) <= free
    else:
        assert needed([max(16, int(0.15 * side) // 16 * 16)] * 2, 1) > free


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_the_limit_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.training.room.free_memory_bytes", lambda: 200_000_000)
    with limited_memory():
        with pytest.raises(MemoryError):
            bytearray(300_000_000)
        assert len(bytearray(50_000_000)) == 50_000_000
    assert len(bytearray(300_000_000)) == 300_000_000
