"""Run a bundle's config as MONAI would, with the overrides checked first: MONAI itself silently ignores an unknown key.

There are two kinds of overrides, combined only here: values, which are data (`medseg_monai.bundle.literals`), and the
assignments of ``--set``, which are pieces of config and may contain expressions and references, like a config file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from medseg_monai.bundle.config_keys import belongs_to
from medseg_monai.bundle.literals import literals
from medseg_monai.program.messages import did_you_mean
from medseg_monai.program.process import IS_PROGRAM

# keys that MONAI adds to a config for MLflow, with their defaults
TRACKING_KEYS = {"tracking_uri": "", "experiment_name": "monai_experiment", "run_name": None}


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or this machine does not have.

    Raises:
        ValueError: the device is not available; the message names it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}: use cpu, cuda, cuda:1 … or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"no device {name!r} here: torch sees {torch.cuda.device_count()} CUDA devices; use cpu or another one"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"no device {name!r} here: torch sees no Apple GPU; use cpu")


def check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse an override whose key the config does not have.

    A new key is allowed only as an argument of a component (inside a dictionary with ``_target_``), whose call will refuse it if
    unknown, and in a dictionary that is meant to be filled (empty in the config).

    Raises:
        ValueError: there is such a key; the message names it and the nearest valid one.
    """
    for key in overrides:
        node: Any = config
        parts = key.replace("::", "#").split("#")
        for depth, part in enumerate(parts):
            index = int(part) if isinstance(node, list) and part.lstrip("-").isdecimal() else part
            takes_new_keys = isinstance(node, Mapping) and ("_target_" in node or not node)
            is_new_argument = takes_new_keys and depth == len(parts) - 1
            if isinstance(node, Mapping) and (part in node or is_new_argument):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(index, int) and -len(node) <= index < len(node):
                node = node[index]
            else:
                known = list(node) if isinstance(node, Mapping) else []
                where = f" in '{'#'.join(parts[:depth])}'" if depth else ""
                raise ValueError(f"unknown config key '{part}'{where}{did_you_mean(part, known)}")


def overridden(
    config: Mapping[str, Any], values: Mapping[str, Any], assignments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The overrides of a config, by key: values as literals, assignments unchanged; assignments take precedence.

    Raises:
        ValueError: the config does not have a key, or a device does not exist.
    """
    assigned = dict(assignments or {})
    check_overrides(config, {**values, **assigned})
    device = assigned.get("device", values.get("device"))
    if device is not None and not _is_config(assigned.get("device")):
        check_device(str(device))
    return {**literals(values), **assigned}


def _is_config(value: Any) -> bool:
    """Whether an assigned value is an expression or a reference, whose result is not known yet."""
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def run_bundle(bundle: Path, config: str, values: Mapping[str, Any]) -> ConfigWorkflow:
    """Run ``configs/<config>.json`` of a bundle with these values, as `bundle_workflow` takes them; return the finished workflow."""
    workflow = bundle_workflow(bundle, config, values)
    run_workflow(workflow)
    return workflow


def run_workflow(workflow: ConfigWorkflow) -> None:
    """Run a workflow from its first step to its last; afterwards Python looks for modules where it did before, not in the bundle too."""
    before = sys.path[:]
    try:
        workflow.initialize()
        workflow.run()  # MONAI puts the bundle's folder on the path, and leaves it there
        workflow.finalize()
    finally:
        sys.path[:] = before


def bundle_workflow(
    bundle: Path,
    config: str,
    values: Mapping[str, Any] | None = None,
    *,
    assignments: Mapping[str, Any] | None = None,
    overlays: Sequence[Path] = (),
    tracking: str | None = None,
) -> ConfigWorkflow:
    """``configs/<config>.json`` of a bundle, ready to run; in the `medseg` program its ``configs/logging.conf`` sets up logging.

    Args:
        bundle: the bundle's folder.
        config: ``train``, ``evaluate`` or ``inference``.
        values: by config key; whatever text they contain, they are never read as config.
        assignments: pieces of config by key, as `medseg_monai.bundle.assignments` reads them from ``--set``: these may be expressions.
        overlays: further config files, merged over the first.
        tracking: ``mlflow``, or a file of MONAI's tracking settings; adds the keys of `TRACKING_KEYS`.

    Raises:
        ValueError: the config does not have the key of an override, or a device does not exist.
        ImportError: the package for tracking is not installed.
    """
    files = [str(bundle / "configs" / f"{config}.json"), *map(str, overlays)]
    known = {**ConfigParser.load_config_files(files), **(TRACKING_KEYS if tracking else {})}
    given = overridden(known, {"bundle_root": str(bundle), **(values or {})}, assignments)
    if tracking == "mlflow" and find_spec("mlflow") is None:
        raise ImportError("--tracking mlflow needs MLflow: pip install 'medseg-monai[tracking]'")
    logging_file = bundle / "configs" / "logging.conf"
    applied = IS_PROGRAM.get() and logging_file.is_file()
    workflow = ConfigWorkflow(
        config_file=files,
        workflow_type="train" if config == "train" else "infer",
        logging_file=str(logging_file) if applied else False,
        tracking=tracking,
        **given,
    )
    belongs_to(workflow)
    workflow.medseg_given = frozenset({*(values or {}), *(assignments or {})})  # which a plan leaves alone
    return workflow
