"""The functions that ``inference.json``, ``evaluate.json`` and ``explain.json`` call: the only import of their expressions.

A component that users look for or replace is in the JSON, by its ``_target_``. This module ties the components together:
weights, cases and folders.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg_monai.bundle.config_keys import check_keys
from medseg_monai.bundle.paths import default_root, evaluation_folder, find_weights
from medseg_monai.bundle.trained import Trained, find_trained, load_weights
from medseg_monai.engines.precision import default_device, local_device, placed
from medseg_monai.grids.kinds import kind_of
from medseg_monai.inference.averaging import with_members
from medseg_monai.inference.cases import find_cases
from medseg_monai.inference.inferer import cases_at_once
from medseg_monai.inference.shards import Shard
from medseg_monai.outputs import slices
from medseg_monai.outputs.joining import join_shards
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.program.bars import progress_bar
from medseg_monai.program.console import keep_bars_whole
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.conformal import Margins
from medseg_monai.transforms.batches import collate
from medseg_monai.transforms.cleaning import Cleaning, choose_cleaning

logger = logging.getLogger(__name__)

__all__ = [
    "calibration_of_masks",
    "calibration_of_probabilities",
    "cases_at_once",
    "check_keys",
    "choose_cleaning",
    "collate",
    "default_device",
    "default_root",
    "device_of",
    "evaluation_folder",
    "find_cases",
    "find_trained",
    "find_weights",
    "join_shards",
    "keeps_probabilities",
    "margins_of",
    "measures_reliability",
    "measures_trust",
    "model_card",
    "progress",
    "shard_of_process",
    "trained_network",
    "wants_page",
    "write_stacks",
]

shard_of_process = Shard.of_process

MOST_BY_DEFAULT = 200
"""Largest number of images for which a page is written by default."""


def trained_network(
    network: nn.Module,
    weights: str | Path,
    trained: Trained,
    *,
    device: str | torch.device,
    ensemble: Sequence[str | Path] = (),
    bundle_root: str | Path = "",
) -> nn.Module:
    """The network with its weights, on its device, in evaluation mode; with the other members of an ensemble, if there are any.

    Args:
        network: with fresh weights.
        weights: the file to load.
        trained: what the weights are for.
        device: where the network runs.
        ensemble, bundle_root: further members, see `medseg_monai.inference.averaging.with_members`.
    """
    members = with_members(load_weights(network, weights), trained, ensemble, bundle_root=bundle_root)
    return placed(members, device).eval()  # else MONAI's evaluator switches it to and fro for every batch


def progress(what: str) -> Callable[..., Iterable[Any]]:
    """A progress bar over images, see `medseg_monai.program.bars.progress_bar`.

    Args:
        what: the bar's label: ``segmenting``.
    """
    keep_bars_whole()
    return partial(progress_bar(), desc=what, unit="image")


def device_of(shard: Shard) -> torch.device:
    """The device of a process: of several that ``torchrun`` started each has a GPU of its own, if there are GPUs."""
    return local_device() if shard.launched else default_device()


def wants_page(report: bool | str, cases: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run of predictions ends with a page: as the config says, ``auto`` being up to `MOST_BY_DEFAULT` images.

    Raises:
        ValueError: ``report`` is something else.
    """
    if report not in (True, False, "auto"):
        raise ValueError(f"report must be true, false or auto, not {report!r}")
    return len(cases) <= MOST_BY_DEFAULT if report == "auto" else bool(report)


CALIBRATED = ("probabilities", "masks", "off")
"""What is calibrated: the probabilities that people get; also those that are compared with thresholds; nothing."""


def calibration_of_probabilities(trained: Trained, calibration: str) -> Calibration | None:
    """The calibration of the probabilities that are kept, if it was learnt and is wanted.

    Args:
        trained: what is known of the weights.
        calibration: one of `CALIBRATED`.

    Raises:
        ValueError: it is something else.
    """
    if calibration not in CALIBRATED:
        raise ValueError(f"calibration is {', '.join(CALIBRATED)}, not {calibration!r}")
    return None if calibration == "off" or trained.quality is None else trained.quality.calibration


def calibration_of_masks(trained: Trained, calibration: str) -> Calibration | None:
    """The calibration of the probabilities that become masks; arguments and errors as `calibration_of_probabilities` has them."""
    known = calibration_of_probabilities(trained, calibration)
    return known if calibration == "masks" else None


def margins_of(trained: Trained, margins: bool, calibration: str) -> Margins | None:
    """What inner and outer masks are made with, if they are wanted.

    Args:
        trained: what is known of the weights.
        margins: whether they are wanted.
        calibration: as for `calibration_of_probabilities`: margins are limits of calibrated probabilities.

    Raises:
        ValueError: they were not learnt, or probabilities are not to be calibrated.
    """
    if not margins:
        return None
    if calibration_of_probabilities(trained, calibration) is None and calibration == "off":
        raise ValueError("margins are limits of calibrated probabilities: leave calibration on")
    known = trained.quality.margins if trained.quality is not None else None
    if known is None:
        raise ValueError("margins of inner and outer masks are not known for these weights: run medseg review first")
    if not known.known:
        raise ValueError(f"{known}: run medseg review with more validation cases, or with a lower --rate")
    return known


def measures_reliability(trained: Trained, reliability: bool | str) -> bool:
    """Whether an evaluation also measures calibration: as the config says, ``auto`` being of photographs, whose probabilities are small.

    Raises:
        ValueError: ``reliability`` is something else.
    """
    if reliability not in (True, False, "auto"):
        raise ValueError(f"reliability is true, false or auto, not {reliability!r}")
    return kind_of(trained.dataset).measures_all if reliability == "auto" else bool(reliability)


def measures_trust(trained: Trained) -> bool:
    """Whether an evaluation also measures how far predicted Dice and flags hold: if the weights have any."""
    return trained.quality is not None and trained.quality.dice is not None


def keeps_probabilities(probabilities: bool, margins: bool) -> bool:
    """Whether probabilities are needed: they are asked for themselves, or inner and outer masks are made of them."""
    return bool(probabilities or margins)


def write_stacks(cases: Sequence[Mapping[str, Any]], writer: WritePredictions, cleaning: Cleaning) -> list[Path]:
    """Volumes and the submission table of scans that come as slices, see `medseg_monai.outputs.slices.write_stacks`.

    Nothing while other processes still have a shard to do.

    Args:
        cases: all of them, those of an earlier run too.
        writer: wrote the masks.
        cleaning: what the masks were cleaned with.
    """
    if not writer.is_complete:
        return []
    return slices.write_stacks(
        cases,
        writer.spec,
        writer.folder,
        cleaning=cleaning,
        formats=writer.wanted.formats,
        made_with=writer.finished.made_with,
    )


def model_card(bundle_root: str | Path) -> str:
    """The bundle's model card."""
    return str(Path(bundle_root) / "docs" / "README.md")
