"""A made-up folder of explanations, as ``medseg explain`` leaves it: for the tests of its report."""

import csv

import numpy as np
import torch
from PIL import Image
from torch import nn

from medseg_monai.explain.cases import PANEL
from medseg_monai.explain.checks import CHECKS_FILE, PLOT_FILE
from medseg_monai.explain.files import Explanation, write_explanations


def write_made_up_explanations(folder, names, *, size=(1200, 300), checks=True):
    """Two maps per case, of which every third case has none; the panel's name is its case's."""
    generator = np.random.default_rng(0)
    rows = []
    for number, name in enumerate(names):
        empty = number % 3 == 2
        note = "lesion is not predicted here" if empty else ""
        for method, layer in (("cam", "last_stage"), ("gradcam", "bottleneck")):
            score, heat = (None, None) if empty else (1.5 + number, 0.25)
            file = "" if empty else f"{name}_{method}_{layer}.png"
            rows.append(Explanation(name, "lesion", layer, method, "predicted", score, note, 50, heat, file))
        panel = folder / f"{name}{PANEL}"
        panel.parent.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(0, 255, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size).save(panel)
    write_explanations(folder, rows)
    if checks:
        _write_checks(folder)
    return folder


def _write_checks(folder):
    header = ["case", "class", "method", "check", "stage", "value", "random_mean", "random_sd"]
    rows = [
        ["a", "lesion", "CAM at last_stage", "deletion", "", 0.2, 0.5, 0.01],
        ["b", "lesion", "CAM at last_stage", "deletion", "", 0.4, 0.6, 0.01],
        ["a", "lesion", "CAM at last_stage", "ssim", "heads", 0.1, "", ""],
    ]
    with (folder / CHECKS_FILE).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    Image.new("RGB", (900, 300), "white").save(folder / PLOT_FILE)


class Brightness(nn.Module):
    """Each class is where the picture is bright: class 0 above the middle grey, further ones nowhere."""

    def __init__(self, classes: int = 1, spatial_dims: int = 2, channels: int = 1) -> None:
        super().__init__()
        convolution = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
        self.bottleneck = nn.ReLU()
        self.last_stage = nn.Identity()
        self.head = convolution(channels, classes, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -1)
        with torch.no_grad():
            self.head.weight[0] = 4

    def forward(self, x):
        return self.head(self.last_stage(self.bottleneck(x)))
