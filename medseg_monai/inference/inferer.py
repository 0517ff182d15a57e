"""Running a network on whole cases: engine, windows and mirrored views combined."""

from __future__ import annotations

import math
import os
from typing import Literal

import torch
from monai.inferers import Inferer

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import EngineInferer
from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.grids.kinds import kind_of
from medseg_monai.inference.averaging import AveragedViews
from medseg_monai.inference.windows import SlidingWindow


def cases_at_once(spec: DatasetSpec, wanted: int) -> int:
    """Number of whole cases in a batch, or read ahead: as wanted, but volumes one by one."""
    return min(wanted, kind_of(spec).most_at_once)


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
    at_once: int = 1,
) -> Inferer:
    """An inferer for whole cases: photographs at once, volumes in windows of ``spec.size``.

    Args:
        spec: the data set.
        precision: as in :func:`precision_of`.
        device: where the network runs.
        engine: as for `medseg_monai.engines.EngineInferer`; None for a network that is still being trained.
        tta: test-time augmentation, as for `medseg_monai.inference.averaging.views`.
        overlap: of neighbouring windows, as a share of a window.
        at_once: number of windows in a batch.

    Raises:
        ValueError: this machine has not enough memory for one image of ``spec.size``.
    """
    check_memory(spec)
    inferer: Inferer = PrecisionInferer(precision, device)
    if engine is not None:
        inferer = EngineInferer(engine, precision=precision, device=device, task=spec.task)
    if spec.window is not None:
        inferer = SlidingWindow(inferer, spec.window, overlap=overlap, at_once=at_once)
    return inferer if tta == "none" else AveragedViews(inferer, tta, task=spec.task, spatial_dims=spec.spatial_dims)
