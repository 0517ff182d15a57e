"""Choose thresholds and cleaning on validation cases, and keep only settings that help on cases that they were not chosen on.

The best of many settings looks better on the cases it was chosen on by luck alone. So every choice is validated: the groups (patients,
lesions) are split in half at random many times, the setting is chosen on one half and its gain over the plain one is measured on the other.
A class gets a setting only if nearly all of these held-out gains are above 0 and their mean is large enough; else it stays plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.files.markdown import Markdown, escaped, markdown_table
from medseg_monai.transforms.cleaning import PLAIN, SIGMOID_THRESHOLD, Cleaning
from medseg_monai.tuning.cases import Terms, TuningCases, TuningMetric, score_of

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
SIZE_SHARES = (0.05, 0.1, 0.2, 0.5)
"""Minimum sizes to try, as shares of the size that all but the smallest 5 % of the class's true masks exceed."""
HALVINGS = 100
NEARLY_ALL = 0.95
LEAST_GAIN = 0.001
LEAST_GROUPS = 8


@dataclass(frozen=True)
class Decision:
    """The result for one class in one step.

    Attributes:
        class_name: the class.
        step: ``threshold``, ``components`` or ``neighbours``.
        best: the best setting on all cases, in words.
        gain: its gain there over the setting before the step; optimistic, because it was chosen on these cases.
        held_out_gain: mean gain on halves of the groups that the choice was not made on.
        consistency: share of those halves with a gain.
        kept: whether the class gets it.
    """

    class_name: str
    step: str
    best: str
    gain: float
    held_out_gain: float
    consistency: float
    kept: bool


@dataclass(frozen=True)
class Tuning:
    """The result of `tune`.

    Attributes:
        cleaning: the setting to use; `PLAIN` if nothing was better.
        decisions: one per class and step.
        before: score of the plain setting, by class.
        after: score of `cleaning` on the same cases, by class.
        metric: the score.
        cases: number of cases.
        groups: number of groups.
    """

    cleaning: Cleaning
    decisions: tuple[Decision, ...]
    before: dict[str, float]
    after: dict[str, float]
    metric: TuningMetric
    cases: int
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "cleaning": self.cleaning.to_dict()}


def tune(cases: TuningCases, *, seed: int = 0) -> Tuning:
    """The cleaning that scores best on the cases and is confirmed on halves of them.

    Thresholds first, then components and holes, then, for slices, organs in isolated slices; each step builds on the decisions of
    the previous ones.

    Args:
        cases: probabilities and truths.
        seed: seed of the random halves.

    Raises:
        ValueError: no cases.
    """
    if not len(cases):
        raise ValueError("there is no case to tune on")
    classes = cases.spec.classes
    setting = _of_all_classes(PLAIN, cases)
    before = cases.measure(PLAIN)
    decisions: list[Decision] = []
    for step, candidates in _steps(cases):
        tried = [_merged(setting, candidate, range(len(classes)), classes) for candidate in candidates]
        terms = np.stack([cases.measure(setting), *map(cases.measure, tried)])
        found = [
            _decide(
                terms[:, number], cases.metric, name, step, ["", *map(_words, _of_class(tried, number, classes))], seed
            )
            for number, name in enumerate(classes)
        ]
        decisions += [decision for decision, _ in found]
        for number, (decision, choice) in enumerate(found):
            if decision.kept:
                setting = _merged(setting, candidates[choice - 1], [number], classes)
    after = cases.measure(setting)
    scores = [score_of(terms, cases.metric) for terms in (before, after)]
    if scores[1].mean() <= scores[0].mean():  # exclusive classes may each gain alone but lose together
        decisions = [replace(decision, kept=False) for decision in decisions]
    if not any(decision.kept for decision in decisions):
        setting, scores = PLAIN, [scores[0], scores[0]]
    before_by_class, after_by_class = ({n: float(s) for n, s in zip(classes, row, strict=True)} for row in scores)
    return Tuning(
        setting, tuple(decisions), before_by_class, after_by_class, cases.metric, len(cases), len(cases.groups)
    )


