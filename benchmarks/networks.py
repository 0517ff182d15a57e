"""Seconds and memory of each network beside the same architecture in segmentation_models.pytorch or MONAI.

    python benchmarks/networks.py                                  # all, about half an hour on 2 cores
    python benchmarks/networks.py --only unet --rounds 3 --write docs/benchmarks.md

Train step: 4 x 3 x 256 x 256, forward, cross entropy over all heads, backward, SGD. Inference: 1 x 3 x 512 x 512. Both in float32. Ours
runs in channels_last, as its bundles do, and in inference prepared as `medseg predict` prepares it (batch norms fused, convolutions in
oneDNN); the peer as it is, in both layouts, of which the faster counts. In each round ours and the peer take
turns, so that whatever else the machine does hits both; the ratio is the median over rounds of (ours / peer). Peak memory is a
process of its own per figure: how much one step adds to what the process held with the network made.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg_monai.engines.fusing import fused
from medseg_monai.engines.precision import as_a_cpu_trains, precision_of
from medseg_monai.engines.runners import torch_runner
from medseg_monai.networks import DeepLabV3Plus, PSPNet, ResUNetPlusPlus, UNet, UNetPlusPlus

TRAIN, INFERENCE = "train", "inference"
SIZES = {TRAIN: (4, 3, 256, 256), INFERENCE: (1, 3, 512, 512)}
Build = Callable[[], nn.Module]


def monai_unet() -> nn.Module:
    """MONAI's BasicUNet at the published widths."""
    from monai.networks.nets import BasicUNet

    return BasicUNet(2, 3, 1, features=(64, 128, 256, 512, 1024, 64))


def monai_unetpp() -> nn.Module:
    """MONAI's BasicUNetPlusPlus at the published widths, all heads."""
    from monai.networks.nets import BasicUNetPlusPlus

    return BasicUNetPlusPlus(2, 3, 1, features=(32, 64, 128, 256, 512, 32), deep_supervision=True)


def smp(name: str, encoder: str) -> Build:
    """A network of segmentation_models.pytorch, untrained, at its own defaults."""

    def build() -> nn.Module:
        import segmentation_models_pytorch

        network: nn.Module = getattr(segmentation_models_pytorch, name)(encoder, encoder_weights=None)
        return network

    return build


@dataclass(frozen=True)
class Contest:
    """One row: a network of ours, and its peer if there is one.

    Attributes:
        title: what is compared.
        ours: makes our network.
        peer: makes the peer.
        peer_title: the peer's name.
    """

    title: str
    ours: Build
    peer: Build | None = None
    peer_title: str = "none"


CONTESTS = {
    "unet": Contest("U-Net 64-1024", lambda: UNet(3, 1), monai_unet, "MONAI BasicUNet"),
    "unetpp": Contest("U-Net++ 32-512", lambda: UNetPlusPlus(3, 1), monai_unetpp, "MONAI BasicUNetPlusPlus"),
    "unet-resnet34": Contest(
        "U-Net, resnet34", lambda: UNet(3, 1, encoder="resnet34"), smp("Unet", "resnet34"), "smp Unet"
    ),
    "unetpp-resnet34": Contest(
        "U-Net++, resnet34, one head",
        lambda: UNetPlusPlus(3, 1, encoder="resnet34", deep_supervision=False),
        smp("UnetPlusPlus", "resnet34"),
        "smp UnetPlusPlus",
    ),
    "pspnet-smp": Contest(
        "PSPNet, resnet50 as smp has it (two stages, no dilation, 1x1 fusion, one head)",
        lambda: PSPNet(3, 1, encoder="resnet50", levels=3, fusion_kernel=1, auxiliary=False),
        smp("PSPNet", "resnet50"),
        "smp PSPNet",
    ),
    "deeplabv3plus-smp": Contest(
        "DeepLabV3+, resnet50 as smp has it (one decoder convolution)",
        lambda: DeepLabV3Plus(3, 1, encoder="resnet50", decoder_convs=1),
        smp("DeepLabV3Plus", "resnet50"),
        "smp DeepLabV3Plus",
    ),
    "pspnet": Contest("PSPNet, plain", lambda: PSPNet(3, 1)),
    "pspnet-resnet50": Contest("PSPNet, resnet50 as published", lambda: PSPNet(3, 1, encoder="resnet50")),
    "deeplabv3plus-resnet50": Contest(
        "DeepLabV3+, resnet50 as published", lambda: DeepLabV3Plus(3, 1, encoder="resnet50")
    ),
    "deeplabv3plus": Contest("DeepLabV3+, plain", lambda: DeepLabV3Plus(3, 1)),
    "resunetpp": Contest("ResUNet++ 16-256", lambda: ResUNetPlusPlus(3, 1)),
    "unetpp-half": Contest("U-Net++ 32-512, half-size stem", lambda: UNetPlusPlus(3, 1, stem_stride=2)),
    **{
        f"unetpp-l{depth}": Contest(
            f"U-Net++ 32-512, fast mode L{depth}", lambda depth=depth: UNetPlusPlus(3, 1, inference_depth=depth)
        )
        for depth in (1, 2, 3, 4)
    },
}


