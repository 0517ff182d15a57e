"""Running a network on whole cases: engine, windows and mirrored views combined."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Literal

import torch
from monai.inferers import Inferer

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import EngineInferer
from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.grids.kinds import kind_of
from medseg_monai.inference.averaging import AveragedViews
from medseg_monai.inference.windows import SlidingWindow

MOST_VOXELS_AT_ONCE = 2 * 128**3
"""Voxels of all windows in a batch; a core holds several maps of its window at a time, 113 MB each for 32 channels of 96³ in float32."""


def cases_at_once(spec: DatasetSpec, wanted: int) -> int:
    """Number of whole cases in a batch, or read ahead: as wanted, but volumes one by one."""
    return min(wanted, kind_of(spec).most_at_once)


def windows_at_once(window: Sequence[int], device: str | torch.device) -> int:
    """Number of windows in a batch: on a CPU one per core (`medseg_monai.engines.streams`) up to `MOST_VOXELS_AT_ONCE`, else 1."""
    cores = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    return max(1, min(cores, MOST_VOXELS_AT_ONCE // math.prod(window)))


def check_memory(spec: DatasetSpec) -> None:
    """Refuse a size for which one image and its answer alone do not fit into this machine's memory.

    Raises:
        ValueError: it does not fit; the message says how much is needed.
    """
    if spec.size is None or not hasattr(os, "sysconf"):
        return
    needed = 4 * (spec.in_channels + spec.out_channels) * math.prod(spec.size)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ValueError(
            f"one image of {' x '.join(map(str, spec.size))} needs at least {needed / 1e9:.0f} GB of memory, "
            f"but this machine has {there / 1e9:.0f}: choose a smaller size"
        )


def preparation_seconds(inferer: Inferer | None) -> float:
    """Seconds that an inferer of `case_inferer` spent on choosing an engine and preparing networks: not a cost of an image."""
    while isinstance(inferer, AveragedViews | SlidingWindow):
        inferer = inferer.inferer if isinstance(inferer, AveragedViews) else inferer.run
    return inferer.preparation_seconds if isinstance(inferer, EngineInferer) else 0.0


def case_inferer(
    spec: DatasetSpec,
    *,
    precision: str,
    device: str | torch.device,
    engine: str | None = None,
    tta: Literal["none", "flips", "dihedral"] = "none",
    overlap: float = 0.5,
    at_once: int | None = None,
    pass_over_empty: bool = True,
) -> Inferer:
    """An inferer for whole cases: photographs at once, volumes in windows of ``spec.size``.

    Args:
        spec: the data set.
        precision: as in :func:`precision_of`.
        device: where the network runs.
        engine: as for `medseg_monai.engines.EngineInferer`; None for a network that is still being trained.
        tta: test-time augmentation, as for `medseg_monai.inference.averaging.views`.
        overlap: of neighbouring windows, as a share of a window.
        at_once: number of windows in a batch; None for `windows_at_once` with an engine, else 1.
        pass_over_empty: whether windows that hold a single value share one answer, see `medseg_monai.inference.windows`.

    Raises:
        ValueError: this machine has not enough memory for one image of ``spec.size``.
    """
    check_memory(spec)
    inferer: Inferer = PrecisionInferer(precision, device)
    if engine is not None:
        inferer = EngineInferer(engine, precision=precision, device=device, task=spec.task)
    if spec.window is not None:
        if at_once is None:
            at_once = 1 if engine is None else windows_at_once(spec.window, device)
        inferer = SlidingWindow(inferer, spec.window, overlap=overlap, at_once=at_once, pass_over_empty=pass_over_empty)
    return inferer if tta == "none" else AveragedViews(inferer, tta, task=spec.task, spatial_dims=spec.spatial_dims)
