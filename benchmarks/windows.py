"""Processor time of a 3D U-Net's window, ours and in MONAI's SlidingWindowInferer, with and without huge pages: where volumes.py's goes.

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 python benchmarks/windows.py

The network is volumes.py's, with random weights, in float32. The volume is noise, no part of which is passed over, of two batches of four
windows. Each row is a process of its own (huge pages: ``THP_MEM_ALLOC_ENABLE=1``, as `medseg predict` has it), which runs the volume once
before. User: the processor computes; system: mostly, the kernel clears the memory that it hands out. Seconds, of all threads; the
shortest of some rounds, in which the rows take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import torch
from ct_network import described
from networks import cpu_name, instruction_set
from volumes import AT_ONCE, OVERLAP, monai_inferer

from medseg_monai.inference.inferer import case_inferer

REPOSITORY = Path(__file__).resolve().parent.parent
OURS, THEIRS = "ours", "MONAI's"
WAYS = [(who, pages) for pages in (False, True) for who in (OURS, THEIRS)]


def work_once(who: str, side: int) -> tuple[float, float]:
    """User and system seconds of a window."""
    torch.manual_seed(0)
    options = argparse.Namespace(window=[side] * 3, spacing=3.0, norm="batch")
    trained = described(options)
    network = trained.build_network().eval()
    windows = 2 * AT_ONCE
    image = torch.randn(1, 1, side, side, side + (windows - 1) * side // 2)
    inferer = (
        case_inferer(trained.dataset, precision="fp32", device="cpu", engine="torch", overlap=OVERLAP)
        if who == OURS
        else monai_inferer(options.window)
    )
    with torch.no_grad():
        inferer(image, network)
        before = resource.getrusage(resource.RUSAGE_SELF)
        inferer(image, network)
        after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime - before.ru_utime) / windows, (after.ru_stime - before.ru_stime) / windows


def in_process(who: str, *, pages: bool, side: int) -> tuple[float, float]:
    """A row in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--who", who, "--side", str(side)]
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "0", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    user, system = json.loads(done.stdout.splitlines()[-1])
    return user, system


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--side", type=int, default=64, help="of a window, in voxels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--who", choices=[OURS, THEIRS], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options = parse()
    if options.who:
        print(json.dumps(work_once(options.who, options.side)))
        return
    print(f"{cpu_name()}, {instruction_set()}, {torch.get_num_threads()} threads; windows of {options.side}³.\n")
    print("| inferer | pages | seconds of a window | user | system |\n|---|---|--:|--:|--:|")
    rounds = [[in_process(who, pages=pages, side=options.side) for who, pages in WAYS] for _ in range(options.rounds)]
    for (who, pages), times in zip(WAYS, zip(*rounds, strict=True), strict=True):
        user, system = min(times, key=sum)
        print(f"| {who} | {'huge' if pages else 'of 4 kB'} | {user + system:.3f} | {user:.3f} | {system:.3f} |")


if __name__ == "__main__":
    main()
