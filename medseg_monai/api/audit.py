"""`medseg_monai.audit`: labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.api.arguments import Assignments, FilePath, as_path, check_there, data_folder, given, parsed, text
from medseg_monai.api.results import save_as

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.audit.answers import Answers
    from medseg_monai.audit.findings import Finding
    from medseg_monai.audit.run import Audit
    from medseg_monai.dataset import Dataset

FOLDS_FOLDER = "folds"
"""Below the audit's own, for the quick folds that it trains itself."""


@dataclass(frozen=True)
class LabelAudit:
    """Which labels of a data set are doubtful.

    Attributes:
        folder: with audit.csv, leave_out.csv, audit.json and index.html.
        found: the labels that were judged, and why others were not; None if the quick folds were stopped.
        listed_from: evidence, in nats, from which a label is listed.
        notes: what was warned of.
    """

    folder: Path
    found: Audit | None = field(repr=False)
    listed_from: float = 3.0
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def finished(self) -> bool:
        """Whether it came to its end; the same call goes on where it was stopped."""
        return self.found is not None

    @property
    def listed(self) -> list[Finding]:
        """The doubtful labels, the most doubtful first."""
        return [] if self.found is None else list(self.found.listed)

    @property
    def not_judged(self) -> Mapping[str, str]:
        """Cases that were not judged, and why."""
        return {} if self.found is None else self.found.not_judged

    @property
    def page(self) -> Path:
        """index.html, with pictures."""
        return self.folder / "index.html"

    @property
    def leave_out(self) -> Path:
        """The table of doubtful labels that `medseg_monai.prepare` takes as ``leave_out``."""
        return self.folder / "leave_out.csv"

    def plot(self) -> Figure:
        """A matplotlib figure: all labels by the evidence against them.

        Raises:
            ValueError: it was stopped before any label was judged.
        """
        from medseg_monai.figures.findings import doubtful_labels

        if self.found is None:
            raise ValueError(f"{self.folder}: stopped before labels were judged; the same call goes on")
        findings = self.found.findings
        kinds = [str(one.kind) for one in findings]
        return doubtful_labels([one.evidence for one in findings], kinds, listed_from=self.listed_from)

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …), the table of all cases (``.csv``), the numbers (``.json``) or the page (``.html``).

        Raises:
            ValueError: the suffix is none of these, or it was stopped.
        """
        files = {".csv": self.folder / "audit.csv", ".json": self.folder / "audit.json", ".html": self.page}
        return save_as(path, files, self.plot)

    def _repr_html_(self) -> str:
        """The doubtful labels, for a notebook."""
        from medseg_monai.report.notebook import Shown, Table, card, figure_uri

        if self.found is None:
            return card("Audit of labels", alarms=["stopped: the same call goes on where it was"], notes=self.notes)
        rows = [[one.case, one.kind, f"{one.evidence:.1f}", f"{one.dice:.3f}", one.reason] for one in self.listed]
        missing = len(self.not_judged)
        return card(
            f"{len(self.found.findings)} labels judged, {len(rows)} of them doubtful",
            alarms=[f"{missing} cases were not judged, see audit.csv"] if missing else [],
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            tables=[Table(["case", "kind", "evidence", "Dice", "why"], rows)] if rows else [],
            facts={"page with pictures": str(self.page), "to leave out": str(self.leave_out)},
            notes=self.notes,
        )


def audit(
    data: FilePath | ImageDataset,
    bundle: FilePath | None = None,
    *,
    probabilities: FilePath | None = None,
    weights: FilePath | None = None,
    folds: int = 3,
    minutes: float | None = None,
    listed_from: float = 3.0,
    out: FilePath = Path("audit"),
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> LabelAudit:
    """Rank labels that are probably wrong, by what networks that have not seen the cases say of them: shifted, missing parts …

    Args:
        data: the data set, or its folder.
        bundle: whose weights have not seen the cases; default: quick folds are trained.
        probabilities: folder of a training by folds, or of `medseg_monai.predict` with probabilities.
        weights: of the bundle: file, folder, or the data set's name.
        folds: how many quick folds to train if nothing else is named.
        minutes: for all of them; default: three for each.
        listed_from: evidence, in nats, from which a label is listed as doubtful.
        out: folder for the tables and the page; created.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a data set, bundle, weights or setting that cannot be used; no label can be judged.
    """
    overrides, place, kept, folder = parsed(assignments), data_folder(data), as_path(probabilities), Path(out)
    check_there(place, kept)
    if kept is not None and (bundle or weights):
        raise ValueError("give --probabilities, or a bundle and its weights, not both")
    if weights is not None and bundle is None:
        raise ValueError("--weights needs the name of their bundle: medseg audit DATA BUNDLE --weights …")
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.dataset import TRAINED_ON, check_files, read_dataset

    assert place is not None  # a data set is always named
    dataset = read_dataset(place)
    with noting(verbose) as messages:
        if kept is None and bundle is None:
            check_files(dataset, TRAINED_ON)
            values = given(minutes=None if minutes is None else minutes / folds, device=device)
            kept = folder / FOLDS_FOLDER
            if not _quick_folds(place, dataset, kept, folds, values, overrides):
                return LabelAudit(folder, None, listed_from, notes_of(messages))
        answers = _answers(dataset, kept, bundle, text(weights), {**given(device=device), **overrides})
        found = _audit(dataset, answers, folder, listed_from)
    return LabelAudit(folder, found, listed_from, notes_of(messages))


def _quick_folds(
    data: Path, dataset: Dataset, folder: Path, count: int, values: dict[str, Any], overrides: dict[str, Any]
) -> bool:
    """Train networks that have not seen each case, unless they are there; whether all are done."""
    import logging

    from medseg_monai.api.train import bundle_and_data
    from medseg_monai.dataset.cases import as_list
    from medseg_monai.folds.run import FoldRun
    from medseg_monai.planning.make import QUICK_MINUTES

    bundle, _ = bundle_and_data(None, data)
    logging.getLogger(__name__).info(
        "no probabilities named: %d quick folds of %s, about %.3g minutes for all -> %s/",
        count,
        bundle.name,
        count * values.get("minutes", QUICK_MINUTES),
        folder,
    )
    settings = {"preset": "quick", **values} if "minutes" not in values else values
    single = all(len(as_list(case["image"])) == 1 for case in dataset.training + dataset.validation)
    return FoldRun(bundle, data, folder, count, settings, assignments=overrides, keep_probabilities=single).train()


def _answers(
    dataset: Dataset,
    probabilities: Path | None,
    bundle: FilePath | None,
    weights: str | None,
    assignments: Mapping[str, Any],
) -> Answers:
    from medseg_monai.audit.answers import asked_answers, kept_answers
    from medseg_monai.bundle.paths import find_bundle

    if probabilities is not None:
        return kept_answers(probabilities, dataset)
    assert bundle is not None  # one of the two is named, or was trained
    return asked_answers(find_bundle(bundle), weights, dataset, assignments=assignments)


def _audit(dataset: Dataset, answers: Answers, out: Path, listed_from: float) -> Audit:
    """Judge the labels, and write what came of it."""
    from medseg_monai.audit.output import write_audit
    from medseg_monai.audit.run import audit_dataset
    from medseg_monai.program.bars import progress_bar

    bar = partial(progress_bar(), desc="judging", unit="label")
    found = audit_dataset(dataset, answers, listed_from=listed_from, progress=bar)
    origins = sorted({answer.origin for answer in answers.values()})
    run = {"data set": str(dataset.root), "probabilities": origins, "listed from (nats)": listed_from}
    write_audit(out, found, dataset, answers, run=run)
    return found
