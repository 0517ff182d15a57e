"""What a result shows of itself in a notebook: a fragment of HTML with pictures inside, nothing fetched, all text escaped."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import CaseView
from medseg_monai.figures.drawing import Picture
from medseg_monai.files.writing import readable
from medseg_monai.program.messages import facts_as_text
from medseg_monai.report.page import data_uri, environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_SIDE = 560  # pixels: sharp on a screen with two pixels per page pixel
QUALITY = 82
MOST_ROWS = 20


@dataclass(frozen=True)
class Shown:
    """A picture with its caption.

    Attributes:
        uri: the picture as a data URL.
        caption: below it.
        alarm: in red below it: why a person should look.
        wide: over the whole width, for plots.
    """

    uri: str
    caption: str = ""
    alarm: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table, of which the first `MOST_ROWS` rows are shown.

    Attributes:
        columns: the headings.
        rows: as many cells each; the first names the row.
        title: above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


def card(
    title: str,
    *,
    subtitle: str = "",
    alarms: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    pictures: Sequence[Shown] = (),
    tables: Sequence[Table] = (),
    notes: Sequence[str] = (),
) -> str:
    """The fragment.

    Args:
        title, subtitle: of the result.
        alarms: what to know before the result is used.
        facts: names and values; empty ones are left out.
        pictures, tables: in this order.
        notes: below all.
    """
    template = environment().get_template("notebook.html")
    text = template.render(
        title=title,
        subtitle=subtitle,
        alarms=alarms,
        facts=facts_as_text(facts or {}),
        pictures=pictures,
        tables=tables,
        most_rows=MOST_ROWS,
        notes=notes,
    )
    return readable(text)


def facts_of_spec(spec: DatasetSpec) -> dict[str, Any]:
    """What a person wants to know of a data set."""
    return {
        "classes": spec.classes,
        "task": spec.task,
        "channels": spec.channels,
        "size": "x".join(map(str, spec.size or ())),
        "spacing": "" if spec.spacing_mm is None else f"{' x '.join(f'{side:g}' for side in spec.spacing_mm)} mm",
        "licence": spec.licence,
    }


def picture_uri(picture: Picture) -> str:
    """A picture (H, W, 3) as a data URL of a JPEG."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=QUALITY)
    return data_uri(Path("picture.jpg"), content.getvalue())


def figure_uri(figure: Figure) -> str:
    """A figure as a data URL of a PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return data_uri(Path("figure.png"), content.getvalue())


def file_uri(file: Path, *, widest: int = 1200) -> str:
    """A picture's file as a data URL of a JPEG no wider than a notebook shows it.

    Raises:
        OSError: it cannot be read.
    """
    content = io.BytesIO()
    with Image.open(file, formats=("JPEG", "PNG")) as picture:
        small = picture.convert("RGB")
        small.thumbnail((widest, widest * 4))
        small.save(content, format="JPEG", quality=QUALITY)
    return data_uri(Path("picture.jpg"), content.getvalue())


def case_uri(view: CaseView, *, longest: int = LONGEST_SIDE) -> str:
    """A case with its masks as a data URL: the photograph, or of a volume the axial slice with most of them."""
    picture, found, truth = view.picture_and_masks(longest=longest)
    picture, found = drawing.enlarge(picture, found, longest=longest) if not len(truth) else (picture, found)
    drawing.draw_masks(picture, found, fill=0.12)
    for mask in truth:
        drawing.draw_outline(picture, mask, drawing.TRUTH_COLOUR)
    return picture_uri(picture)
