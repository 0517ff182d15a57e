"""A plan for a data set and this machine: fingerprint, timed trial, choice, and the reasons for each value."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from medseg_monai.dataset import TRAINED_ON, Dataset, DatasetSpec, check_files
from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.decide import Choice, Memory, Trial, Wishes, choose, first_batch
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.kinds import planner_of
from medseg_monai.planning.machine import Machine, this_machine
from medseg_monai.planning.measure import Progress, fingerprint
from medseg_monai.planning.plan import Plan, check_architecture
from medseg_monai.planning.reasons import explain
from medseg_monai.planning.timing import Clock, Loss, StepTime, time_loading, time_steps
from medseg_monai.training.dataset import split_cases, training_spec
from medseg_monai.training.memory import needed_gb

logger = logging.getLogger(__name__)

Preset = Literal["quick", "default", "best"]
Network = partial[nn.Module] | type[nn.Module]

START_SECONDS = 12.0
"""To start and to end the program, which the time includes."""
QUICK_MINUTES, DEMO_MINUTES = 3.0, 3.0
LEAST_MINUTES, MOST_MINUTES = 10.0, 60.0
BEST_TIMES = 5
MEMORY_SHARE = 0.8
"""Of the free memory, for a step."""
BUSY = 1.3
BUSY_MACHINE = (
    "other programs use this processor: a step takes %.1f times as long as it computes. The plan is for a processor that is free: if it "
    "stays busy, %s"
)
FEWER_EPOCHS = "training goes through fewer epochs, to end in time"
TAKES_LONGER = "training takes that much longer"
TRIAL_SHARE, MOST_TRIAL_SECONDS = 0.06, 25.0


@dataclass(frozen=True)
class Recipe:
    """What a bundle brings: its network with its arguments, its loss, and its own values of the knobs.

    Attributes:
        bundle: name.
        network: class with the arguments for the data set.
        loss: of logits and labels.
        published: knobs by name.
        fixed: knobs that the user has set, by name; ``architecture`` if the network itself.
    """

    bundle: str
    network: Network
    loss: Loss
    published: Mapping[str, Any]
    fixed: Mapping[str, Any]

    @property
    def network_class(self) -> type[nn.Module]:
        """Without arguments."""
        found: type[nn.Module] = self.network.func if isinstance(self.network, partial) else self.network  # type: ignore[assignment]
        return found

    def with_arguments(self, arguments: Mapping[str, Any]) -> Callable[..., nn.Module]:
        """The network with other arguments, without weights to be fetched: it is timed and measured, not used."""
        named = getattr(self.network, "keywords", {})
        wanted = {**named, **arguments}
        return partial(self.network_class, **{**wanted, **{key: False for key in ("pretrained",) if key in wanted}})


def default_minutes(training_cases: int, preset: Preset = "default", *, demo: bool = False) -> float:
    """How long a training may take if nobody says: 10 minutes for 100 cases or fewer, 40 for 1,600, an hour for more than 3,600.

    >>> default_minutes(60), default_minutes(1600), default_minutes(38000), default_minutes(60, "quick")
    (10.0, 40.0, 60.0, 3.0)
    """
    if demo:
        return DEMO_MINUTES
    minutes = min(MOST_MINUTES, max(LEAST_MINUTES, 10 * math.sqrt(training_cases / 100)))
    return {"quick": QUICK_MINUTES, "default": round(minutes, 1), "best": BEST_TIMES * round(minutes, 1)}[preset]


def make_plan(
    dataset: Dataset,
    recipe: Recipe,
    *,
    minutes: float | None = None,
    preset: Preset = "default",
    demo: bool = False,
    memory_gb: float | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    cache_dir: str | Path | None = None,
    progress: Progress = iter,
    clock: Clock | None = None,
) -> Plan:
    """A plan whose every value has its reason.

    Args:
        dataset: with training and validation cases.
        recipe: of the bundle.
        minutes: that training may take; None for `default_minutes`.
        preset: what `default_minutes` goes by.
        demo: generated data that nobody named.
        memory_gb: that a step may take; None for most of what is free.
        device, precision: as training takes them.
        cache_dir: where the fingerprint and decoded images are kept.
        progress: wraps the pass over the cases that are read.
        clock: what everything goes by; None for the wall clock, and for steps of one thread processor time.

    Raises:
        FileNotFoundError: files of the data set are missing.
        ValueError: no cases, no class in any of them, or too little memory or time given.
    """
    elapsed = clock or time.perf_counter
    began = elapsed()
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise ValueError(f"minutes: a number above 0 is expected, got {minutes!r}")
    split_cases(dataset, "validation")  # refused before the data are read, not when they are to be trained on
    check_files(dataset, TRAINED_ON)
    facts = fingerprint(dataset, cache_dir=cache_dir, progress=progress)
    _refuse_nothing_shown(facts)
    machine = this_machine(device, precision)
    allowed = minutes if minutes is not None else default_minutes(facts.counts["training"], preset, demo=demo)
    spec = training_spec(dataset.spec, recipe.fixed.get("size"), recipe.fixed.get("spacing_mm"))
    wishes = Wishes(
        seconds=max(1.0, 60 * allowed - START_SECONDS),
        memory_gb=_memory_limit(memory_gb, machine),
        batch_size=int(recipe.published.get("batch_size") or 16),
        fixed=recipe.fixed,
    )
    forms = _forms(recipe, spec)
    timed = _Timed(dataset, spec, facts, recipe, device=device, precision=precision, cache_dir=cache_dir, clock=clock)
    memory = partial(_memory, recipe, spec, precision, device)
    with torch.random.fork_rng(devices=[]):  # what is trained starts from the seed, whatever was tried before
        ranked, wishes = _tried(timed, forms, facts, spec, wishes, memory, lambda: elapsed() - began)
    return _as_plan(facts, spec, recipe, machine, ranked, wishes, allowed=allowed, given=minutes is not None)


def _refuse_nothing_shown(facts: Fingerprint) -> None:
    """Raise a ValueError if no training case shows a class; only warn if not all of them were read."""
    if facts.empty < 1:
        return
    if facts.sampled == facts.counts["training"]:
        raise ValueError(
            f"data set {facts.name}: all {facts.sampled} training masks are empty, so there is nothing to learn: "
            "check the masks, and their values if they are class numbers"
        )
    logger.warning("all %d training masks that were read are empty: check the masks", facts.sampled)


def _tried(
    timed: _Timed,
    forms: Sequence[Candidate],
    facts: Fingerprint,
    spec: DatasetSpec,
    wishes: Wishes,
    memory: Memory,
    spent: Clock,
) -> tuple[list[Choice], Wishes]:
    """The choices after a trial, and the wishes less the time that it took."""
    limit = min(MOST_TRIAL_SECONDS, TRIAL_SHARE * wishes.seconds)
    trial = timed.trial(forms, batch=first_batch(facts, wishes), limit=limit)
    left = _after(spent(), wishes)
    ranked = choose(facts, spec, trial, left, candidates=forms, memory=memory)
    better = timed.again(trial, ranked[0], limit=limit)
    if better is not trial:
        left = _after(spent(), wishes)
        ranked = choose(facts, spec, better, left, candidates=forms, memory=memory)
    logger.debug("trial: %s; chosen of %d: %s", better, len(ranked), ranked[0])
    if (waited := better.steps[ranked[0].candidate.name].waited) > BUSY:
        logger.warning("%s", BUSY_MACHINE % (waited, TAKES_LONGER if "max_epochs" in wishes.fixed else FEWER_EPOCHS))
    return ranked, left


def _after(seconds: float, wishes: Wishes) -> Wishes:
    """The wishes when so much of the time has passed."""
    return replace(wishes, seconds=max(1.0, wishes.seconds - seconds))


def _memory_limit(given: float | None, machine: Machine) -> float:
    if given is None:
        return MEMORY_SHARE * machine.memory_gb
    if not given > 0:
        raise ValueError(f"memory_gb is {given}; a budget above 0 is wanted, or null for none")
    return given


def _forms(recipe: Recipe, spec: DatasetSpec) -> list[Candidate]:
    ours = recipe.network_class.__module__.startswith("medseg_monai.networks.")
    if "architecture" in recipe.fixed or not ours:
        return [Candidate("the network as given")]
    return planner_of(spec).candidates(recipe.network_class.__name__, spec)


def _memory(
    recipe: Recipe,
    spec: DatasetSpec,
    precision: str,
    device: str | torch.device,
    candidate: Candidate,
    size: Sequence[int],
    batch: int,
) -> float:
    network = recipe.with_arguments(candidate.architecture)
    return needed_gb(spec, network, size, batch, precision=precision, device=device)


class _Timed:
    """The trial of one data set's candidates."""

    def __init__(
        self,
        dataset: Dataset,
        spec: DatasetSpec,
        facts: Fingerprint,
        recipe: Recipe,
        *,
        device: str | torch.device,
        precision: str,
        cache_dir: str | Path | None,
        clock: Clock | None,
    ) -> None:
        self.spec, self.facts, self._clock = spec, facts, clock or time.perf_counter
        self._load = partial(time_loading, dataset, cache_dir=cache_dir, clock=self._clock)
        self._step = partial(time_steps, loss=recipe.loss, spec=spec, precision=precision, device=device, clock=clock)
        self._network = recipe.with_arguments

    def trial(self, forms: Sequence[Candidate], *, batch: int, limit: float) -> Trial:
        """Time the candidates in batches of so many, the cheapest first, for about `limit` seconds; the first in any case."""
        size = planner_of(self.facts).probe_size(self.facts, self.spec)
        began, steps, last = self._clock(), dict[str, StepTime](), 0.0
        for form in forms:
            spent = self._clock() - began
            if steps and spent + 1.5 * last > limit:
                logger.debug("trial: %s is not tried, it would take too long", form.name)
                continue
            network = self._network(form.architecture)()
            steps[form.name] = self._step(network, size=size, batch=batch, most_seconds=limit / 2)
            last = self._clock() - began - spent
        load = self._load(replace(self.spec, size=size))
        return Trial(steps, size, load)

    def again(self, trial: Trial, choice: Choice, *, limit: float) -> Trial:
        """The trial with the times of the network that was chosen, at its size: small ones do not tell exactly of large ones."""
        if choice.size == trial.size:
            return trial
        network = self._network(choice.candidate.architecture)()
        step = self._step(network, size=choice.size, batch=choice.batch_size, most_seconds=limit / 2)
        larger = math.prod(choice.size) / math.prod(trial.size)
        factor = step.train / larger / trial.steps[choice.candidate.name].train
        steps = {
            name: replace(each, train=each.train * factor, forward=each.forward * factor)
            for name, each in trial.steps.items()
        }
        return replace(trial, steps=steps)


