"""The plan of a training as its config sees it: ``train.json`` takes its knobs from ``plan``, unless something overrides them.

MONAI's parser has no reference that is looked up only if need be, and which network and size a plan may choose depends on what the user
has set. So the one call that makes the plan asks the workflow that runs the config.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from medseg_monai.bundle.config_keys import workflow_at_work
from medseg_monai.planning.make import Network, Preset, Recipe, make_plan
from medseg_monai.planning.plan import KNOBS, Plan, check_architecture, read_plan
from medseg_monai.program.bars import progress_bar
from medseg_monai.training.folder import PLAN_FILE, files_of
from medseg_monai.training.start import Start

logger = logging.getLogger(__name__)

GIVEN = "medseg_given"
"""Attribute of a workflow: keys that were overridden, if its maker knows them."""
STEERED = (
    "source",
    "spec",
    "network_def",
    "network_class",
    "initial_network",
    "world_size",
    "train#dataset#data",
    "train#trainer#max_epochs",
)
"""What else runs a config (MONAI Label, federated learning, several processes) overrides one of these: it has plans of its own."""
DECIDING = ("size", "max_epochs", "architecture")
"""With all of these given there is nothing to time."""
AS_THE_START = "the network of the weights it starts from"
SCALE_OF_THE_START = "the scale at which the weights it starts from have learnt to see"
PRESETS = ("quick", "default", "best")


def training_plan(
    *,
    published: Mapping[str, Any],
    file: str | None = None,
    minutes: float | None = None,
    preset: Preset = "default",
    as_published: bool = False,
    memory_gb: float | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    cache_dir: str | None = None,
    start: Start | None = None,
) -> Plan:
    """The plan for the config that is being run; `published` if nothing is to be planned.

    Nothing is planned for a GPU without a time limit, if something other than the bundle's own config supplies the data, the network or
    the number of epochs, or if every value that decides the time is given.

    Args:
        published: the bundle's own values of the knobs.
        file: a plan to follow; what it leaves out is as published.
        minutes: that training may take.
        preset: ``quick``, ``default`` or ``best``.
        as_published: True for the bundle's own values, however long they take.
        memory_gb, device, precision, cache_dir: as the config's keys.
        start: weights that training starts from; the network is then built as theirs was, and sees images at their scale, unless the
            user has set these.

    Raises:
        ValueError: the plan file, or a value, cannot be used.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is quick, default or best, not {preset!r}")
    own = Plan(**published)
    run = _Run.at_work()
    if run is None:
        return own
    theirs = None if start is None else run.arguments_of(start)
    if run.is_steered:
        return own if theirs is None else replace(own, architecture=theirs)
    file = run.plan_to_continue() or file
    if file:
        plan = read_plan(file)
        check_architecture(plan, run.recipe(published).network_class)
        logger.info("Following the plan %s%s", file, _kept(run.fixed()))
        said = {key: value for key, value in vars(plan).items() if value not in (None, {})}
        said = {**({} if theirs is None else {"architecture": theirs}), **said}
        # its minutes may be another machine's
        plan = replace(Plan(**{**published, **said}), minutes=None)
        # if the number of epochs was given, all of them are wanted
        return replace(plan, most_minutes=None, changed_epochs=()) if "max_epochs" in run.fixed() else plan
    on_gpu = torch.device(device).type == "cuda" and minutes is None and preset == "default"
    if as_published or on_gpu or not run.undecided:
        about = {"about": _why_published(as_published, on_gpu)}
        return replace(own, bundle=str(run.get("bundle")), reasons=about, architecture=theirs or {})
    scale = {} if start is None or theirs is None else run.scale_of(start)
    recipe = run.recipe(published, theirs, scale)
    plan = make_plan(
        run.get("source"),
        recipe,
        minutes=minutes,
        preset=preset,
        demo=not run.get("dataset_dir"),
        memory_gb=memory_gb,
        device=device,
        precision=precision,
        cache_dir=cache_dir,
        progress=partial(progress_bar(), desc="reading", leave=False),
    )
    if theirs is not None:
        why = {"architecture": AS_THE_START, **dict.fromkeys(scale, SCALE_OF_THE_START)}
        plan = replace(plan, architecture=theirs, reasons={**plan.reasons, **why})
    logger.info("%s%s", summary(plan), _kept(run.fixed()))
    return plan


def bundle_plan(workflow: ConfigWorkflow) -> Plan:
    """The plan by which a workflow of ``train.json`` would train; nothing is trained."""
    about = "what a training is to do"
    workflow.add_property("training_plan", required=False, config_id="plan", desc=about)  # type: ignore[arg-type]  # MONAI means a bool
    workflow.initialize()
    plan: Plan = workflow.training_plan
    return plan


def planned_network(architecture: Network, plan: Plan) -> Network:
    """The network class with the arguments of the config and, before them, those of the plan."""
    if not plan.architecture:
        return architecture
    network: Network = partial(architecture, **plan.architecture)
    return network


