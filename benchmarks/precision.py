"""Milliseconds of a training step per picture on this CPU, by precision: for each network of `accuracy.py`.

    python benchmarks/precision.py DATASET_DIR --size 96 --batch 8

Processor time on one thread, the shortest of several steps. "bfloat16 throughout" is autocast as torch has it; "bfloat16" what
`medseg train` does: depthwise convolutions stay in float32.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import torch
from accuracy import TITLES
from accuracy_ours import SETTINGS
from accuracy_report import machine

from medseg_monai import networks
from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import precision
from medseg_monai.files.markdown import markdown_table
from medseg_monai.planning.timing import time_steps
from medseg_monai.training.losses import segmentation_loss

CLASSES = {
    "unet": networks.UNet,
    "unetpp": networks.UNetPlusPlus,
    "pspnet": networks.PSPNet,
    "deeplabv3plus": networks.DeepLabV3Plus,
    "resunetpp": networks.ResUNetPlusPlus,
}


def milliseconds(bundle: str, start: str, spec: DatasetSpec, *, size: int, batch: int, name: str) -> float:
    """Of a step per picture, in the precision of that name."""
    settings = (
        {**SETTINGS[bundle, start], "architecture#pretrained": False} if start == "lite0" else SETTINGS[bundle, start]
    )
    options = {key.removeprefix("architecture#"): value for key, value in settings.items() if "#" in key}
    network = CLASSES[bundle](spec.in_channels, spec.out_channels, **options)
    loss = segmentation_loss(spec.task)
    step = time_steps(
        network, loss, spec, (size, size), batch=batch, precision=name, device="cpu", clock=time.process_time
    )
    return 1000 * step.train


def main() -> None:
    """Time all, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    spec, rows = read_dataset(options.dataset).spec, []
    for bundle, start in SETTINGS:
        place = {"size": options.size, "batch": options.batch}
        exact = milliseconds(bundle, start, spec, **place, name="fp32")
        with patch.object(precision, "_is_depthwise", return_value=False):
            throughout = milliseconds(bundle, start, spec, **place, name="bf16")
        mixed = milliseconds(bundle, start, spec, **place, name="bf16")
        title = f"{TITLES[bundle]}{', lite0' if start == 'lite0' else ''}"
        rows.append([title, *(f"{value:.1f}" for value in (exact, throughout, mixed))])
    print(f"{options.size} x {options.size} pixels, batches of {options.batch}. {machine()}.\n")
    print("\n".join(markdown_table(["network", "float32", "bfloat16 throughout", "bfloat16"], rows)))


if __name__ == "__main__":
    main()
