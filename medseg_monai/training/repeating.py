"""Repeat a recorded training in another folder, with the same settings, data and number of threads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from monai.bundle import ConfigWorkflow

from medseg_monai.bundle.paths import find_bundle, list_bundles, named_bundle
from medseg_monai.bundle.workflow import bundle_workflow, check_overrides
from medseg_monai.program.messages import listed
from medseg_monai.training.comparison import Comparison, compare_trainings
from medseg_monai.training.folder import PLAN_FILE
from medseg_monai.training.recorded import (
    Content,
    changes_of_machine,
    differences,
    finished_run,
    read_record,
    setting,
    settings_to_repeat,
)
from medseg_monai.training.run_record import describe_run

logger = logging.getLogger(__name__)

CAN_BE_GIVEN = ("device", "num_workers")
"""Settings that change no weights on the same kind of device: the recorded ones, unless others are given."""


@dataclass(frozen=True)
class Repetition:
    """How a training is repeated.

    Attributes:
        folder: of the training.
        out: where the repetition goes.
        dataset_dir: where the data are now; None for where they were.
        bundle: name or folder of the bundle to train; None for the recorded one.
        values: ``device``, ``num_workers``, ``resume``, where they are given.
        assignments, overlays: expressions and files that the training was given, which are code, to be given again.
        anyway: go on although data or settings are others.
    """

    folder: Path
    out: Path
    dataset_dir: Path | None = None
    bundle: str | Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    assignments: Mapping[str, Any] = field(default_factory=dict)
    overlays: Sequence[Path] = ()
    anyway: bool = False

    def run(self) -> Comparison:
        """Train again, and compare.

        Raises:
            FileNotFoundError: nothing is recorded, or data, bundle or starting weights are gone.
            ValueError: it would be another training, or was stopped; says what differs.
        """
        if self.out.resolve() == self.folder.resolve():
            raise ValueError(f"{self.out} is the training to repeat: name another folder with --out")
        recorded = finished_run(self.folder)
        logger.info("Repeating %s, which was: %s", self.folder, recorded.get("command"))
        threads = recorded_threads(recorded)
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            return self._run(recorded)
        finally:
            torch.set_num_threads(before)

    def _run(self, recorded: Mapping[str, Any]) -> Comparison:
        workflow = self._workflow(recorded)
        workflow.initialize()
        now = _describe(workflow)
        if (then := recorded.get("bundle")) and then != now["bundle"]:
            logger.warning("the bundle's train.json has changed since: what was recorded decides, not what it says now")
        if problems := other_run(recorded, now):
            self._refuse(problems)
        workflow.run()
        workflow.finalize()
        if not (read_record(self.out) or {}).get("finished"):
            raise ValueError(f"stopped before its end; kept in {self.out}: the same command with --resume goes on")
        changes = [*problems, *changes_of_machine(recorded, now), *_continued(recorded)]
        return compare_trainings(self.folder, self.out, changes=changes)

    def _workflow(self, recorded: Mapping[str, Any]) -> ConfigWorkflow:
        """The training, as it was recorded, of the bundle as it is now."""
        bundle = recorded_bundle(recorded) if self.bundle is None else find_bundle(self.bundle)
        logger.info("with the bundle in %s", bundle)
        plain = bundle_workflow(bundle, "train", assignments=self.assignments, overlays=self.overlays)
        plain.parser.resolve_macro_and_relative_ids()  # type: ignore[no-untyped-call]  # recorded is what has been parsed
        config = cast(Mapping[str, Any], plain.parser.config)
        values, expressions = settings_to_repeat(recorded, config)
        lost = [key for key in values if not _has_place(config, key)]
        left = [key for key in (*expressions, *lost) if key not in self.assignments]
        if left:
            self._refuse([f"settings that are expressions or that this version does not have: {listed(left)}"])
        plan = self.folder / PLAN_FILE
        repeated = {
            **{key: value for key, value in values.items() if key not in lost},
            **{key: value for key in CAN_BE_GIVEN if (value := setting(recorded, key)) is not None},
            "dataset_dir": "" if (data := self._data(recorded)) is None else str(data),
            "plan_file": str(plan) if plan.is_file() else None,
            "output_dir": str(self.out),
            **self.values,
        }
        if start := repeated.get("start_from"):
            repeated["start_from"] = _as_it_was_named(recorded, start)
        repeated = {key: value for key, value in repeated.items() if key not in self.assignments and value is not None}
        return bundle_workflow(bundle, "train", repeated, assignments=self.assignments, overlays=self.overlays)

    def _data(self, recorded: Mapping[str, Any]) -> Path | None:
        """Where the data set is; None for the generated demo."""
        if self.dataset_dir is not None:
            return self.dataset_dir
        named = setting(recorded, "dataset_dir")
        if not named:
            return None
        data = Path(_as_it_was_named(recorded, named))
        if not data.exists():
            raise FileNotFoundError(f"the data set {data} is not there: say where it is now with --dataset-dir")
        return data

    def _refuse(self, problems: Sequence[str]) -> None:
        what = "; ".join(problems)
        if not self.anyway:
            raise ValueError(
                f"{self.folder} cannot be repeated: {what}. Restore them (expressions with --set, files with --overlay), "
                "or train regardless with --anyway"
            )
        logger.warning("Not the same training: %s", what)


def recorded_threads(recorded: Mapping[str, Any]) -> int | None:
    """How many threads torch had on the CPU: with another number weights differ in their last digits."""
    threads = (recorded.get("machine") or {}).get("threads")
    return threads if isinstance(threads, int) and not isinstance(threads, bool) and threads >= 1 else None


def recorded_bundle(recorded: Mapping[str, Any]) -> Path:
    """The folder of the bundle that was trained: where it was, or else the one of its name.

    A bundle's configs are code, and a path in a stranger's run.json is not to run any: only bundles of `medseg list` are taken.

    Raises:
        FileNotFoundError: there is none.
    """
    named = setting(recorded, "bundle_root")
    root = Path(_as_it_was_named(recorded, named)) if named else None
    if root is not None and root.resolve() in {bundle.resolve() for bundle in list_bundles()}:
        return root
    found = named_bundle(str(setting(recorded, "bundle")))
    if root is not None and root.is_dir():
        logger.warning(
            "trained with the bundle in %s, repeated with the one in %s: if you trust the former, name it with --bundle",
            root, found,
        )  # fmt: skip
    return found


def other_run(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes a run another one than a recorded run, in words; nothing if it is the same."""
    found = []
    data, is_now = recorded.get("data") or {}, now.get("data") or {}
    if data.get("sha256") != is_now.get("sha256"):
        counts = ", ".join(
            f"{data.get(split)} {split} cases, now {is_now.get(split)}" for split in ("training", "validation")
        )
        found.append(f"the data have changed ({counts}; contents compared)")
    if (start := (recorded.get("start") or {}).get("sha256")) != (now.get("start") or {}).get("sha256"):
        found.append("the weights that it started from have changed" if start else "it started from other weights")
    if recorded.get("processes") != now.get("processes"):
        found.append(f"{recorded.get('processes')} processes trained together, now {now.get('processes')}")
    changed = differences(recorded.get("config") or {}, now.get("config") or {})
    found += [f"{key} was {was}, is {is_now}" for key, was, is_now in changed]
    return found


def _describe(workflow: ConfigWorkflow) -> Content:
    """What ``run.json`` would say of a workflow that is ready to run."""
    trainer, evaluator, start = (
        workflow.parser.get_parsed_content(key) for key in ("train#trainer", "validate#evaluator", "start")
    )
    config = cast(Mapping[str, Any], workflow.parser.config)
    return describe_run(
        trainer, evaluator, config=config, stop_after=None, start=None if start is None else start.facts()
    )


def _continued(recorded: Mapping[str, Any]) -> list[str]:
    """What had changed when it was continued."""
    return [f"it was continued with {change}" for change in recorded.get("continued_with") or ()]


def _as_it_was_named(recorded: Mapping[str, Any], name: str) -> str:
    """A file or folder as the run named it, from where it was started, if it is there; else the name, which may be no path."""
    there = Path(str(recorded.get("directory") or ".")) / name
    return str(there) if there.exists() else name


def _has_place(config: Mapping[str, Any], key: str) -> bool:
    """Whether a config takes a value for a key."""
    try:
        check_overrides(config, {key: None})
    except ValueError:
        return False
    return True