def summary(plan: Plan) -> str:
    """A plan in one line."""
    size = "data set's size" if plan.size is None else "x".join(map(str, plan.size))
    network = plan.reasons.get("architecture", "network as published").split(";")[0]
    return (
        f"Planned for this machine: {size}, {network}, batch {plan.batch_size}, {plan.max_epochs} epochs, about {plan.minutes:.3g} minutes "
        "(as_published: the paper's network and size)"
    )


def _why_published(as_published: bool, on_gpu: bool) -> str:
    if as_published:
        return "The bundle's own values, as you said."
    return (
        "The published network: there is a GPU, and no time limit (--minutes)." if on_gpu else "All values were given."
    )


def _kept(fixed: Mapping[str, Any]) -> str:
    return f"; kept as given: {', '.join(fixed)}" if fixed else ""


class _Run:
    """The workflow that asks for a plan, and what of its config differs from the bundle's file."""

    def __init__(self, workflow: ConfigWorkflow, file: Mapping[str, Any]) -> None:
        self.workflow = workflow
        self.config = cast(Mapping[str, Any], workflow.parser.config)
        self.file = file
        self.given = set(getattr(workflow, GIVEN, ())) | _given_to_monai()

    @classmethod
    def at_work(cls) -> _Run | None:
        """None if parts of a config are evaluated without a workflow, or if the bundle's own file cannot be found to compare with."""
        workflow = workflow_at_work()
        if workflow is None or workflow.config_root_path is None:
            return None
        try:
            return cls(workflow, ConfigParser.load_config_file(Path(workflow.config_root_path) / "train.json"))
        except (OSError, ValueError):
            return None

    @property
    def is_steered(self) -> bool:
        """Whether something other than the bundle's own config decides what is trained."""
        return any(_at(self.config, key) != _at(self.file, key) for key in STEERED)

    @property
    def undecided(self) -> bool:
        """Whether anything that decides the time is left to the plan."""
        return any(not self._is_set(key) for key in DECIDING)

    def _is_set(self, key: str) -> bool:
        below = any(name.replace("::", "#").startswith(f"{key}#") for name in self.given)
        return below or key in self.given or self.config.get(key) != self.file.get(key)

    def get(self, key: str) -> Any:
        """What a key of the config stands for."""
        return self.workflow.parser.get_parsed_content(key)

    def fixed(self) -> dict[str, Any]:
        """What the user has set, by key."""
        knobs = {key: self.get(key) for key in KNOBS if self._is_set(key)}
        Plan(**knobs)  # a value of another kind is named before anything is computed with it
        return {**knobs, **({"architecture": True} if self._is_set("architecture") else {})}

    def plan_to_continue(self) -> str | None:
        """The plan of the unfinished training in the folder that this run goes on with; None if it begins anew."""
        resume = str(self.config.get("resume")).lower()
        folder = files_of(Path(self.get("output_dir")))
        try:
            recorded = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        timed = recorded.get("stop_after") is not None or (recorded.get("config") or {}).get("minutes") is not None
        by_itself = resume in ("none", "null") and timed and not recorded.get("finished")
        return str(folder / PLAN_FILE) if (resume == "true" or by_itself) and (folder / PLAN_FILE).is_file() else None

    def arguments_of(self, start: Start) -> dict[str, Any] | None:
        """Those of the network of the weights to start from; None if the user has set the network, or they are another class's."""
        return None if self._is_set("architecture") else start.arguments_for(self.recipe({}).network)

    def scale_of(self, start: Start) -> dict[str, Any]:
        """Its size or spacing, as far as the user has set neither."""
        return {key: value for key, value in start.scale_for(self.get("source").spec).items() if not self._is_set(key)}

    def recipe(
        self,
        published: Mapping[str, Any],
        arguments: Mapping[str, Any] | None = None,
        knobs: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """The bundle's network and loss for the data set at hand; with other arguments and knobs, if some are given, which are kept."""
        undecided = {} if self._is_set("class_balance") else {"class_balance": 0}  # the plan is to say
        parser = ConfigParser({**self.config, "spec": self.get("source").spec, **undecided})
        network, loss = (parser.get_parsed_content(key) for key in ("architecture", "loss"))
        fixed = {**(knobs or {}), **self.fixed()}
        if arguments is not None:
            network, fixed = partial(network, **arguments), {**fixed, "architecture": True}
        return Recipe(str(self.get("bundle")), cast(Network, network), cast(nn.Module, loss), published, fixed)


def _at(config: Any, key: str) -> Any:
    for part in key.split("#"):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _given_to_monai() -> set[str]:
    """Keys that were overridden on MONAI's own command line or in a call of its `run`: nothing else keeps them."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "run" and frame.f_globals.get("__name__") == "monai.bundle.scripts":
            return set(frame.f_locals.get("override") or {})
        frame = frame.f_back
    return set()
