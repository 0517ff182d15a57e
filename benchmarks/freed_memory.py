"""What a training step takes if freed memory is kept for the next one, as training keeps it, and if glibc returns it to the system.

    OMP_NUM_THREADS=1 python benchmarks/freed_memory.py
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 python benchmarks/freed_memory.py      # AVX2 imitated

Steps on noise, float32, AdamW; each measurement is a process of its own, and the two ways take turns. Seconds are processor time; pages
are those that the system handed out in a step; memory is the most that the process had. Medians. Linux with glibc.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from networks import cpu_name, instruction_set
from torch import Tensor, nn

from medseg_monai.files.markdown import markdown_table
from medseg_monai.networks import UNet
from medseg_monai.program.freed_memory import keep_freed_memory

LITE0 = "tf_efficientnet_lite0"
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "U-Net 16-256, first convolution at half size": (
        lambda: UNet(3, 1, features=(16, 32, 64, 128, 256), stem_stride=2),
        (16, 3, 128, 128),
    ),
    "U-Net with lite0, 16-80": (lambda: UNet(3, 1, features=(16, 24, 40, 80), encoder=LITE0), (8, 3, 192, 192)),
    "3D U-Net 16-128": (
        lambda: UNet(1, 6, features=(16, 32, 64, 128), spatial_dims=3, norm="instance"),
        (2, 1, 64, 64, 64),
    ),
}


def measure(name: str, kept: bool, steps: int) -> dict[str, float]:
    """Of the steps after the first two: seconds and pages of one; and the process's largest memory in MB."""
    torch.manual_seed(0)
    if kept:
        keep_freed_memory()
    build, shape = NETWORKS[name]
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    network, images = build().to(memory_format=layout), torch.randn(shape).contiguous(memory_format=layout)
    optimiser, taken = torch.optim.AdamW(network.parameters()), []

    def step() -> None:
        logits: Tensor = network(images)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    for _ in range(2 + steps):
        pages, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        step()
        taken.append((time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages))
    seconds, pages = (statistics.median(column) for column in zip(*taken[2:], strict=True))
    return {"seconds": seconds, "pages": pages, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def measured(name: str, kept: bool, steps: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--one", name, "--steps", str(steps), *(["--kept"] * kept)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--one", choices=list(NETWORKS), help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.kept, options.steps)))
        return
    rows = []
    for name in options.only:
        rounds = [[measured(name, kept, options.steps) for kept in (False, True)] for _ in range(options.rounds)]
        returned, kept = (
            {key: statistics.median(one[way][key] for one in rounds) for key in rounds[0][way]} for way in (0, 1)
        )
        ratio = statistics.median(kept["seconds"] / returned["seconds"] for returned, kept in rounds)
        each = [f"{one['seconds']:.3f} | {one['pages']:,.0f} | {one['mb']:.0f}" for one in (returned, kept)]
        rows.append([name, *" | ".join(each).split(" | "), f"{ratio:.2f}"])
    head = ["network", "returned: seconds", "pages", "MB", "kept: seconds", "pages", "MB", "ratio"]
    print(f"{cpu_name()}, {instruction_set()}, {torch.get_num_threads()} thread(s); torch {torch.__version__}.\n")
    print("\n".join(markdown_table(head, rows)))


if __name__ == "__main__":
    main()