def make_step(build: Build, mode: str, *, channels_last: bool, prepared: bool = False) -> Callable[[], None]:
    """One train step or one inference, ready to be called; `prepared`: as our training, and the engine torch, run a network."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = build().to(memory_format=layout).train(mode == TRAIN)
    images = torch.randn(SIZES[mode]).contiguous(memory_format=layout)
    if mode == INFERENCE:
        run = torch_runner(fused(network, images).to(memory_format=layout), None) if prepared else network

        @torch.no_grad()
        def infer() -> None:
            run(images)

        return infer
    labels = (torch.rand(images.shape[0], 1, *images.shape[2:]) > 0.5).float()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        with as_a_cpu_trains(None) if prepared else nullcontext():
            heads: Tensor | list[Tensor] = network(images)
        losses = [
            F.binary_cross_entropy_with_logits(head, labels)
            for head in ([heads] if isinstance(heads, Tensor) else heads)
        ]
        torch.stack(losses).sum().backward()
        optimiser.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Time of one call: of the processor with one thread, which other programs do not lengthen, of the clock with several."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    step()
    return clock() - start


def take_turns(contest: Contest, mode: str, rounds: int) -> tuple[float, float | None, float | None]:
    """Median seconds of ours and of the peer in its faster layout, and the median ratio of the two."""
    steps = [make_step(contest.ours, mode, channels_last=True, prepared=True)]
    if contest.peer is not None:
        steps += [make_step(contest.peer, mode, channels_last=layout) for layout in (False, True)]
    for step in steps:
        step()
    times = [[seconds(step) for step in steps] for _ in range(rounds)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    if contest.peer is None:
        return medians[0], None, None
    faster = 1 if medians[1] < medians[2] else 2
    return medians[0], medians[faster], statistics.median(row[0] / row[faster] for row in times)


def peak_megabytes(name: str, side: str, mode: str, threads: int) -> float:
    """What one step adds to a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, side, mode, "--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure_peak(name: str, side: str, mode: str) -> float:
    """The rise of this process's peak memory over one step, in MB; the peer in the default layout."""
    build = CONTESTS[name].ours if side == "ours" else CONTESTS[name].peer
    if build is None:
        raise ValueError(f"{name} has no peer")
    step = make_step(build, mode, channels_last=side == "ours", prepared=side == "ours")
    # Linux: forget the peak of the imports, then read the peak since
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_status("VmRSS")
    step()
    return (memory_status("VmHWM") - before) / 1024


def memory_status(field: str) -> int:
    """A field of this process's status in Linux, in kB: ``VmRSS``, ``VmHWM``; 0 elsewhere."""
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) if found else 0


