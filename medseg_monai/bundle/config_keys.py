"""A config checks its own keys when it starts: MONAI accepts any key and silently ignores one that nothing uses."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, ReferenceResolver
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS
from monai.utils import BundlePropertyConfig

from medseg_monai.program.messages import did_you_mean

SEPARATOR = ReferenceResolver.sep
ACTIONS = {"imports", "initialize", "run", "finalize"}
"""Sections that MONAI evaluates by name."""
TRACKING = {
    key for settings in DEFAULT_EXP_MGMT_SETTINGS.values() for key in cast(Mapping[str, Any], settings["configs"])
}
"""Keys that MONAI's experiment tracking reads; its federated client sets `run_name` with or without tracking."""
PROPERTIES = {
    ReferenceResolver.normalize_id(str(entry[BundlePropertyConfig.ID]))
    for properties in (MetaProperties, TrainProperties, InferProperties)
    for entry in properties.values()
}
"""Ids that MONAI's tools read from outside."""
_OWNER = "medseg_workflow"
READ_BY_LABEL = {"displayable_configs"}
"""Further ids that MONAI Label reads."""


def check_keys() -> None:
    """Refuse an unused key of the config that is being run; called by the config's own ``initialize``.

    So keys are checked whoever runs the bundle, with whatever files, overlays and overrides. A tool that evaluates
    individual parts of a config, without MONAI's workflow, is responsible for its own keys.

    Raises:
        ValueError: as `refuse_unknown` says.
    """
    workflow = workflow_at_work()
    if workflow is not None:
        named = {workflow.init_id, workflow.run_id, workflow.final_id}
        config = cast(Mapping[str, Any], workflow.parser.config)
        refuse_unknown(config, known=named | _ids_of_files(workflow.config_root_path, config))


def config_at_work() -> Mapping[str, Any] | None:
    """The config being run, with its overrides, as it is written; None if no workflow of MONAI runs one."""
    workflow = workflow_at_work()
    return None if workflow is None else cast(Mapping[str, Any], workflow.parser.config)


def workflow_at_work() -> ConfigWorkflow | None:
    """The workflow whose expression calls this: MONAI gives an expression no access to its own config.

    It is found too when a part of its config is asked for from outside, if `belongs_to` has said whose parser that is.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigParser):
            owner = vars(owner).get(_OWNER)  # its attributes are ids of the config
        if isinstance(owner, ConfigWorkflow):
            return owner
        frame = frame.f_back
    return None


def belongs_to(workflow: ConfigWorkflow) -> None:
    """Note in a workflow's parser whose it is."""
    setattr(workflow.parser, _OWNER, workflow)


def _ids_of_files(folder: Path, config: Mapping[str, Any]) -> set[str]:
    """Ids in those files of a bundle's ``configs`` that the config was made from: they are runnable and contain all their keys.

    An overlay or an override may replace the only use of another key: that key is still valid.
    """
    ids: set[str] = set()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".yaml", ".yml"):
            try:
                content = ConfigParser.load_config_file(file)
            except (OSError, ValueError, yaml.YAMLError):
                continue  # no config
            if isinstance(content, Mapping) and "run" in content and content.keys() <= config.keys():
                ids.update(_ids(content))
    return ids


def _ids(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Ids of all entries of dictionaries in dictionaries."""
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _ids(value, f"{prefix}{key}{SEPARATOR}")


def refuse_unknown(config: Mapping[str, Any], *, known: set[str]) -> None:
    """Refuse a key, at the top or in a section like ``train``, that is unknown and unused.

    A new key of an overlay is accepted if something refers to it (``@key``), if it is itself a list of actions to run, or if
    it is a note, whose name begins with ``_``.

    Args:
        config: after overlays and overrides.
        known: ids (``a::b``) that may be unused.

    Raises:
        ValueError: there is such a key; the message names it and the nearest valid one.
    """
    referred = set(_references(config))
    fine = known | referred | ACTIONS | TRACKING | PROPERTIES | READ_BY_LABEL
    fine |= {above for key in fine for above in _above(key)}  # @train::trainer uses train
    for section, content in _sections(config, referred):
        prefix = f"{section}{SEPARATOR}" if section else ""
        right = [str(key) for key in content if f"{prefix}{key}" in fine]
        for key, value in content.items():
            if f"{prefix}{key}" not in fine and not str(key).startswith("_") and not _is_action(value):
                where = f" in '{section.replace(SEPARATOR, '#')}'" if section else ""
                raise ValueError(f"unknown config key '{key}'{where}: nothing uses it{did_you_mean(key, right)}")


def _above(key: str) -> list[str]:
    """Ids of the sections that contain an id."""
    parts = key.split(SEPARATOR)
    return [SEPARATOR.join(parts[:end]) for end in range(1, len(parts))]


def _sections(config: Mapping[str, Any], referred: set[str], name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The config and its sections: dictionaries of which only individual entries are referred to."""
    yield name, config
    opened = {above for key in referred for above in _above(key)}
    for key, value in config.items():
        section = f"{name}{SEPARATOR}{key}" if name else str(key)
        if isinstance(value, Mapping) and "_target_" not in value and section in opened - referred:
            yield from _sections(value, referred, section)


def _references(content: object) -> Iterator[str]:
    """Ids that a part of a config refers to, as ``a::b``."""
    if isinstance(content, str):
        yield from ReferenceResolver.match_refs_pattern(content)
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _references(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _references(value)


def _is_action(value: object) -> bool:
    """Whether a value is meant to be run by its id: an expression, or a list of them, on parts of the config."""
    steps = value if isinstance(value, list) else [value]
    return all(isinstance(step, str) and step.startswith("$") for step in steps) and any(_references(value))
