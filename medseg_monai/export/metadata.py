"""metadata.json of a bundle: made for a set of weights, and checked against MONAI's schema without downloading it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import medseg_monai
from medseg_monai.bundle.literals import inert
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.reliability import read_calibration
from medseg_monai.evaluation.tables import Evaluation
from medseg_monai.evaluation.trust import read_trust
from medseg_monai.grids.kinds import kind_of

METADATA = Path("configs") / "metadata.json"
# The requirements of https://…/meta_schema_20240725.json, which metadata.json names, for the keys that it knows.
REQUIRED = (
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
TEXTS = (
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors"),
    *("copyright", "data_source", "data_type", "image_classes", "label_classes", "pred_classes", "intended_use"),
)
OBJECTS = ("changelog", "required_packages_version", "eval_metrics", "supported_apps")
TRUST_METRICS = (
    *("ece_uncalibrated", "brier_uncalibrated", "ece_calibrated", "brier_calibrated"),
    *("predicted_dice_error", "aurc", "aurc_uncertainty", "flagged_share", "failure_share_unflagged"),
)
"""Of ``eval_metrics``, see `trust_metrics`."""
TENSOR_KEYS = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


def read_metadata(bundle: Path) -> dict[str, Any]:
    """The bundle's metadata.json.

    Raises:
        FileNotFoundError, ValueError: it is missing, or not a JSON object.
    """
    path = bundle / METADATA
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return content


def metadata_for(bundle: Path, trained: Trained, evaluation: Evaluation | None = None) -> dict[str, Any]:
    """The bundle's metadata, adapted to these weights: classes, channels, scores and the package that they need.

    Args:
        bundle: the bundle, whose metadata.json gives the rest.
        trained: what the weights are for.
        evaluation: of these weights.
    """
    content, spec = read_metadata(bundle), trained.dataset
    numbers = [f"{number} = {name}" for number, name in enumerate(spec.classes, start=1)]
    content |= {
        "required_packages_version": {
            **content.get("required_packages_version", {}),
            "medseg-monai": medseg_monai.__version__,
        },
        "supported_apps": {"monai-label": "0.8.5"},
        "data_source": inert(". ".join(filter(None, (spec.description, spec.citation))) or spec.name),
        "data_type": kind_of(spec).description,
        "image_classes": inert(f"{', '.join(spec.channels)}, normalised as models/spec.json says"),
        "label_classes": inert(", ".join(numbers)),
        "pred_classes": inert(f"logits; channels: {', '.join(output_channels(spec))}"),
        "eval_metrics": {} if evaluation is None else eval_metrics(evaluation),
        "network_data_format": network_data_format(content["network_data_format"], spec),
    }
    return content


def output_channels(spec: DatasetSpec) -> tuple[str, ...]:
    """Names of the network's output channels."""
    return ("background", *spec.classes) if spec.task == "multiclass" else spec.classes


def eval_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Mean scores by name, e.g. ``mean_dice``; per class too if there are several; and `trust_metrics`."""
    summary = evaluation.summary
    found = {f"mean_{name}": round(score.mean, 4) for name, score in summary.overall.scores.items()}
    if len(summary.per_class) > 1:
        found |= {f"{name}_dice": round(one.scores["dice"].mean, 4) for name, one in summary.per_class.items()}
    measured = {name: value for name, value in found.items() if not math.isnan(value)}  # JSON has no NaN
    return measured | trust_metrics(evaluation.folder)


def trust_metrics(folder: Path) -> dict[str, float]:
    """How far probabilities and masks can be trusted, as an evaluation found: as much as it has measured.

    ``ece_`` and ``brier_uncalibrated`` and ``_calibrated`` are of all cases together, mean over classes; ``aurc`` is that of the predicted
    Dice; ``flagged_share`` of all cases, ``failure_share_unflagged`` of those that are not flagged.
    """
    found: dict[str, float] = {}
    calibration, trust = read_calibration(folder) or {}, read_trust(folder)
    for when, word in (("before", "uncalibrated"), ("after", "calibrated")):
        by_class = calibration.get(when, {}).values()
        found |= {f"{key}_{word}": fmean(one[key] for one in by_class) for key in ("ece", "brier") if by_class}
    if trust is not None:
        passed = max(1, trust.cases - trust.flagged)
        shares = (trust.flagged / trust.cases, trust.passed_failures / passed)
        values = (trust.error, trust.aurc, trust.aurc_uncertainty, *shares)
        found |= dict(zip(TRUST_METRICS[4:], values, strict=True))
    return {name: round(value, 4) for name, value in found.items()}


def network_data_format(known: Mapping[str, Any], spec: DatasetSpec) -> dict[str, Any]:
    """The network's input and output, with the spec's channels instead of the bundle's own."""
    (image_key, image), *_ = known["inputs"].items()
    (pred_key, pred), *_ = known["outputs"].items()
    side = image["spatial_shape"][0]
    shape = [side] * spec.spatial_dims
    return {
        "inputs": {
            image_key: {
                **image,
                "modality": inert(spec.modality or image.get("modality", "")),
                "num_channels": spec.in_channels,
                "spatial_shape": shape,
                "channel_def": _numbered(spec.channels),
            }
        },
        "outputs": {
            pred_key: {
                **pred,
                "num_channels": spec.out_channels,
                "spatial_shape": shape,
                "channel_def": _numbered(output_channels(spec)),
            }
        },
    }


