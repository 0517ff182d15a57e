"""Images per second of a training beside plain PyTorch loops, and what many cases, workers and epochs cost.

    OMP_NUM_THREADS=1 python benchmarks/training.py --write docs/benchmarks.md
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 python benchmarks/training.py --write docs/benchmarks.md

Seconds are processor time of the training process, so that other programs hardly count; ways take turns epoch by epoch within one
process, and the median of the rounds' ratios is given. Needs albumentations, opencv and segmentation-models-pytorch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import networks
import numpy as np
import segmentation_models_pytorch as smp
import torch
from albumentations.pytorch import ToTensorV2
from datapath import cpu_name, generated_cases
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.engines.precision import PrecisionInferer, placed
from medseg_monai.networks import UNet
from medseg_monai.training.losses import segmentation_loss
from medseg_monai.training.schedules import one_cycle

FEATURES = (16, 32, 64, 128, 256)
MEAN, STD = 0.5, 0.25
PICTURES = 100
"""Different ones, which more cases share through links."""
VALIDATION = 8
PROBED_STEPS = 30
EPOCHS_OF_MEMORY = 200
PARTS = ("loops", "cases", "memory")
CASES_HEAD = (
    "| cases | workers | seconds before the first step's end | ms per image | peak memory (MB) |",
    "|---:|---:|---:|---:|---:|",
)
Batch = dict[str, Tensor]


@dataclass
class Bare:
    """The loop that one writes by hand: forward, backward, clipped gradients, a step of the optimiser and of the schedule."""

    network: nn.Module
    batches: Sequence[Batch] | DataLoader[Batch]
    steps: int
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """As the trainer has them."""
        self.network = placed(self.network, "cpu").train()
        self.loss, self.run = segmentation_loss("binary"), PrecisionInferer("auto", "cpu")
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.002, weight_decay=0.01)
        self.schedule = one_cycle(self.optimizer, lr=0.002, total_steps=self.steps, warmup=0.1)

    def epoch(self) -> None:
        """One pass, timed."""
        began = time.process_time()
        for batch in self.batches:
            self.optimizer.zero_grad()
            loss = self.loss(self.run(batch["image"], self.network), batch["label"])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            float(loss.detach())  # which every loop prints or records
        self.seconds.append(time.process_time() - began)


class Photographs(Dataset[Batch]):
    """Decoded pictures in memory, changed by albumentations as ours change them."""

    def __init__(self, cases: Sequence[dict[str, str]], side: int) -> None:
        resize = A.Resize(side, side, interpolation=cv2.INTER_AREA)
        self.held = [resize(image=_image(case), mask=_mask(case)) for case in cases]
        steps = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomRotate90(p=0.5)]
        warp = A.Affine(rotate=(-30, 30), scale=(0.83, 1.2), shear=(-5, 5), border_mode=cv2.BORDER_REFLECT, p=0.8)
        colour = A.ColorJitter(brightness=0.1, contrast=0.2, saturation=0.2, hue=0.02, p=0.8)
        last = [
            A.RandomGamma(gamma_limit=(80, 120), p=0.8),
            A.Normalize(mean=(MEAN,) * 3, std=(STD,) * 3),
            ToTensorV2(),
        ]
        self.change = A.Compose([*steps, warp, colour, *last])

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: int) -> Batch:
        changed = self.change(**self.held[index])
        return {"image": changed["image"], "label": changed["mask"][None]}


def _image(case: dict[str, str]) -> Any:
    return cv2.cvtColor(cv2.imread(case["image"]), cv2.COLOR_BGR2RGB)


def _mask(case: dict[str, str]) -> Any:
    return (cv2.imread(case["label"], cv2.IMREAD_GRAYSCALE) > 127).astype(np.uint8)


class Ready(list[Batch]):
    """Batches in memory, as a loader."""

    batch_size = 0


def write_dataset(folder: Path, *, cases: int, side: int) -> list[dict[str, str]]:
    """A data set of generated photographs; beyond `PICTURES` cases they are links to the same pictures."""
    pictures = generated_cases(folder, count=min(cases, PICTURES) + VALIDATION, width=side * 5 // 4, height=side)
    validation, training = pictures[:VALIDATION], pictures[VALIDATION:]
    linked = []
    for number in range(cases):
        source, name = training[number % len(training)], f"case_{number}"
        for key, suffix in (("image", ".jpg"), ("label", ".png")):
            (folder / f"{name}{suffix}").symlink_to(source[key])
        linked.append({"image": f"{name}.jpg", "label": f"{name}.png"})
    spec = {
        "name": "benchmark", "task": "binary", "classes": ["lesion"], "channels": ["red", "green", "blue"], "spatial_dims": 2,
        "size": [side, side], "intensity": {"kind": "uint8", "mean": [MEAN], "std": [STD]},
    }  # fmt: skip
    splits = {"training": linked, "validation": validation, "test": []}
    (folder / "dataset.json").write_text(json.dumps({**spec, **splits}))
    return training


def our_trainer(
    data: Path, *, batch: int, epochs: int, workers: int = 0, val_interval: int = 10**6
) -> SupervisedTrainer:
    """What `medseg train` runs, all handlers included."""
    values = {
        "dataset_dir": str(data), "output_dir": str(data / f"out_{os.getpid()}"), "cache_dir": str(data / "cache"), "device": "cpu",
        "as_published": True, "max_epochs": epochs, "batch_size": batch, "num_workers": workers, "val_interval": val_interval,
    }  # fmt: skip
    network = {"architecture#features": list(FEATURES), "architecture#stem_stride": 2}
    workflow = bundle_workflow(find_bundle("unet"), "train", values, assignments=network)
    workflow.initialize()
    trainer: SupervisedTrainer = workflow.parser.get_parsed_content("train#trainer")
    return trainer


def take_turns(trainer: SupervisedTrainer, others: Sequence[Bare]) -> list[float]:
    """Train with `trainer`, and after each of its epochs let the others train for one; its seconds by epoch, without validation."""
    seconds: list[float] = []
    began = 0.0

    def begin() -> None:
        nonlocal began
        began = time.process_time()

    def end() -> None:
        if trainer.state.iteration % trainer.state.epoch_length == 0:
            seconds.append(time.process_time() - began)

    def others_turn() -> None:
        for other in others:
            other.epoch()

    trainer.add_event_handler(Events.EPOCH_STARTED, begin)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, end)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, others_turn)
    trainer.run()
    return seconds


def compare(*, side: int, batch: int, images: int, rounds: int) -> list[str]:
    """Rows of the table: ours beside the bare loop on the same batches, and beside the loops with albumentations."""
    network = partial(UNet, 3, 1, features=FEATURES, stem_stride=2)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        cases = write_dataset(data, cases=images, side=side)
        trainer = our_trainer(data, batch=batch, epochs=rounds + 1)
        ready = Ready(trainer.data_loader)
        ready.batch_size = batch
        trainer.data_loader = ready
        bare = Bare(network(), ready, len(ready) * (rounds + 1))
        rows += _rows("the same batches in memory", images, take_turns(trainer, [bare]), {"bare loop": bare})
        loader = partial(DataLoader, Photographs(cases, side), batch_size=batch, shuffle=True, drop_last=True)
        plain = {
            "bare loop, albumentations, DataLoader": Bare(network(), loader(), len(ready) * (rounds + 1)),
            "smp's Unet (resnet18), albumentations, DataLoader": Bare(
                smp.Unet("resnet18", encoder_weights=None), loader(), len(ready) * (rounds + 1)
            ),
        }
        whole = our_trainer(data, batch=batch, epochs=rounds + 1)
        rows += _rows("pictures changed at random", images, take_turns(whole, list(plain.values())), plain)
    return rows


def _rows(what: str, images: int, ours: Sequence[float], others: dict[str, Bare]) -> list[str]:
    """The first round warms up."""
    rows = [f"| {what}: medseg_monai | {images / statistics.median(ours[1:]):.1f} | |"]
    for name, other in others.items():
        ratio = statistics.median(its / own for own, its in zip(ours[1:], other.seconds[1:], strict=True))
        rows.append(f"| {what}: {name} | {images / statistics.median(other.seconds[1:]):.1f} | {ratio:.2f} |")
    return rows


def probe(*, cases: int, workers: int, side: int, batch: int) -> dict[str, float]:
    """A training of so many cases, up to its `PROBED_STEPS`-th step: what comes before the first, and what each takes."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), cases=cases, side=side)
        began = time.process_time()
        trainer = our_trainer(Path(folder), batch=batch, epochs=1, workers=workers)
        at: list[float] = []
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: at.append(time.process_time()))
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=min(PROBED_STEPS, cases // batch)), trainer.terminate)
        trainer.run()
        step = statistics.median(later - earlier for earlier, later in pairwise(at[1:]))
        return {"before": at[0] - began, "image_ms": 1000 * step / batch, "peak_mb": peak_mb()}


def memory(*, side: int, batch: int) -> dict[str, float]:
    """Resident memory after an eighth of the epochs, after half and after all, each with a validation."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), cases=2 * batch, side=side)
        trainer = our_trainer(Path(folder), batch=batch, epochs=EPOCHS_OF_MEMORY, val_interval=1)
        after: list[float] = []
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: after.append(resident_mb()))
        trainer.run()
    return {str(epoch): after[epoch - 1] for epoch in (len(after) // 8, len(after) // 2, len(after))}


def resident_mb() -> float:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """Of this process, so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def in_process(*arguments: str) -> dict[str, float]:
    """What a probe in a fresh process found; it is shown at once, for the next probe may take long, or fail."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # its errors are seen
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(*arguments, found, file=sys.stderr, flush=True)
    return found


def probed(counts: Sequence[int], workers: Sequence[int], shape: Sequence[str]) -> Iterator[str]:
    """Rows of the table of cases and workers."""
    for count, number in [*((count, 0) for count in counts), *((counts[-1], number) for number in workers)]:
        found = in_process("--probe", str(count), str(number), *shape)
        yield f"| {count:,} | {number} | {found['before']:.1f} | {found['image_ms']:.1f} | {found['peak_mb']:.0f} |"


def section(options: argparse.Namespace) -> str:
    """The section of the document for this kind of processor: the parts that were asked for."""
    side, batch = options.size, options.batch
    shape = ("--size", str(side), "--batch", str(batch))
    command = f"OMP_NUM_THREADS=1 python benchmarks/training.py {' '.join(sys.argv[1:])}".rstrip()
    precision = PrecisionInferer("auto", "cpu").dtype or torch.float32
    lines = [
        heading(),
        "",
        f"`{command}`: U-Net 16-256, first convolution at half size, {side}x{side}, batches of {batch}, {options.images} generated",
        f"photographs, {options.rounds} rounds; {cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {precision}; torch",
        f"{torch.__version__}. Processor time of one thread; ratio: our images per second over theirs.",
    ]
    if "loops" in options.parts:
        rows = compare(side=side, batch=batch, images=options.images, rounds=options.rounds)
        lines += ["", "| way | images/s | ratio |", "|---|---:|---:|", *rows]
    if "cases" in options.parts:
        lines += ["", *CASES_HEAD, *probed(options.cases, (1, 2), shape), "", "Workers' own seconds are not in them."]
    if "memory" in options.parts:
        kept = ", ".join(f"{epoch}: {size:.0f} MB" for epoch, size in in_process("--memory", *shape).items())
        lines += ["", f"Memory after epochs, each with a validation: {kept}."]
    return "\n".join(lines)


def heading() -> str:
    """By the kind of processor: a section for each."""
    return f"## Training, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    """Measure, print, and write if asked to; or one probe for `in_process`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--write", type=Path, help="Markdown file whose section is brought up to date")
    parser.add_argument("--probe", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shape: dict[str, int] = {"side": options.size, "batch": options.batch}
    single: Callable[[], dict[str, float]] | None = None
    if options.probe:
        single = partial(probe, cases=options.probe[0], workers=options.probe[1], **shape)
    elif options.memory:
        single = partial(memory, **shape)
    if single is not None:
        print(json.dumps(single()))
        return
    text = section(options)
    print(text)
    if options.write:
        networks.write_section(options.write, text + "\n")


if __name__ == "__main__":
    main()
