"""What small networks cost on one core: milliseconds of processor time for one picture, by the size they see.

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/students.py

Candidates for a student that learns from larger networks (`medseg distill`). Random weights, float32, batch norm as part of the
convolutions, channels last, as `medseg predict` runs them with engine torch. Multiply-adds say little: depthwise convolutions have few
of them and are bound by memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from accuracy_report import machine
from torch import nn

from medseg_monai.engines.fusing import fused
from medseg_monai.files.markdown import markdown_table
from medseg_monai.networks import DeepLabV3Plus, PSPNet, UNet

LITE0 = "tf_efficientnet_lite0"
CANDIDATES: Mapping[str, Callable[[], nn.Module]] = {
    "U-Net, lite0, five maps, 16-24-40-80-112": lambda: UNet(3, 1, features=(16, 24, 40, 80, 112), encoder=LITE0),
    "U-Net, lite0, four maps, 16-24-40-80": lambda: UNet(3, 1, features=(16, 24, 40, 80), encoder=LITE0),
    "U-Net, lite0, four maps, 8-16-32-64": lambda: UNet(3, 1, features=(8, 16, 32, 64), encoder=LITE0),
    "PSPNet, lite0, three maps, width 128": lambda: PSPNet(3, 1, encoder=LITE0, levels=3, width=128, auxiliary=False),
    "PSPNet, lite0, four maps, stride 16": lambda: PSPNet(
        3, 1, encoder=LITE0, levels=4, width=128, output_stride=16, auxiliary=False
    ),
    "DeepLabV3+, lite0, stride 16, width 64": lambda: DeepLabV3Plus(3, 1, encoder=LITE0, output_stride=16, width=64),
    "U-Net, plain, half stem, 16-256": lambda: UNet(3, 1, features=(16, 32, 64, 128, 256), stem_stride=2),
    "U-Net, plain, half stem, 8-128": lambda: UNet(3, 1, features=(8, 16, 32, 64, 128), stem_stride=2),
}


@torch.no_grad()
def milliseconds(network: nn.Module, size: int, repeats: int) -> float:
    """Processor time of one picture of size x size: the median."""
    picture = torch.randn(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    ready = fused(network, picture).to(memory_format=torch.channels_last)
    taken = []
    for _ in range(repeats + 1):  # the first one prepares
        began = time.process_time()
        ready(picture)
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken[1:])


def table(sizes: Sequence[int], repeats: int) -> list[str]:
    """A row for each candidate."""
    rows = []
    for name, make in CANDIDATES.items():
        network = make().eval()
        count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        rows.append([name, f"{count:.2f} M", *(f"{milliseconds(network, size, repeats):.1f}" for size in sizes)])
    return markdown_table(["network", "parameters", *(f"{size} px" for size in sizes)], rows)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 160, 192, 224])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("\n".join([f"{machine()}.", "", *table(options.sizes, options.repeats)]))


if __name__ == "__main__":
    main()
