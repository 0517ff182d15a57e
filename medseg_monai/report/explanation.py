"""One self-contained HTML file of explanations by `medseg explain`."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.bundle.trained import Trained
from medseg_monai.explain.cases import PANEL
from medseg_monai.explain.checks import CHECKS_FILE, PLOT_FILE
from medseg_monai.explain.files import TABLE_FILE
from medseg_monai.files.csv_tables import read_records
from medseg_monai.images.formats import open_picture
from medseg_monai.program.messages import facts_as_text
from medseg_monai.report.evaluation import REPORT_FILE
from medseg_monai.report.page import Facts, data_uri, left_out, link_to, page_facts, software, write_page

WIDEST_PANEL = 1500  # pixels
MOST_PANEL_BYTES = 12 * 10**6  # of JPEG: a third more as text in the page, below its 20 MB
COLUMNS = ("case", "class", "method", "layer", "region", "score", "heat inside the region", "note")


def write_explanation_report(
    folder: str | Path,
    *,
    trained: Trained | None = None,
    run: Facts | None = None,
    model_card: str | Path | None = None,
) -> Path:
    """Write ``report.html`` beside the files of ``medseg explain``, from these, and return its path.

    Args:
        folder: with ``explanations.csv``, the panels, and ``checks.csv`` and ``checks.png`` if the maps were checked.
        trained: what the weights were trained for.
        run: further facts to show, such as the weights' path.
        model_card: a file to link to; skipped if it does not exist.

    Raises:
        FileNotFoundError: the folder contains no explanations.
        ValueError: its files are invalid, or the page would exceed 20 MB.
    """
    place = Path(folder)
    rows = _read(place / TABLE_FILE)
    panels, not_shown = _panels(place, rows)
    numbers = {case["id"]: case["number"] for case in panels}
    bundle = trained.bundle if trained else ""
    facts = {"bundle": bundle, "region": sorted({row["region"] for row in rows}), **(run or {})}
    return write_page(
        place / REPORT_FILE,
        "explanation.html",
        title=f"What {bundle or 'the network'} looks at",
        subtitle=f"{sum(bool(row['map']) for row in rows)} maps of {len({row['case'] for row in rows})} images",
        sections=[("How to read the maps", "reading"), ("Cases", "cases"), ("All maps", "all"), ("Run", "run")],
        **page_facts(),
        checks=_checks(place / CHECKS_FILE),
        checks_plot=data_uri(place / PLOT_FILE) if (place / PLOT_FILE).is_file() else None,
        cases=panels,
        not_shown=not_shown,
        left_out=left_out(place),
        classes=list(dict.fromkeys(row["class"] for row in rows)),
        methods=list(dict.fromkeys(row["method"] for row in rows)),
        columns=COLUMNS,
        rows=[{"case": row["case"], "number": numbers.get(row["case"]), "cells": _cells(row)} for row in rows],
        run=facts_as_text(facts),
        data=facts_as_text(trained.dataset.to_dict() if trained else {}),
        model_card=link_to(model_card, place),
        versions=facts_as_text(software()),
    )


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of ``explanations.csv``."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} contains no explanations: {path.name} is missing")
    rows = read_records(path)
    needed = {"case", "class", "method", "layer", "region", "score", "note", "map", "heat_inside"}
    if rows and (missing := needed - rows[0].keys()):
        raise ValueError(f"{path} is not a table of explanations: it lacks {', '.join(sorted(missing))}")
    return rows


def _panels(place: Path, rows: Sequence[Mapping[str, str]]) -> tuple[list[dict[str, Any]], int]:
    """The cases' panels as data URLs, as many as fit into the page, and the number of the others."""
    shown: list[dict[str, Any]] = []
    found, spent = 0, 0
    for case in dict.fromkeys(row["case"] for row in rows):
        file = place / f"{case}{PANEL}"
        if not file.resolve().is_relative_to(place.resolve()) or not file.is_file():
            continue
        found += 1
        picture = _as_jpeg(file) if spent < MOST_PANEL_BYTES else b""
        spent += len(picture)
        if picture and spent < MOST_PANEL_BYTES:
            notes = [
                f"{row['class']}, {row['method']}: {row['note']}" for row in rows if row["case"] == case and row["note"]
            ]
            panel = data_uri(file.with_suffix(".jpg"), picture)
            shown.append({"number": len(shown) + 1, "id": case, "notes": notes, "panel": panel})
    return shown, found - len(shown)


def _as_jpeg(file: Path) -> bytes:
    """A panel as a JPEG no wider than a page shows it."""
    content = io.BytesIO()
    with open_picture(file) as panel:
        narrow = panel.convert("RGB")
        narrow.thumbnail((WIDEST_PANEL, WIDEST_PANEL * 4))
        narrow.save(content, format="JPEG", quality=82)
    return content.getvalue()


def _cells(row: Mapping[str, str]) -> list[str]:
    """A row of the table, after the case."""
    numbers = [f"{float(row[key]):.3f}" if row[key] else "–" for key in ("score", "heat_inside")]
    return [row["class"], row["method"], row["layer"], row["region"], *numbers, row["note"]]


def _checks(path: Path) -> list[dict[str, str]]:
    """Means over cases and classes of each check of each map; empty if the maps were not checked."""
    if not path.is_file():
        return []
    values: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in read_records(path):
        chance = float(row["random_mean"]) if row["random_mean"] else np.nan
        values[row["method"], row["check"], row["stage"]].append((float(row["value"]), chance))
    shown = []
    for (method, check, stage), pairs in values.items():
        value, chance = np.mean(pairs, axis=0)
        by_chance = "–" if np.isnan(chance) else f"{chance:.3f}"
        entry = {"method": method, "check": check, "stage": stage or "–", "value": f"{value:.3f}"}
        shown.append({**entry, "random": by_chance, "count": str(len(pairs))})
    return shown