def _numbered(names: tuple[str, ...]) -> dict[str, str]:
    return {str(number): inert(name) for number, name in enumerate(names)}


def metadata_mistakes(content: Mapping[str, Any]) -> list[str]:
    """What MONAI's schema of 2024-07-25 would refuse, in words; [] if it is valid.

    ``monai.bundle verify_metadata`` does the same with the schema file, which it downloads.
    """
    mistakes = [f"{key} is missing" for key in REQUIRED if key not in content]
    mistakes += [f"{key} must be a text" for key in TEXTS if not isinstance(content.get(key, ""), str)]
    mistakes += [f"{key} must be an object" for key in OBJECTS if not isinstance(content.get(key, {}), Mapping)]
    references = content.get("references", [])
    if not isinstance(references, list) or not all(isinstance(text, str) for text in references):
        mistakes.append("references must be a list of texts")
    for key in content:
        if key.endswith("_data_format") and key != "_data_format":
            mistakes += _format_mistakes(key, content[key])
    return mistakes


def _format_mistakes(key: str, network: Any) -> list[str]:
    if not isinstance(network, Mapping):
        return [f"{key} must be an object"]
    mistakes = [f"{key}: {part} is missing" for part in ("inputs", "outputs") if part not in network]
    for part in ("inputs", "outputs", "post_processed_outputs"):
        values = network.get(part, {})
        if not isinstance(values, Mapping):
            mistakes.append(f"{key}: {part} must be an object")
            continue
        for name, value in values.items():
            mistakes += [f"{key}: {part}: {name}: {mistake}" for mistake in _value_mistakes(value)]
    return mistakes


def _value_mistakes(value: Any) -> list[str]:
    """A plain number, text or bool is allowed; an object describes a tensor."""
    if isinstance(value, (bool, int, float, str)):
        return []
    if not isinstance(value, Mapping):
        return ["must be a number, a text, a bool or a tensor's description"]
    mistakes = [f"{key} is missing" for key in TENSOR_KEYS if key not in value]
    for key in ("type", "format", "dtype"):
        if not isinstance(value.get(key, ""), str):
            mistakes.append(f"{key} must be a text")
    if not _is_whole(value.get("num_channels", 0)):
        mistakes.append("num_channels must be a whole number")
    if not _all(value.get("spatial_shape", []), lambda side: isinstance(side, str) or _is_whole(side)):
        mistakes.append("spatial_shape must be a list of whole numbers or texts")
    if not _all(value.get("value_range", []), _is_number):
        mistakes.append("value_range must be a list of numbers")
    if not isinstance(value.get("is_patch_data", False), bool):
        mistakes.append("is_patch_data must be true or false")
    if not isinstance(value.get("channel_def", {}), Mapping):
        mistakes.append("channel_def must be an object")
    return mistakes


def _all(values: Any, allowed: Any) -> bool:
    return isinstance(values, list) and all(allowed(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and float(value).is_integer()  # as JSON schema counts: 3.0 is whole
