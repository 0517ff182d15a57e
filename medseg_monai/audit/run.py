"""The audit of a data set: from its cases to `Finding`s, tables, pictures and a page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from medseg_monai.audit.answers import MISSING, Answers
from medseg_monai.audit.examine import Examined, dices_of, examine, findings_of, look_at
from medseg_monai.audit.findings import LISTED_FROM, Finding, scores_again
from medseg_monai.audit.twins import detail_of
from medseg_monai.dataset import SPLITS, Dataset
from medseg_monai.dataset.cases import Case
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.truth import read_shown
from medseg_monai.inference.cases import UNUSABLE
from medseg_monai.quality.calibration import CalibrationCases
from medseg_monai.tuning.cases import network_channels

logger = logging.getLogger(__name__)

MOST_FOR_TEMPERATURE = 100
"""Cases that temperatures are learnt from."""
LEAST_AGREEMENT = 0.3
"""Mean Dice of label and network from which a case counts for temperatures. Below, one of the two is wrong altogether; if it is the label,
the network would seem too sure, and all evidence too weak: with a fifth of the labels empty by mistake, by four tenths."""

Progress = Callable[[Sequence[Case]], Iterable[Case]]


@dataclass(frozen=True)
class Audit:
    """What came of an audit.

    Args:
        findings: of the cases that were judged, the most doubtful first.
        listed: those whose evidence reaches the limit.
        not_judged: case id -> why.
        splits: case id -> split, of all cases.
        temperature: what the log-odds were divided by, for each class or for all.
        failed: how many of those that were not judged could not be read; the others have no probabilities.
    """

    findings: Sequence[Finding]
    listed: Sequence[Finding]
    not_judged: Mapping[str, str]
    splits: Mapping[str, str]
    temperature: tuple[float, ...]
    failed: int = 0

    @property
    def dice(self) -> Mapping[str, float]:
        """See `scores_again`."""
        return scores_again(self.findings, self.listed)


def audit_dataset(
    dataset: Dataset, answers: Answers, *, listed_from: float = LISTED_FROM, progress: Progress | None = None
) -> Audit:
    """Judge the labels of all cases that have probabilities.

    Args:
        dataset: its cases; one that cannot be used is left out with a reason, the others are judged.
        answers: the probabilities of networks that have not seen the cases.
        listed_from: evidence in nats from which a label is listed.
        progress: shows how far it is.

    Raises:
        ValueError: no case can be judged.
    """
    splits = {case["id"]: split for split in SPLITS for case in dataset.cases(split)}
    cases = [case for split in SPLITS for case in dataset.cases(split)]
    gone = {case["id"]: MISSING for case in cases if case["id"] not in answers}
    asked = [case for case in cases if case["id"] in answers]
    temperature = learn_temperature(dataset.spec, asked, answers)
    examined: list[Examined] = []
    for case in progress(asked) if progress else asked:
        try:
            looked, detail = look_at(case, answers, dataset.spec), detail_of(read_shown(case, dataset.spec).image)
        except UNUSABLE as error:
            gone[case["id"]] = " ".join(str(error).split()) or type(error).__name__
            logger.warning("not judged: %s: %s", case["id"], gone[case["id"]])
            continue
        origin = answers[case["id"]].origin
        examined.append(examine(case, looked, detail, dataset.spec, temperature=temperature, origin=origin))
    if not examined:
        raise ValueError(f"no case of {dataset.spec.name} could be judged: {next(iter(gone.values()), 'it has none')}")
    findings = findings_of(examined, dataset.spec.classes)
    listed = [one for one in findings if one.evidence >= listed_from]
    return Audit(findings, listed, gone, splits, temperature, failed=len(asked) - len(findings))


def learn_temperature(spec: DatasetSpec, cases: Sequence[Case], answers: Answers) -> tuple[float, ...]:
    """What to divide log-odds by, so that probabilities are frequencies (`medseg_monai.quality.calibration`); 1 if nothing can be read.

    Cases whose label and network disagree altogether are left out, unless that is half of them or more. That makes no evidence stronger
    than the network's own probabilities do: some of these cases may be failures of a poor network.
    """
    agreeing, others = CalibrationCases(spec), CalibrationCases(spec)
    chosen = np.linspace(0, len(cases) - 1, min(len(cases), MOST_FOR_TEMPERATURE)).round().astype(int) if cases else []
    for case in (cases[number] for number in chosen):
        try:
            looked = look_at(case, answers, spec)
        except UNUSABLE:
            continue  # this is reported when the case is judged
        kept = agreeing if fmean(dices_of(looked, spec)) >= LEAST_AGREEMENT else others
        kept.add(network_channels(looked.probabilities, spec), looked.masks, looked.ignored)
    if not agreeing.cases + others.cases:
        return (1.0,)
    every = agreeing.with_those_of(others).learn().temperature
    if agreeing.cases <= others.cases or not others.cases:
        return every
    pairs = zip(agreeing.learn().temperature, every, strict=True)
    return tuple(max(without, min(whole, 1.0)) for without, whole in pairs)


def facts_of(audit: Audit) -> dict[str, Any]:
    """The numbers of an audit, for JSON."""
    return {
        "judged": len(audit.findings),
        "listed": len(audit.listed),
        "not judged": len(audit.not_judged),
        "mean Dice": {name: round(value, 4) for name, value in audit.dice.items()},
        "temperature": list(audit.temperature),
    }