def row(name: str, mode: str, *, rounds: int, threads: int) -> str:
    """One line of the table."""
    contest = CONTESTS[name]
    parameters = sum(parameter.numel() for parameter in contest.ours().parameters()) / 1e6
    ours, peer, ratio = take_turns(contest, mode, rounds)
    memory = [f"{peak_megabytes(name, 'ours', mode, threads):.0f}"]
    memory.append(f"{peak_megabytes(name, 'peer', mode, threads):.0f}" if peer is not None else "")
    theirs = (contest.peer_title, f"{peer:.3f}", f"{ratio:.2f}") if peer is not None else ("", "", "")
    cells = [contest.title, f"{parameters:.2f}", f"{ours:.3f}", *theirs, *memory]
    return "| " + " | ".join(cells) + " |"


def table(mode: str, names: list[str], *, rounds: int, threads: int) -> str:
    """The Markdown table of one mode, also printed as it grows."""
    size = " x ".join(map(str, SIZES[mode]))
    heading = {TRAIN: f"### Train step, {size}", INFERENCE: f"### Inference, {size}"}[mode]
    lines = [
        f"{heading}\n",
        "| Network | Parameters (M) | Seconds | Peer | Its seconds | Ratio | Peak (MB) | Its peak (MB) |",
        "| :-- | --: | --: | :-- | --: | --: | --: | --: |",
    ]
    print("\n".join(lines), flush=True)
    for name in names:
        if mode == TRAIN and re.fullmatch(r"unetpp-l\d", name):
            continue  # a fast mode is cut from a trained network, never trained
        lines.append(row(name, mode, rounds=rounds, threads=threads))
        print(lines[-1], flush=True)
    return "\n".join(lines)


def write_section(file: Path, section: str) -> None:
    """Put the section into the file in place of the one of the same heading, or at its end."""
    before = file.read_text(encoding="utf-8") if file.exists() else "# Benchmarks\n"
    heading = section.partition("\n")[0]
    pattern = re.compile(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    replaced = pattern.sub(lambda _: section + "\n\n", before)
    after = replaced if pattern.search(before) else f"{before.rstrip()}\n\n{section}"
    file.write_text(after.rstrip() + "\n", encoding="utf-8")


def instruction_set() -> str:
    """What torch computes with here, and whether in bfloat16: ``AVX512, bfloat16``; ``ATEN_CPU_CAPABILITY=avx2`` imitates AVX2."""
    lower = ", bfloat16" if precision_of("auto", "cpu") is not None else ""
    return torch.backends.cpu.get_cpu_capability() + lower


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", information.read_text()) if information.exists() else None
    return found.group(1) if found else platform.processor()


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(CONTESTS), default=list(CONTESTS))
    parser.add_argument("--modes", nargs="+", choices=[TRAIN, INFERENCE], default=[TRAIN, INFERENCE])
    parser.add_argument("--rounds", type=int, default=5, help="turns per figure")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--write", type=Path, help="Markdown file to put the section into")
    parser.add_argument("--peak", nargs=3, metavar=("NAME", "SIDE", "MODE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write if asked."""
    options = parse()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    if options.peak:
        print(measure_peak(*options.peak))
        return
    tables = [table(mode, options.only, rounds=options.rounds, threads=options.threads) for mode in options.modes]
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "monai", "timm", "segmentation-models-pytorch")
    )
    command = " ".join(["python", "benchmarks/networks.py", *sys.argv[1:]])
    clock = "processor time" if options.threads == 1 else "the clock"
    section = (
        f"## Networks, {torch.backends.cpu.get_cpu_capability()}\n\nFloat32, {options.threads} threads, seconds by {clock}, medians of "
        f"{options.rounds} rounds in which ours and the peer take turns; ours prepared as `medseg predict` prepares it for inference, the "
        "peer in the faster of its two memory layouts. Ratio: ours / peer, below 1 is faster. Peak: what one step adds to the process. "
        f"`{command}` on {cpu_name()}, {instruction_set()}; Python {platform.python_version()}, {libraries}.\n\n"
    )
    if options.write:
        write_section(options.write, section + "\n\n".join(tables))


if __name__ == "__main__":
    main()
