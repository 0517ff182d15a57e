"""Both checks of `medseg_monai.explain.faithfulness` over many cases: ``checks.csv``, ``checks.md``, ``checks.png``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.faithfulness import (
    Replacement,
    area,
    likeness,
    randomised,
    removal_curve,
    removal_order,
    stages_from_output,
    without_content,
)
from medseg_monai.explain.layers import TRAINING_HEADS
from medseg_monai.explain.maps import ClassMap, heat
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.checks import check_curves
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.transforms.decision import to_probabilities

CHECKS_FILE, SUMMARY_FILE, PLOT_FILE = "checks.csv", "checks.md", "checks.png"
REGION_ORDER = "region first"
RANDOM_ORDER = "random"


@dataclass(frozen=True)
class Check:
    """A row of ``checks.csv``.

    Attributes:
        case: id of the case.
        class_name: ``class`` in the file.
        method: the map's method and layer; or ``region first``, the order for comparison.
        check: ``deletion`` or ``insertion`` (area under the curve), ``rank correlation`` or ``ssim`` (with the trained network's map).
        stage: of randomisation: weights are random from the output back to this stage.
        value: the check's result.
        random_mean: mean area for random orders.
        random_sd: its standard deviation over them.
    """

    case: str
    class_name: str
    method: str
    check: str
    stage: str
    value: float
    random_mean: float | None = None
    random_sd: float | None = None


@dataclass(frozen=True)
class CheckSettings:
    """Settings of the checks.

    Attributes:
        steps: points of a curve, minus one.
        random_orders: number of random orders for comparison.
        replacement: ``mean`` or ``blur``.
        seeds: number of draws of random weights, whose similarities are averaged.
        seed: seed of every random choice.
    """

    steps: int = 16
    random_orders: int = 5
    replacement: Replacement = "mean"
    seeds: int = 1
    seed: int = 0


@dataclass
class Checks:
    """Collects both checks of each case and class.

    Attributes:
        network: trained.
        run_network: runs a network on images (B, C, *S) as in prediction.
        spec: the data set.
        settings: how.
        rows: of the table, so far.
        curves: per check and order, the curves so far.
    """

    network: nn.Module
    run_network: Callable[[Tensor, nn.Module], Tensor]
    spec: DatasetSpec
    settings: CheckSettings = field(default_factory=CheckSettings)
    rows: list[Check] = field(default_factory=list)
    curves: dict[tuple[str, str], list[list[float]]] = field(default_factory=dict)

    def examine(
        self,
        case: str,
        name: str,
        *,
        image: Tensor,
        channel: int,
        region: Tensor,
        maps: Mapping[str, Tensor],
        explain_with: Callable[[nn.Module, str], ClassMap],
    ) -> None:
        """Check the maps of one class of one case.

        Args:
            case, name: of the case and the class.
            image: (1, C, *S).
            channel: of the class.
            region: weights (*S).
            maps: by method, (*S) on the network's grid.
            explain_with: a method's map by another network.
        """
        self._removals(case, name, image, channel, region, maps)
        self._randomisation(case, name, maps, explain_with)

    def _removals(
        self, case: str, name: str, image: Tensor, channel: int, region: Tensor, maps: Mapping[str, Tensor]
    ) -> None:
        generator = torch.Generator().manual_seed(self.settings.seed)
        share = region / region.sum()
        background = without_content(image, self.settings.replacement)
        orders = {key: removal_order(values, generator=generator) for key, values in maps.items()}
        orders[REGION_ORDER] = removal_order(region, generator=generator)
        even = torch.zeros_like(region)
        chance = [removal_order(even, generator=generator) for _ in range(self.settings.random_orders)]

        def answer(images: Tensor) -> Tensor:
            with torch.no_grad():
                probs = to_probabilities(self.run_network(images, self.network), self.spec.task)
            return (probs[:, channel] * share).flatten(1).sum(1)

        for check, insert in (("deletion", False), ("insertion", True)):

            def curve(order: Tensor, insert: bool = insert) -> list[float]:
                return removal_curve(answer, image, background, order, insert=insert, steps=self.settings.steps)

            by_chance = [curve(order) for order in chance]
            areas = np.array([area(each) for each in by_chance])
            self.curves.setdefault((check, RANDOM_ORDER), []).extend(by_chance)
            for key, order in orders.items():
                found = curve(order)
                self.curves.setdefault((check, key), []).append(found)
                spread = float(areas.std(ddof=1)) if len(areas) > 1 else None
                self.rows.append(Check(case, name, key, check, "", area(found), float(areas.mean()), spread))

    def _randomisation(
        self, case: str, name: str, maps: Mapping[str, Tensor], explain_with: Callable[[nn.Module, str], ClassMap]
    ) -> None:
        before = {key: heat(values)[0] for key, values in maps.items()}
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for seed in range(self.settings.seeds):
            for stage, network in randomised(self.network, seed=self.settings.seed + seed, used=self._stages()):
                for key, trained in before.items():
                    after = heat(explain_with(network, key).values)[0]
                    found.setdefault((key, stage), []).append(likeness(trained, after))
        for (key, stage), values in found.items():
            ranks, ssim = np.mean(values, axis=0)
            self.rows.append(Check(case, name, key, "rank correlation", stage, float(ranks)))
            self.rows.append(Check(case, name, key, "ssim", stage, float(ssim)))

    def _stages(self) -> list[str]:
        """Stages from the output back, without heads that are only used in training."""
        return [stage for stage in stages_from_output(self.network) if stage not in TRAINING_HEADS]

    def write(self, folder: Path) -> str:
        """Write table, plot and summary; returns the summary."""
        remove_checks(folder)
        write_whole(folder / CHECKS_FILE, _as_csv(self.rows).encode())
        text = summary(self.rows)
        write_whole(folder / SUMMARY_FILE, text)
        if self.rows:
            save_figure(check_curves(self.curves, likenesses(self.rows)), folder / PLOT_FILE)
        return text


def remove_checks(folder: Path) -> None:
    """Remove the files of an earlier run: its checks are of other maps."""
    for name in (CHECKS_FILE, SUMMARY_FILE, PLOT_FILE):
        (folder / name).unlink(missing_ok=True)


def likenesses(rows: Sequence[Check]) -> dict[str, dict[str, list[float]]]:
    """Rank correlations by method and stage."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.check == "rank correlation":
            found.setdefault(row.method, {}).setdefault(row.stage, []).append(row.value)
    return found


def summary(rows: Sequence[Check]) -> str:
    """Both checks as Markdown tables: means over cases and classes."""
    if not rows:
        return "No map to check.\n"
    return _removal_table(rows) + "\n" + _randomisation_table(rows)


def _removal_table(rows: Sequence[Check]) -> str:
    lines = [
        "| order | deletion (low is good) | better than random | insertion (high is good) | better than random |",
        "| --- | --- | --- | --- | --- |",
    ]
    removals = [row for row in rows if row.check in ("deletion", "insertion")]
    for method in dict.fromkeys(row.method for row in removals):
        cells = []
        for check, sign in (("deletion", -1), ("insertion", 1)):
            mine = [row for row in removals if (row.method, row.check) == (method, check)]
            # twice the standard deviation: rarely reached by chance
            better = [sign * (row.value - (row.random_mean or 0)) > 2 * (row.random_sd or 0) for row in mine]
            cells += [f"{np.mean([row.value for row in mine]):.3f}", f"{sum(better)} of {len(mine)}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    cells = []
    for check in ("deletion", "insertion"):
        mine = [row for row in removals if row.check == check]
        mean = np.mean([row.random_mean or 0 for row in mine])
        spread = np.mean([row.random_sd or 0 for row in mine])
        cells += [f"{mean:.3f} ± {spread:.3f}", ""]
    lines.append(f"| {RANDOM_ORDER} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _randomisation_table(rows: Sequence[Check]) -> str:
    stages = list(dict.fromkeys(row.stage for row in rows if row.stage))
    lines = [
        f"| similarity to the trained map, random from the output to | {' | '.join(stages)} |",
        f"| --- |{' --- |' * len(stages)}",
    ]
    for method in dict.fromkeys(row.method for row in rows if row.stage):
        for check in ("rank correlation", "ssim"):
            means = [
                np.mean([row.value for row in rows if (row.method, row.check, row.stage) == (method, check, stage)])
                for stage in stages
            ]
            lines.append(f"| {method}, {check} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return "\n".join(lines) + "\n"


def _as_csv(rows: Sequence[Check]) -> str:
    names = ["class" if column.name == "class_name" else column.name for column in fields(Check)]
    values = ([f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)] for row in rows)
    return csv_text([names, *values])
