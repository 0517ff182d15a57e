"""What a training holds after some epochs, as JSON, in a process in which nothing else runs: python training_memory.py DATA FOLDER."""

import gc
import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from medseg_monai.bundle.assignments import parse_assignments
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.training.handlers import RecordEpochs

WARM_UP, EPOCHS = 4, 16
SETTINGS = ("architecture#features=[4, 8, 8]", "batch_size=7", "size=[32, 32]", "panel_interval=2")


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


def held_after(data: Path, folder: Path) -> dict[int, Held]:
    """By epoch, with all handlers of a bundle but the picture of the curves, at which test_handlers.py looks."""
    setattr(RecordEpochs, "_draw", lambda self, engine: None)  # noqa: B010
    given = {"dataset_dir": str(data), "output_dir": str(folder), "device": "cpu", "as_published": True}
    workflow = bundle_workflow(
        find_bundle("unet"), "train", {**given, "max_epochs": EPOCHS}, assignments=parse_assignments(SETTINGS)
    )
    workflow.initialize()
    trainer: SupervisedTrainer = workflow.parser.get_parsed_content("train#trainer")
    after: dict[int, Held] = {}
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED(event_filter=lambda _, epoch: epoch in (WARM_UP, EPOCHS)),
        lambda: after.update({trainer.state.epoch: Held.now()}),
    )
    trainer.run()
    return after


if __name__ == "__main__":
    found = {epoch: held._asdict() for epoch, held in held_after(*map(Path, sys.argv[1:])).items()}
    sys.stdout.write(f"\n{json.dumps(found)}\n")
