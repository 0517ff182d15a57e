"""One self-contained HTML file of an audit: the most doubtful labels first, with their pictures, and a table of all cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal
from medseg_monai.grids.kinds import kind_of
from medseg_monai.program.messages import facts_as_text
from medseg_monai.report.page import Facts, data_uri, page_facts, software, write_page

if TYPE_CHECKING:
    from medseg_monai.audit.run import Audit

PAGE_FILE = "index.html"
MOST_PICTURE_BYTES = 10 * 10**6  # of JPEG: a third more as text in the page, below its 20 MB
MOST_ROWS = 10_000
DOUBTFUL = "doubtful"


def write_audit_report(
    folder: Path, audit: Audit, spec: DatasetSpec, pictures: Mapping[str, bytes], *, run: Facts
) -> Path:
    """Write ``index.html`` and return its path.

    Args:
        folder: where to.
        audit: its findings, in their order.
        spec: the data set's.
        pictures: JPEG files by case; as many are shown as fit into 20 MB.
        run: facts to show.
    """
    cards = _cards(audit, pictures)
    numbers = {card["case"]: card["number"] for card in cards}
    colours = zip(spec.classes, drawing.class_colours(len(spec.classes)), strict=True)
    return write_page(
        folder / PAGE_FILE,
        "audit.html",
        title=f"Which labels of {spec.name} are doubtful",
        subtitle=f"{len(audit.findings):,} labels, each compared with the probabilities of a network that has not seen it",
        sections=[("Doubtful", "doubtful"), ("All cases", "all"), ("Run", "run")],
        **page_facts(),
        tiles=_tiles(audit, kind_of(spec).noun),
        key=[("label", hexadecimal(drawing.TRUTH_COLOUR))]
        + [(f"network: {name}", hexadecimal(colour)) for name, colour in colours],
        cards=cards,
        not_shown=max(0, len(audit.listed) - len(cards)),
        not_judged=list(audit.not_judged.items())[:MOST_ROWS],
        columns=["case", "kind", "note", "rank", "evidence", "Dice", "class", "split", "probabilities", "reason"],
        kinds=sorted({one.kind for one in audit.findings if one.kind}),
        marks=[DOUBTFUL] if audit.listed else [],
        most_rows=MOST_ROWS,
        rows=_rows(audit, numbers),
        run=facts_as_text(run),
        data=facts_as_text(spec.to_dict()),
        versions=facts_as_text(software()),
    )


def _tiles(audit: Audit, noun: str) -> list[dict[str, Any]]:
    dice = audit.dice
    without = dice.get("without those listed")
    rest = len(audit.findings) - len(audit.listed)
    return [
        {"name": "judged", "number": f"{len(audit.findings):,}", "range": f"{noun}s", "bad": False},
        {"name": DOUBTFUL, "number": f"{len(audit.listed):,}", "range": "", "bad": bool(audit.listed)},
        {"name": "not judged", "number": f"{len(audit.not_judged):,}", "range": "", "bad": bool(audit.not_judged)},
        {"name": "mean Dice", "number": f"{dice['all']:.3f}", "range": "network against label", "bad": False},
        {
            "name": "without the doubtful",
            "number": "–" if without is None else f"{without:.3f}",
            "range": f"{rest:,} {noun}s",
            "bad": False,
        },
    ]


def _cards(audit: Audit, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    listed = {one.case for one in audit.listed}
    cards: list[dict[str, Any]] = []
    spent = 0
    for rank, one in enumerate(audit.findings, 1):
        if one.case not in pictures:
            continue
        spent += len(pictures[one.case])
        if spent > MOST_PICTURE_BYTES:
            break
        cards.append(
            {
                "number": len(cards) + 1,
                "rank": rank,
                "case": one.case,
                "kind": one.kind,
                "reason": one.reason,
                "doubtful": one.case in listed,
                "evidence": one.evidence,
                "dice": one.dice,
                "picture": data_uri(Path("label.jpg"), pictures[one.case]),
            }
        )
    return cards


def _rows(audit: Audit, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    listed = {one.case for one in audit.listed}
    rows: list[dict[str, Any]] = []
    for rank, one in enumerate(audit.findings[:MOST_ROWS], 1):
        mark = DOUBTFUL if one.case in listed else ""
        split = audit.splits[one.case]
        cells = [one.kind, mark, rank, f"{one.evidence:.2f}", f"{one.dice:.3f}", " + ".join(one.classes), split]
        rows.append({"case": one.case, "number": numbers.get(one.case), "cells": [*cells, one.origin, one.reason]})
    return rows
