"""What the server does: average the weights that sites send, and say what became of each site's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medseg_monai.bundle.paths import named_bundle
from medseg_monai.bundle.trained import Trained, describe, write_weights
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.dataset import Dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.job import ROUNDS_FILE
from medseg_monai.federated.site import Answer
from medseg_monai.federated.weights import Arrays, checked, to_arrays, to_tensors, weighted_mean
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import write_whole

logger = logging.getLogger(__name__)

ROUNDS_COLUMNS = ("round", "site", "cases", "mean_dice", "left_out")
"""``mean_dice``: on the site's own validation cases, of the network with which the round began; ``left_out``: why its weights were."""
END = "end"
"""Instead of a round: what the finished network scores."""
NOT_HEARD_OF = "it did not answer in time"


class Federation:
    """The network that sites train together.

    Args:
        agreement: what all sites have in common.
        folder: the network is written to it after every round, as weights that describe themselves, with ``rounds.csv``.

    Attributes:
        weights: of the network.
        rounds: number of rounds that were averaged.

    Raises:
        FileNotFoundError, ValueError: the bundle or its settings cannot be used.
    """

    def __init__(self, agreement: Agreement, folder: Path) -> None:
        self.agreement = agreement
        self.folder = folder
        self.rounds = 0
        self.weights, self._trained = _first_network(agreement, folder)
        self._rows: list[Sequence[object]] = []

    def average(self, answers: Sequence[Answer]) -> None:
        """End a round: the network becomes the mean of those of the sites, weighted by their numbers of cases, and is written.

        A site whose weights cannot be used is left out and named.

        Raises:
            ValueError: no site's weights can be used; the network stays as it is.
        """
        used = []
        for answer in sorted(answers, key=lambda one: one.site):  # so that sums do not depend on who was first
            reason = self._why_left_out(answer)
            self._note(self.rounds + 1, answer, reason)
            if not reason:
                used.append(answer)
        self._write_table()
        if not used:
            raise ValueError(f"round {self.rounds + 1}: no site's weights can be used, see {ROUNDS_FILE}")
        self.weights = weighted_mean([(answer.cases, answer.weights) for answer in used])
        self.rounds += 1
        self._write_network(sum(answer.cases for answer in used))

    def scored(self, answers: Sequence[Answer]) -> None:
        """Record what the finished network scores at each site."""
        for answer in sorted(answers, key=lambda one: one.site):
            self._rows.append((END, answer.site, "", _shown(answer), answer.reason))
            logger.info("Round %s: %s, mean Dice %s", END, answer.site, _shown(answer) or answer.reason)
        self._write_table()

    def _why_left_out(self, answer: Answer) -> str:
        """Why a site's weights cannot be used; "" if they can."""
        if answer.reason:
            return answer.reason
        if isinstance(answer.cases, bool) or not isinstance(answer.cases, int) or answer.cases < 1:
            return f"the number of its cases cannot be {answer.cases!r}"
        try:
            checked(answer.weights, self.weights, answer.site)
        except ValueError as error:
            return str(error)
        return ""

    def _note(self, number: int, answer: Answer, reason: str) -> None:
        self._rows.append((number, answer.site, answer.cases, _shown(answer), reason))
        if reason:
            logger.warning("Round %d goes on without %s: %s", number, answer.site, reason)
        else:
            dice = _shown(answer)
            logger.info("Round %d: %s, %d cases, mean Dice before it %s", number, answer.site, answer.cases, dice)

    def _write_table(self) -> None:
        write_whole(self.folder / ROUNDS_FILE, csv_text([ROUNDS_COLUMNS, *self._rows]))

    def _write_network(self, cases: int) -> None:
        facts = {
            "rounds": self.rounds,
            "rounds_planned": self.agreement.rounds,
            "epochs_per_round": self.agreement.epochs,
        }
        trained = replace(self._trained, training={"federated": {**facts, "cases": cases}})
        write_weights(self.folder, to_tensors(self.weights), trained)


def _shown(answer: Answer) -> str:
    return "" if answer.mean_dice is None else f"{answer.mean_dice:.4f}"


def _first_network(agreement: Agreement, folder: Path) -> tuple[Arrays, Trained]:
    """The weights with which the first round begins, and what they are for: drawn by the bundle's seed, or those of ``start_from``."""
    bundle = named_bundle(agreement.bundle)
    nobodys = Dataset(agreement.spec, folder)  # no case is at the server; given, so that none is looked for
    workflow = bundle_workflow(bundle, "train", {**agreement.settings, "source": nobodys})
    for name, about in (
        ("spec", "of the data set"),
        ("network_class", "its class"),
        ("initial_network", "the network"),
    ):
        workflow.add_property(name, required=True, config_id=name, desc=about)  # type: ignore[arg-type]  # MONAI means a bool
    workflow.initialize()
    weights = to_arrays(workflow.initial_network.state_dict())
    return weights, Trained(workflow.spec, describe(workflow.network_class), bundle.resolve().name)