def tuning_markdown(tuning: Tuning, *, on: str) -> str:
    """The report: scores before and after, then what was tried. `on` says which cases."""
    what = "Competition score" if tuning.metric == "competition" else tuning.metric.capitalize()
    lines = [f"# {what} on {tuning.cases} cases of {tuning.groups} groups: {escaped(on)}", ""]
    means = [float(np.mean(list(scores.values()))) for scores in (tuning.before, tuning.after)]
    rows: list[tuple[str, float, float]] = [(name, tuning.before[name], tuning.after[name]) for name in tuning.before]
    if len(rows) > 1:
        rows.append((Markdown("**mean**"), means[0], means[1]))
    lines += markdown_table(
        ["class", "before", "after", "gain"],
        [[name, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"] for name, a, b in rows],
    )
    lines += [
        "",
        "Gains on the cases that settings were chosen on are optimistic. On halves held out from the choice:",
        "",
    ]
    lines += markdown_table(
        ["class", "step", "best setting", "gain", "held-out gain", "halves with a gain", ""],
        [
            [
                d.class_name,
                d.step,
                d.best,
                f"{d.gain:+.4f}",
                f"{d.held_out_gain:+.4f}",
                f"{d.consistency:.0%}",
                "kept" if d.kept else "not kept",
            ]
            for d in tuning.decisions
        ],
    )
    rule = (
        f"Kept: a mean held-out gain of at least {LEAST_GAIN}, and a gain in {NEARLY_ALL:.0%} of {2 * HALVINGS} halves."
    )
    few = f" Fewer than {LEAST_GROUPS} groups: nothing can be kept." if tuning.groups < LEAST_GROUPS else ""
    return "\n".join([*lines, "", rule + few]) + "\n"


def _steps(cases: TuningCases) -> list[tuple[str, list[dict[str, Any]]]]:
    """The steps with the settings that each tries, simplest first; per-class values are lists."""
    steps: list[tuple[str, list[dict[str, Any]]]] = []
    if cases.spec.task != "multiclass":
        nearest_first = sorted(THRESHOLDS, key=lambda value: abs(value - SIGMOID_THRESHOLD))
        steps.append(("threshold", [{"threshold": value} for value in nearest_first if value != SIGMOID_THRESHOLD]))
    smallest = cases.small_sizes()
    sizes: list[dict[str, Any]] = [
        {"min_size": [float(round(share * size)) for size in smallest]} for share in SIZE_SHARES
    ]
    removals: list[dict[str, Any]] = [*sizes, {"largest": True}]
    components = [*removals, {"fill_holes": True}, *({**removal, "fill_holes": True} for removal in removals)]
    steps.append(("components", components))
    if cases.are_slices:
        steps.append(("neighbours", [{"drop_isolated": True}]))
    return steps


def _decide(
    terms: Terms, metric: TuningMetric, name: str, step: str, words: Sequence[str], seed: int
) -> tuple[Decision, int]:
    """The best of several settings for one class, the first being the plain one: (settings, groups, 2, 2)."""
    groups = terms.shape[1]
    scores = score_of(terms, metric)
    best = int(scores.argmax())
    gains = _held_out_gains(terms, metric, seed) if groups >= LEAST_GROUPS else np.zeros(1)
    consistency, mean = float((gains > 0).mean()), float(gains.mean())
    kept = best > 0 and consistency >= NEARLY_ALL and mean >= LEAST_GAIN
    return Decision(
        name, step, words[best] or "as before", float(scores[best] - scores[0]), mean, consistency, kept
    ), best


def _held_out_gains(terms: Terms, metric: TuningMetric, seed: int) -> NDArray[np.float64]:
    """Gain over the first setting on one half of the groups, for the setting that is best on the other half; for all halves."""
    groups = terms.shape[1]
    generator = np.random.default_rng(seed)
    chosen = np.stack([generator.permutation(groups) < groups // 2 for _ in range(HALVINGS)]).astype(float)
    halves = np.concatenate([chosen, 1 - chosen])
    scores = score_of(terms, metric, lambda values: np.einsum("hg,sgtv->shtv", halves, values))  # (settings, halves)
    best = scores.argmax(axis=0)
    other = np.roll(np.arange(len(halves)), HALVINGS)  # the other half of each half
    return np.asarray(scores[best, other] - scores[0, other])


def _of_all_classes(cleaning: Cleaning, cases: TuningCases) -> Cleaning:
    """The same with a value for each class."""
    count = len(cases.spec.classes)
    default = () if cases.spec.task == "multiclass" else (SIGMOID_THRESHOLD,) * count
    values = {s.name: getattr(cleaning, s.name) * count for s in fields(cleaning) if s.name != "threshold"}
    return replace(cleaning, threshold=default, **values)


def _merged(setting: Cleaning, changes: dict[str, Any], numbers: Sequence[int], classes: Sequence[str]) -> Cleaning:
    """The setting with changes for some of the classes, given by their numbers."""
    merged = {}
    for key, value in changes.items():
        values = value if isinstance(value, list) else [value] * len(classes)
        old = getattr(setting, key)
        merged[key] = tuple(values[n] if n in numbers else old[n] for n in range(len(classes)))
    return replace(setting, **merged)


def _of_class(settings: Sequence[Cleaning], number: int, classes: Sequence[str]) -> list[Cleaning]:
    return [setting.for_class(number, len(classes)) for setting in settings]


def _words(setting: Cleaning) -> str:
    """A class's setting in words: ``threshold 0.4, min_size 25``."""
    shown = {
        "threshold": setting.threshold
        and setting.threshold[0] != SIGMOID_THRESHOLD
        and f"threshold {setting.threshold[0]:g}",
        "min_size": setting.min_size[0] and f"min_size {setting.min_size[0]:g}",
        "largest": setting.largest[0] and "largest",
        "fill_holes": setting.fill_holes[0] and "fill_holes",
        "drop_isolated": setting.drop_isolated[0] and "drop_isolated",
    }
    return ", ".join(str(words) for words in shown.values() if words) or "plain"
