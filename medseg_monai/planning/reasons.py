"""Why a plan says what it says, in words for the person who reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from medseg_monai.planning.candidates import GAIN_OF_IMAGENET
from medseg_monai.planning.decide import MOST_EPOCHS, Choice, Wishes
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.kinds import planner_of
from medseg_monai.planning.machine import Machine
from medseg_monai.planning.plan import Plan
from medseg_monai.planning.volumes import LEAST_THICKNESS

YOURS = "as you said"


def explain(
    plan: Plan,
    facts: Fingerprint,
    machine: Machine,
    ranked: Sequence[Choice],
    wishes: Wishes,
    *,
    allowed: float,
    given: bool,
    encoders_missing: bool,
) -> Mapping[str, str]:
    """The reason for each value, by its key; ``about`` holds lines for the head of the file.

    Args:
        plan: without reasons.
        facts, machine, wishes: what it was made from.
        ranked: all choices, that of the plan first.
        allowed: minutes that training may take.
        given: whether the user said so.
        encoders_missing: whether ImageNet weights would be tried if they were installed.
    """
    choice = ranked[0]
    reasons = {
        "about": _about(facts, machine),
        "size": _size(facts, ranked),
        "spacing_mm": f"voxels {choice.coarser:g} times as long as the data set says: the median volume is large, and the smallest "
        f"structures keep {LEAST_THICKNESS:g} voxels or more",
        "architecture": _network(ranked, encoders_missing),
        "batch_size": _batch(facts, choice, wishes),
        "max_epochs": _epochs(choice),
        "lr": "ImageNet weights are changed more gently" if choice.candidate.pretrained else "as the bundle has it",
        "weight_average": "about the last tenth of all steps is averaged: calmer than the last step's weights",
        "augmentation": _augmentation(plan, choice),
        "foreground": f"share of the patches that are centred on a class; the rarest covers {_rarest(facts):.2%} of a volume"
        if planner_of(facts).elements == "voxels"
        else "for volumes only: pictures are not cut into patches",
        "patches_per_case": "patches of each volume in an epoch, so that an epoch is worth its validation"
        if choice.patches_per_case > 1
        else "each case once in an epoch",
        "empty_fraction": f"{facts.empty:.0%} of the cases show no class: a larger share would teach little",
        "class_balance": "a voxel of a class of n voxels weighs n to the power of minus this in the cross entropy: else structures "
        f"as small as {_rarest(facts):.3%} of a volume are found late or never",
        "val_interval": "epochs between two validations, so that these take at most about a seventh of the time",
        "minutes": _minutes(choice, wishes, allowed=allowed, given=given),
        "most_minutes": "of training, once it is planned: if epochs take longer than in the trial, there are fewer of them; without this "
        "line there are as many as planned, however long they take",
        "changed_epochs": "the machine was slower than planned, or no longer: at the end of this epoch, so many in all",
        "memory_gb": f"of a step, about; {wishes.memory_gb:.1f} may be used (memory_gb)",
    }
    return {**reasons, **dict.fromkeys(wishes.fixed, YOURS)}


def _about(facts: Fingerprint, machine: Machine) -> str:
    """The data and the machine, a line each and one for each class."""
    counts = ", ".join(f"{count} {split}" for split, count in facts.counts.items())
    groups = f" of {facts.groups} groups" if facts.groups < facts.counts["training"] else ""
    size = f"{' x '.join(_range(sizes) for sizes in facts.sizes)} {planner_of(facts).grid}"
    low, middle, high = facts.intensity
    lines = [
        f"Plan for {facts.name}: {counts} cases{groups}; {facts.sampled} training cases were read.",
        f"{size}; values from {low:.2f} to {high:.2f}, median {middle:.2f}; {facts.empty:.0%} of the cases show no class.",
        *(f"{name}: {_class(facts, name)}" for name in facts.classes),
        f"Machine: {machine}.",
        "Change what you like, then: medseg train --plan THIS_FILE",
    ]
    return "\n".join(lines)


def _range(sizes: tuple[int, int, int]) -> str:
    low, middle, high = sizes
    return str(middle) if low == high else f"{middle} ({low} to {high})"


def _class(facts: Fingerprint, name: str) -> str:
    shown = facts.classes[name]
    if shown.cases == 0:
        return "in none of the cases that were read"
    thickness = planner_of(facts).thickness(shown)
    return f"in {shown.cases:.0%} of the cases, {shown.share:.2%} of the picture, {thickness}"


def _smallest(facts: Fingerprint, choice: Choice) -> str:
    """How large the smallest structures are for the network."""
    shown = [(each.smallest, name) for name, each in facts.classes.items() if each.cases > 0]
    if not shown:
        return "no structure was seen"
    thin, name = min(shown)
    planner = planner_of(facts)
    thickness = thin * planner.cells(choice.size, choice.coarser)
    return f"the smallest structures ({name}) are {thickness:.1f} {planner.elements} thick"


def _size(facts: Fingerprint, ranked: Sequence[Choice]) -> str:
    choice = ranked[0]
    same = [
        each for each in ranked if each.candidate == choice.candidate and math.prod(each.size) > math.prod(choice.size)
    ]
    larger = min(same, key=lambda each: math.prod(each.size), default=None)
    if larger is None:
        return f"the largest that comes into question: {_smallest(facts, choice)}"
    shown = "x".join(map(str, larger.size))
    return f"{_smallest(facts, choice)}; {shown} would leave {larger.epochs} epochs instead of {choice.epochs}"


def _network(ranked: Sequence[Choice], encoders_missing: bool) -> str:
    choice = ranked[0]
    others = list({each.candidate.name: each for each in reversed(ranked)}.values())
    wider = [each for each in others if each.candidate.width > choice.candidate.width and not each.candidate.pretrained]
    text = choice.candidate.name
    if wider:
        nearest = min(wider, key=lambda each: each.candidate.width)
        text += f"; {nearest.candidate.name} would have {nearest.epochs} epochs at {'x'.join(map(str, nearest.size))}"
    if encoders_missing:
        text += f"; ImageNet encoders ({GAIN_OF_IMAGENET}) learn as if from about six times as many pictures"
    return text


def _batch(facts: Fingerprint, choice: Choice, wishes: Wishes) -> str:
    text = f"{facts.counts['training']} training cases"
    return f"{text}; a step takes about {choice.memory_gb:.1f} of {wishes.memory_gb:.1f} GB"


def _epochs(choice: Choice) -> str:
    if choice.epochs == MOST_EPOCHS:
        return "more passes than these bring little, whatever time is left"
    return "what fits into the time, by the timed trial"


def _augmentation(plan: Plan, choice: Choice) -> str:
    if plan.augmentation == "upright":
        return "no mirroring: sides mean something in a body"
    return f"each case is seen {choice.epochs} times: the more often, the stronger the random changes"


def _rarest(facts: Fingerprint) -> float:
    return min((shown.share for shown in facts.classes.values() if shown.cases > 0), default=0.0)


def _minutes(choice: Choice, wishes: Wishes, *, allowed: float, given: bool) -> str:
    who = "given" if given else "the default; --minutes or --hours changes it"
    text = f"expected for training, of {allowed:g} ({who})"
    if choice.seconds > wishes.seconds:
        text += "; even the quickest training takes longer than that"
    return text
