"""What ``run.json`` says of a run, read back: as data, with neither torch nor MONAI."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medseg_monai.files.writing import write_whole
from medseg_monai.training.folder import RUN_FILE, SPEC_FILE, files_of

Content = dict[str, Any]

FREE = {
    "as_published", "minutes", "plan_file", "preset",  # what came of them is kept as plan.yaml
    "bundle_root", "cache_dir", "dataset_dir", "device", "num_workers", "output_dir", "panel_interval", "resume", "stop_after",
}  # fmt: skip
"""Keys of a config that change no weights, or whose effect is recorded otherwise (data, machine)."""
FIRST_FOLD = "fold_1"
_MISSING = "nothing"


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


def finished_run(folder: Path) -> Content:
    """The record of the training in `folder`, which has ended.

    Raises:
        FileNotFoundError: nothing is recorded there.
        ValueError: the record is damaged, or the training has not ended.
    """
    if not (folder / RUN_FILE).is_file():
        if (folder / FIRST_FOLD / RUN_FILE).is_file():
            raise FileNotFoundError(
                f"{folder} holds folds, each a training of its own: name one, {folder / FIRST_FOLD} say"
            )
        earlier = " (an earlier version kept none)" if (folder / SPEC_FILE).is_file() else ""
        raise FileNotFoundError(
            f"no {RUN_FILE} in {folder}, so that nothing says how it was trained{earlier}: name the folder of a training"
        )
    recorded = read_record(folder)
    if recorded is None or not isinstance(recorded.get("config"), Mapping):
        raise ValueError(f"{folder / RUN_FILE} is damaged: it does not describe a training")
    if not recorded.get("finished"):
        raise ValueError(f"the training in {folder} has not ended: finish it with `medseg train --resume` first")
    return recorded


def setting(recorded: Mapping[str, Any], key: str) -> Any:
    """The value of a key of a recorded config; None if there is none, or if it is an expression."""
    value = (recorded.get("config") or {}).get(key)
    return None if _is_code(value) else _plain(value)


def settings_to_repeat(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Content, Content]:
    """What a recorded run set otherwise than a config does, by key.

    Returns:
        The values, which are data, and the expressions: running those is running code from ``run.json``.
    """
    then = {key: value for key, value in (recorded.get("config") or {}).items() if key not in FREE}
    values: Content = {}
    expressions: Content = {}
    for key, was in _set_otherwise(then, config):
        says_what_runs = any(part.startswith("_") for part in key.split("#"))
        if says_what_runs or _is_code(was):
            expressions[key] = was
        else:
            values[key] = _plain(was)
    return values, expressions


def _set_otherwise(then: object, now: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The largest parts of a config that another sets otherwise, by key; what only the other has is left out."""
    if isinstance(then, Mapping) and isinstance(now, Mapping) and ("_target_" in then) == ("_target_" in now):
        for key, was in then.items():
            yield from _set_otherwise(was, now.get(key, _MISSING), f"{prefix}{key}#")
    elif _is_nested(then) and _is_nested(now) and len(then) == len(now):  # type: ignore[arg-type]  # both are lists
        for number, (was, is_now) in enumerate(zip(then, now, strict=True)):  # type: ignore[call-overload]
            yield from _set_otherwise(was, is_now, f"{prefix}{number}#")
    elif _plain(then) != _plain(now):
        yield prefix.removesuffix("#"), then


def _is_code(value: object) -> bool:
    """Whether MONAI would run something of a value of a config: in it, or as it."""
    if isinstance(value, Mapping):
        return any(str(key).startswith("_") or _is_code(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return any(map(_is_code, value))
    return isinstance(value, str) and value.startswith(("$", "@", "%")) and _plain(value) is value


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
    if isinstance(plain := _plain(config), Mapping | list):  # a text may stand for one
        config = plain
    if isinstance(config, Mapping):
        entries: Iterable[tuple[object, object]] = config.items()
    elif _is_nested(config):
        entries = enumerate(config)  # type: ignore[arg-type]  # a list
    else:
        return {prefix.removesuffix("#"): _plain(config)}
    return {
        name: leaf
        for key, value in entries
        if prefix or str(key) not in FREE
        for name, leaf in _leaves(value, f"{prefix}{key}#").items()
    }


def _is_nested(config: object) -> bool:
    """Whether it is a list with parts of its own."""
    return isinstance(config, list | tuple) and any(isinstance(value, Mapping | list | tuple) for value in config)


def _plain(value: Any) -> Any:
    """The value of a setting: what `medseg_monai.bundle.literals.literal` wrote as it was, as JSON would hold it."""
    if isinstance(value, str):
        if not value.startswith("$"):
            return value
        try:
            value = ast.literal_eval(value[1:].strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return json.loads(json.dumps(value, default=str))
