"""The memory of a training does not grow with its epochs."""

import json
import subprocess
import sys
from pathlib import Path

import training_memory
from conftest import REPOSITORY
from training_memory import EPOCHS, WARM_UP, Held

BLOCKS_PER_EPOCH = 100
"""An epoch's row of the history takes 40: its dictionary, names and values."""


def test_epochs_leave_nothing_in_memory(demo_data: Path, tmp_path: Path) -> None:
    """In a process of its own: what other tests left behind comes and goes."""
    command = [sys.executable, "-W", "ignore", training_memory.__file__, str(demo_data), str(tmp_path)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    told = json.loads(ended.stdout.splitlines()[-1])
    warm, last = (Held(**told[str(epoch)]) for epoch in (WARM_UP, EPOCHS))
    assert (last.tensors, last.tensor_bytes) == (warm.tensors, warm.tensor_bytes)
    assert last.objects - warm.objects < EPOCHS - WARM_UP
    assert last.blocks - warm.blocks < BLOCKS_PER_EPOCH * (EPOCHS - WARM_UP)
