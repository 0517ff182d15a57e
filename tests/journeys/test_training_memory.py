"""The memory of a training does not grow with its epochs."""

import gc
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from conftest import REPOSITORY
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from medseg_monai.bundle.assignments import parse_assignments
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.training.handlers import RecordEpochs

WARM_UP, EPOCHS = 4, 16
SETTINGS = ("architecture#features=[4, 8, 8]", "batch_size=7", "size=[32, 32]", "panel_interval=2")
BLOCKS_PER_EPOCH = 100
"""An epoch's row of the history takes 40: its dictionary, names and values."""


class Held(NamedTuple):
    """What a process holds once all that nobody refers to is freed: Python's blocks, the objects in them, tensors and their bytes."""

    blocks: int
    objects: int
    tensors: int
    tensor_bytes: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        blocks, objects = sys.getallocatedblocks(), gc.get_objects()
        tensors = [each for each in objects if issubclass(type(each), torch.Tensor)]
        return cls(blocks, len(objects), len(tensors), sum(each.numel() * each.element_size() for each in tensors))


def test_epochs_leave_nothing_in_memory(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all handlers of a bundle but the picture of the curves, at which test_handlers.py looks."""
    monkeypatch.setattr(RecordEpochs, "_draw", lambda self, engine: None)
    given = {"dataset_dir": str(demo_data), "output_dir": str(tmp_path), "device": "cpu", "as_published": True}
    workflow = bundle_workflow(
        find_bundle(REPOSITORY / "bundles" / "unet"), "train", {**given, "max_epochs": EPOCHS}, assignments=parse_assignments(SETTINGS)
    )  # fmt: skip
    workflow.initialize()
    trainer: SupervisedTrainer = workflow.parser.get_parsed_content("train#trainer")
    after: dict[int, Held] = {}
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED(event_filter=lambda _, epoch: epoch in (WARM_UP, EPOCHS)),
        lambda: after.update({trainer.state.epoch: Held.now()}),
    )
    trainer.run()
    warm, last = after[WARM_UP], after[EPOCHS]
    assert (last.tensors, last.tensor_bytes) == (warm.tensors, warm.tensor_bytes)
    assert last.objects - warm.objects < EPOCHS - WARM_UP
    assert last.blocks - warm.blocks < BLOCKS_PER_EPOCH * (EPOCHS - WARM_UP)
