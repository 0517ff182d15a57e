"""What is evaluated: the facts of a run, and the cases of a split that weights can be scored on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai
import torch
from torch import nn

import medseg_monai
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import SPLITS, Dataset
from medseg_monai.transforms.cleaning import Cleaning

MODEL_CARD = Path("docs") / "README.md"


def run_facts(
    trained: Trained,
    *,
    network: nn.Module,
    network_options: Mapping[str, Any],
    weights: str | Path,
    dataset: Dataset,
    split: str,
    cleaning: Cleaning,
    bundle_root: str | Path = "",
    **more: Any,
) -> dict[str, Any]:
    """Facts of the run for ``summary.json``, about the network that was used, which may be a pruned one or several."""
    card = Path(bundle_root) / MODEL_CARD
    return {
        "bundle": trained.bundle,
        "weights": str(weights),
        "architecture": {**trained.architecture, **network_options},
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "train_seconds": trained.training.get("train_seconds"),
        "dataset": dataset.spec.name,
        "split": split,
        "cleaning": cleaning.to_dict(),
        "versions": {
            "medseg-monai": medseg_monai.__version__,
            "monai": monai.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "training": dict(trained.training),
        "data": {**dataset.spec.to_dict(), "cases": {name: len(getattr(dataset, name)) for name in SPLITS}},
        "model_card": str(card.resolve()) if card.is_file() else None,
        **more,
    }


def labelled(dataset: Dataset, split: str, trained: Trained) -> list[dict[str, Any]]:
    """The split's cases.

    Raises:
        ValueError: there are none, one has no truth, or the weights were trained for something else.
    """
    for key in ("task", "classes", "channels"):
        theirs, ours = getattr(trained.dataset, key), getattr(dataset.spec, key)
        if theirs != ours:
            name = dataset.spec.name
            raise ValueError(
                f"the weights were trained for the {key} {_words(theirs)}, but data set {name} has {_words(ours)}"
            )
    cases = dataset.cases(split)
    if not cases:
        raise ValueError(
            f"data set {dataset.spec.name} has no {split} cases: choose another split, or prepare it again with one"
        )
    if missing := [str(case["id"]) for case in cases if not case.get("label")]:
        raise ValueError(f"{len(missing)} {split} cases have no label to score against, first: {missing[0]}")
    return cases


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
