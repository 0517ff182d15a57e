"""``run.json`` beside the weights: what made them, so that the run can be continued and repeated, and a difference is noticed."""

from __future__ import annotations

import ast
import hashlib
import json
import logging
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from monai.engines.workflow import Workflow

import medseg_monai
from medseg_monai.dataset.cases import as_list
from medseg_monai.files.writing import write_whole
from medseg_monai.images.paired import all_files
from medseg_monai.training.diskcache import FileHashes
from medseg_monai.training.folder import RUN_FILE, WEIGHTS_FILE, files_of

logger = logging.getLogger(__name__)

Content = dict[str, Any]

FREE = {
    "as_published", "minutes", "plan_file", "preset",  # what came of them is kept as plan.yaml
    "bundle_root", "cache_dir", "dataset_dir", "device", "num_workers", "output_dir", "panel_interval", "resume", "stop_after",
}  # fmt: skip
"""Keys of a config that change no weights, or whose effect is recorded otherwise (data, machine)."""
SHOWN = 3
_MISSING = "nothing"


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
    config = {key: value for key, value in (config or {}).items() if not key.startswith("_")}
    return {
        "command": shlex.join(sys.argv),
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "finished": False,
        "stop_after": stop_after,
        "processes": dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1,
        "data": _data(trainer, evaluator),
        "machine": _machine(trainer),
        "versions": versions(),
        **({} if start is None else {"start": dict(start)}),
        "config": config,
    }


def write_record(folder: Path, run: Mapping[str, Any]) -> None:
    """Write ``run.json`` of the training that runs in `folder`."""
    write_whole(files_of(folder) / RUN_FILE, json.dumps(run, indent=2, default=str) + "\n")


def read_record(folder: Path) -> Content | None:
    """The content of ``run.json`` in `folder`; None if there is none that can be read."""
    try:
        content = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


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


def settings_to_repeat(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Content, Content]:
    """What a recorded run set otherwise than a config does, by key.

    Returns:
        The values, which are data, and the expressions: whoever runs those runs code out of ``run.json``.
    """
    values: Content = {}
    expressions: Content = {}
    for key, was, _ in differences(recorded.get("config") or {}, config):
        if was != _MISSING:
            is_code = isinstance(was, str) and was.startswith(("$", "@", "%"))
            says_what_runs = any(part.startswith("_") for part in key.split("#"))
            (expressions if is_code or says_what_runs else values)[key] = was
    return values, expressions


def changes_of_machine(recorded: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What differs between two runs' machines and versions and can change the last digits of their weights."""
    return [
        f"{name} {was}, now {now}"
        for part in ("machine", "versions")
        for name, was, now in _unlike(recorded.get(part) or {}, run.get(part) or {})
        if name not in ("cpu", "memory_gb", "cores")
    ]


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that differ between two configs and decide weights: (key ``a#b``, then, now)."""
    return list(_unlike(_leaves(then), _leaves(now)))


def _unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*then, *now]):
        was, is_now = then.get(key, _MISSING), now.get(key, _MISSING)
        if was != is_now:
            yield key, was, is_now


def _leaves(config: object, prefix: str = "") -> Content:
    """All single settings of a config by their keys, as values where they are such."""
    if isinstance(config, Mapping):
        entries: Iterable[tuple[object, object]] = config.items()
    elif isinstance(config, list | tuple) and any(isinstance(value, Mapping | list | tuple) for value in config):
        entries = enumerate(config)
    else:
        return {prefix.removesuffix("#"): _plain(config)}
    return {
        name: leaf
        for key, value in entries
        if prefix or str(key) not in FREE
        for name, leaf in _leaves(value, f"{prefix}{key}#").items()
    }


def _plain(value: Any) -> Any:
    """The value of a setting: what `medseg_monai.bundle.literals.literal` wrote as it was, as JSON would hold it."""
    if isinstance(value, str) and value.startswith("$"):
        try:
            value = ast.literal_eval(value[1:].strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return json.loads(json.dumps(value, default=str))


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
            files = [part for key in ("image", "label") for file in as_list(case.get(key)) for part in all_files(file)]
            digest.update(json.dumps([case.get("id"), [_content(hashes, file) for file in files]]).encode())
    return {"sha256": digest.hexdigest(), **{split: len(each) for split, each in zip(_SPLITS, cases, strict=True)}}


def _content(hashes: FileHashes, file: Any) -> str:
    try:
        return hashes.of(file)
    except OSError:
        return "unreadable"  # whoever loads it says why


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
