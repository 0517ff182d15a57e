"""Whether predictions of quality hold: predicted Dice and flags beside the true Dice of the masks, over an evaluation's cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow

from medseg_monai.bundle.trained import Trained
from medseg_monai.evaluation.metrics import CaseScores
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.trust import risk_coverage_plot
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.cases import was_set_aside
from medseg_monai.outputs.order import UNLIKE
from medseg_monai.quality.risk_coverage import aurc, aurc_interval

TRUST_FILE, TRUST_PICTURE = "trust.json", "trust.png"
DIGITS = 4


class Said(NamedTuple):
    """What was predicted of a case's mask, and its true Dice.

    Attributes:
        predicted: Dice by class.
        uncertainty: of the case.
        flagged: whether a person should look at it.
        unlike: whether it was flagged as unlike the pictures of training.
        dice: the true Dice by class; empty until it is known.
    """

    predicted: Mapping[str, float]
    uncertainty: float
    flagged: bool
    unlike: bool
    dice: Mapping[str, float]


@dataclass(frozen=True)
class Trust:
    """How far predicted Dice and flags can be trusted. If there are several classes, a case's lowest Dice counts, predicted or true.

    Attributes:
        cases: their number.
        error: mean distance of predicted and true Dice, over cases and classes.
        aurc: area under the risk-coverage curve of the predicted Dice, see `medseg_monai.quality.risk_coverage`; `aurc_low` to
            `aurc_high` is its 95 % interval.
        aurc_uncertainty: the same of the uncertainty.
        aurc_least: the same of the true Dice, which nothing can sort better than.
        flagged: cases that a person should look at.
        unlike: those of them that were flagged as unlike the pictures of training.
        failure_dice: a case below it is a failure.
        failures: their number.
        failures_flagged: those of them that are flagged.
        risk: the share of failures among the masks that are not flagged that was promised; None if nothing was.
    """

    cases: int
    error: float
    aurc: float
    aurc_low: float
    aurc_high: float
    aurc_uncertainty: float
    aurc_least: float
    flagged: int
    unlike: int
    failure_dice: float
    failures: int
    failures_flagged: int
    risk: float | None

    @property
    def passed_failures(self) -> int:
        """Failures among the masks that are not flagged."""
        return self.failures - self.failures_flagged

    def __str__(self) -> str:
        return (
            f"predicted Dice off by {self.error:.3f} on average; AURC {self.aurc:.4f} ({self.aurc_low:.4f} to "
            f"{self.aurc_high:.4f}), of the uncertainty {self.aurc_uncertainty:.4f}, at best {self.aurc_least:.4f}; "
            f"{self.flagged} of {self.cases} masks flagged, {self._failed}"
        )

    @property
    def _failed(self) -> str:
        """How many failures there are among those that are flagged, and among the others."""
        if not self.failures:
            return f"none of all masks lies below Dice {self.failure_dice:g}"
        passed = self.cases - self.flagged
        promised = "" if self.risk is None else f" (promised: at most {self.risk:.1%} on average)"
        below = f"{self.passed_failures} of the {passed} others lie below Dice {self.failure_dice:g}{promised}"
        return f"{below}; {self.failures_flagged} of {self.failures} failures flagged"


class MeasureTrust:
    """Ignite handler: note what is predicted of each case, to be compared with its scores (`MeasureTrust.write`).

    Expects decollated output with ``predicted_dice``, ``uncertainty``, ``flagged`` and ``reason``.

    Args:
        trained: what is known of the weights.
        enabled: False for doing nothing.
    """

    def __init__(self, *, trained: Trained, enabled: bool = True) -> None:
        self.trained = trained
        self.enabled = enabled
        self._said: dict[str, Said] = {}

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, lambda _: self._said.clear())
        if self.enabled:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)

    def _note(self, engine: Workflow) -> None:
        for item, answer in zip(engine.state.batch, engine.state.output, strict=True):
            if not was_set_aside(answer):
                unlike = str(answer["reason"]).startswith(UNLIKE)
                sure = float(answer["uncertainty"])
                self._said[item["id"]] = Said(answer["predicted_dice"], sure, bool(answer["flagged"]), unlike, {})

    def write(self, scores: Sequence[CaseScores], folder: Path) -> list[str]:
        """Write ``trust.json`` and ``trust.png``, in place of an earlier evaluation's; return lines for the summary.

        If nothing was predicted of the masks, there are neither.
        """
        for name in (TRUST_FILE, TRUST_PICTURE):
            (folder / name).unlink(missing_ok=True)
        found = self._with_dice(scores)
        if not found:
            return []
        trust = self._compare(found)
        write_whole(folder / TRUST_FILE, json.dumps(asdict(trust), indent=2) + "\n")
        predicted, uncertain, dice = _columns(found)
        curves = {"predicted Dice": predicted, "uncertainty": uncertain, "the true Dice": dice}
        passed = 1 - trust.flagged / trust.cases
        save_figure(risk_coverage_plot(curves, dice, passed=passed), folder / TRUST_PICTURE)
        return ["", "## Which masks to look at", "", f"{str(trust)[:1].upper()}{str(trust)[1:]}."]

    def _with_dice(self, scores: Sequence[CaseScores]) -> list[Said]:
        """What was predicted of the cases that have scores."""
        dices: dict[str, dict[str, float]] = {}
        for score in scores:
            dices.setdefault(score.case, {})[score.class_name] = score.dice
        known = ((self._said[case], dice) for case, dice in dices.items() if case in self._said)
        return [said._replace(dice=dice) for said, dice in known if said.predicted]

    def _compare(self, found: Sequence[Said]) -> Trust:
        predicted, uncertain, dice = _columns(found)
        low, high = aurc_interval(predicted, dice)
        limit, risk = self._promised()
        failed = [said.flagged for said, lowest in zip(found, dice, strict=True) if lowest < limit]
        errors = [abs(value - said.dice[name]) for said in found for name, value in said.predicted.items()]
        return Trust(
            cases=len(found),
            error=_rounded(float(np.mean(errors))),
            aurc=_rounded(aurc(predicted, dice)),
            aurc_low=_rounded(low),
            aurc_high=_rounded(high),
            aurc_uncertainty=_rounded(aurc(uncertain, dice)),
            aurc_least=_rounded(aurc(dice, dice)),
            flagged=sum(said.flagged for said in found),
            unlike=sum(said.unlike for said in found),
            failure_dice=limit,
            failures=len(failed),
            failures_flagged=sum(failed),
            risk=risk,
        )

    def _promised(self) -> tuple[float, float | None]:
        """Below which Dice a case is a failure, and the risk; that None if nothing could be promised."""
        quality = self.trained.quality
        promise = None if quality is None else quality.promise
        if promise is None:
            return (0.7 if self.trained.review is None else self.trained.review.failure_dice), None
        return promise.dice, promise.risk if promise.threshold is not None else None


def _rounded(number: float) -> float:
    return round(number, DIGITS)


def _columns(found: Sequence[Said]) -> tuple[list[float], list[float], list[float]]:
    """Of each case the lowest predicted Dice, the certainty, and the lowest true Dice."""
    predicted = [min(said.predicted.values()) for said in found]
    return predicted, [-said.uncertainty for said in found], [min(said.dice.values()) for said in found]


def read_trust(folder: Path) -> Trust | None:
    """The content of ``trust.json``; None if nothing was measured.

    Raises:
        ValueError: it is not such a file.
    """
    file = folder / TRUST_FILE
    if not file.is_file():
        return None
    try:
        return Trust(**json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} does not say how far masks can be trusted: {error}") from error