def _as_plan(
    facts: Fingerprint,
    spec: DatasetSpec,
    recipe: Recipe,
    machine: Machine,
    ranked: Sequence[Choice],
    wishes: Wishes,
    *,
    allowed: float,
    given: bool,
) -> Plan:
    choice, planner = ranked[0], planner_of(facts)
    steps = choice.epochs * choice.patches_per_case * facts.counts["training"] / choice.batch_size
    coarse = None if choice.coarser == 1.0 or spec.spacing_mm is None else _coarser(spec.spacing_mm, choice.coarser)
    values: dict[str, Any] = {
        **recipe.published,
        "size": choice.size,
        "spacing_mm": coarse,
        "batch_size": choice.batch_size,
        "max_epochs": choice.epochs,
        "lr": 0.001 if choice.candidate.pretrained else recipe.published.get("lr"),
        "weight_average": round(min(0.999, max(0.0, 1 - 10 / steps)), 4) if steps >= 50 else 0.0,
        "augmentation": planner.augmentation(spec, choice.epochs * choice.patches_per_case),
        "foreground": planner.foreground(facts) or recipe.published.get("foreground"),
        "patches_per_case": choice.patches_per_case,
        "empty_fraction": 0.3 if facts.says_present and facts.empty > 0.4 else None,
        "class_balance": planner.class_balance(facts),
        "val_interval": choice.val_interval,
    }
    own = {key: value for key, value in recipe.fixed.items() if key in values}
    plan = Plan(
        recipe.bundle,
        architecture=dict(choice.candidate.architecture),
        minutes=round(choice.seconds / 60, 2) or 0.01,
        most_minutes=None if "max_epochs" in recipe.fixed else round(wishes.seconds / 60, 2),
        memory_gb=round(choice.memory_gb, 1) or 0.1,
        **{**values, **own},
    )
    check_architecture(plan, recipe.network_class)
    gain = planner.missing_encoders(recipe.network_class.__name__, spec) and "architecture" not in recipe.fixed
    return replace(
        plan,
        reasons=explain(plan, facts, machine, ranked, wishes, allowed=allowed, given=given, encoders_missing=gain),
    )


def _coarser(spacing_mm: Sequence[float], factor: float) -> tuple[float, ...]:
    return tuple(round(side * factor, 3) for side in spacing_mm)
