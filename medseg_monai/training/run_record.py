"""What ``run.json`` beside the weights says: what made them, so that the run can be continued and repeated, and a difference is noticed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from monai.engines.workflow import Workflow

import medseg_monai
from medseg_monai.bundle.config_keys import TRACKING
from medseg_monai.bundle.paths import default_root
from medseg_monai.dataset.cases import FILE_KEYS, as_list
from medseg_monai.files.writing import sha256_of
from medseg_monai.images.paired import all_files
from medseg_monai.training.diskcache import FileHashes
from medseg_monai.training.folder import WEIGHTS_FILE
from medseg_monai.training.recorded import Content, changes_of_machine, differences, setting

logger = logging.getLogger(__name__)

SHOWN = 3


def describe_run(
    trainer: Workflow,
    evaluator: Workflow,
    *,
    config: Mapping[str, Any] | None,
    stop_after: float | None,
    start: Mapping[str, Any] | None = None,
) -> Content:
    """What decides the weights of a run.

    Args:
        trainer, evaluator: before the first step.
        config: as it is run, with its overrides; None if that is not known.
        stop_after: minutes after which it stops; None for never.
        start: file and SHA-256 of the weights that it starts from; None for random ones.
    """
    return {
        "command": shlex.join(sys.argv),
        "directory": str(Path.cwd()),
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "finished": False,
        "stop_after": stop_after,
        "processes": dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1,
        "data": _data(trainer, evaluator),
        "machine": _machine(trainer),
        "versions": versions(),
        "bundle": _bundle(config or {}),
        **({} if start is None else {"start": dict(start)}),
        "config": own_settings(config or {}),
    }


def _bundle(config: Mapping[str, Any]) -> Content:
    """What tells a bundle's ``train.json`` from a changed one; nothing if it cannot be found."""
    root = setting({"config": config}, "bundle_root") or default_root(str(config.get("bundle")))
    file = Path(root) / "configs" / "train.json"
    return {"train_json_sha256": sha256_of([file])} if file.is_file() else {}


def own_settings(config: Mapping[str, Any]) -> Content:
    """A config without notes, and without what MONAI's experiment tracking adds: it changes no weights, and names the time of the run."""
    own = {
        key: value for key, value in config.items() if not key.startswith("_") and key not in TRACKING - {"output_dir"}
    }
    for section in ("train", "validate"):
        if isinstance(part := own.get(section), Mapping) and isinstance(handlers := part.get("handlers"), list):
            own[section] = {**part, "handlers": [each for each in handlers if not _is_tracking(each)]}
    return own


def _is_tracking(handler: object) -> bool:
    return isinstance(handler, Mapping) and handler.get("_target_") == "MLFlowHandler"


def refuse_other_run(folder: Path, recorded: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other data or settings; warn of what changes the last digits.

    Raises:
        ValueError: says what differs.
    """
    again = "or begin anew without --resume"
    data, now = recorded.get("data") or {}, run.get("data") or {}
    if data.get("sha256") != now.get("sha256"):
        counts = "; ".join(f"{data.get(split)} {split} cases then, {now.get(split)} now" for split in _SPLITS)
        raise ValueError(f"{folder} was begun with other data ({counts}; contents compared): restore them, {again}")
    if recorded.get("processes") != run.get("processes"):
        raise ValueError(
            f"{folder} was begun by {recorded.get('processes')} processes, not {run.get('processes')}: give as many, {again}"
        )
    _refuse_other_start(folder, recorded.get("start") or {}, run.get("start") or {}, again)
    if changed := differences(recorded.get("config") or {}, run.get("config") or {}):
        shown = "; ".join(f"{key} was {was}, and is {now}" for key, was, now in changed[:SHOWN])
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise ValueError(f"{folder} was begun with other settings ({shown}{more}): give the same, {again}")
    if changes := changes_of_machine(recorded, run):
        logger.warning(
            "%s: weights may differ in their last digits from those of an undisturbed run", "; ".join(changes)
        )


def _refuse_other_start(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any], again: str) -> None:
    """Refuse starting weights that have changed, unless the training itself replaced them: it then set them aside."""
    own = (folder / WEIGHTS_FILE).resolve()
    if then and now and then["sha256"] != now["sha256"] and Path(now["file"]).resolve() != own:
        raise ValueError(f"{now['file']}, which {folder} started from, has changed: restore it, {again}")


_SPLITS = ("training", "validation")


def _data(trainer: Workflow, evaluator: Workflow) -> Content:
    """How many cases of which content a training sees; nothing if its data do not say."""
    datasets = [getattr(engine.data_loader, "dataset", None) for engine in (trainer, evaluator)]
    cases = [data for dataset in datasets if isinstance(data := getattr(dataset, "data", None), list)]
    if len(cases) < len(datasets):
        return {}
    cache = getattr(datasets[0], "cache", None)
    hashes = FileHashes(Path(os.devnull)) if cache is None else cache.hashes
    digest = hashlib.sha256()
    for each in cases:
        for case in each:
            files = [part for key in FILE_KEYS for file in as_list(case.get(key)) for part in all_files(file)]
            digest.update(json.dumps([case.get("id"), [_content(hashes, file) for file in files]]).encode())
    return {"sha256": digest.hexdigest(), **{split: len(each) for split, each in zip(_SPLITS, cases, strict=True)}}


def _content(hashes: FileHashes, file: Any) -> str:
    try:
        return hashes.of(file)
    except OSError:
        return "unreadable"  # loading it says why


def _machine(trainer: Workflow) -> Content:
    """What of the machine can change the last digits, and what a reader wants to know of it."""
    device = torch.device(trainer.state.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": device.type,
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    found = {"medseg-monai": medseg_monai.__version__, "python": platform.python_version()}
    for package in ("torch", "monai", "pytorch-ignite", "numpy", "timm"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
