"""`medseg_monai.correct`: one image segmented, and the mask corrected by clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from medseg_monai.api.arguments import FilePath, check_there, given, image_paths, text
from medseg_monai.api.results import PICTURES
from medseg_monai.clicks import Box, Click

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import LabelledCase
    from medseg_monai.prediction import Prediction

Place: TypeAlias = "str | Sequence[int] | Click"
"""A pixel: ``"ROW,COLUMN"``, of a class ``"CLASS:ROW,COLUMN"``, the numbers, or a click; in volumes with the slice."""


@dataclass(frozen=True)
class Correction:
    """A mask that was corrected by clicks.

    Attributes:
        found: the corrected mask.
        files: that were written.
        changed: pixels or voxels that differ from the network's mask.
        notes: what was warned of.
    """

    found: Prediction = field(repr=False)
    files: tuple[Path, ...]
    changed: int
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def before(self) -> Prediction:
        """The network's own mask."""
        return self.found.original or self.found

    def plot(self) -> Figure:
        """A matplotlib figure: the network's mask, and the corrected one; of a volume the axial slice with most of each."""
        from medseg_monai.figures.cases import masked_pictures, show_texts_as_they_are

        pair = ((self.before, "the network's"), (self.found, "corrected"))
        views = [replace(found.view(), title=title) for found, title in pair]
        figure = masked_pictures(views, classes=self.found.classes)
        show_texts_as_they_are(figure)
        return figure

    def save(self, path: FilePath) -> list[Path]:
        """Save the mask as `Prediction.save` does (of a photograph ``.png``, ``.geojson``), or the figure (``.jpg``, ``.svg``, ``.pdf``).

        Raises:
            ValueError: the suffix is none of these.
        """
        if Path(path).suffix.lower() in set(PICTURES) - {".png"}:
            from medseg_monai.figures.cases import save_figure

            return [save_figure(self.plot(), path)]
        return self.found.save(path)

    def _repr_html_(self) -> str:
        """The corrected mask, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        clicks = [f"row {c.row}, column {c.column} {'inside' if c.inside else 'outside'}" for c in self.found.clicks]
        return card(
            f"{self.found.name or 'Image'}: {self.changed:,} changed",
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            facts={"clicks": "; ".join(clicks), "files": ", ".join(map(str, self.files))},
            notes=self.notes,
        )


def correct(
    bundle: FilePath,
    image: FilePath | LabelledCase,
    *,
    inside: Place | Sequence[Place] | None = None,
    outside: Place | Sequence[Place] | None = None,
    box: str | Sequence[int] | Box | None = None,
    out: FilePath = Path("corrected"),
    weights: FilePath | None = None,
    formats: str | None = None,
    overlay: bool = False,
    device: str | None = None,
    verbose: bool = False,
) -> Correction:
    """Segment an image and correct the mask by clicks: pixels, counted from 0 at the top left, that are inside or outside.

    Without files, and with undo: `medseg_monai.Predictor` and `Prediction.correct`.

    Args:
        bundle: its name or folder.
        image: a photograph or volume, or a case of a data set.
        inside: pixels that belong to the class: ``"120,340"``, ``(120, 340)`` or several; in a volume row, column and slice.
        outside: pixels that do not; ``"CLASS:120,340"`` if there are several classes.
        box: row and column of the first and last pixel of a box that the class just fits into.
        out: folder to write to; created.
        weights: file, folder, or the data set's name.
        formats: as for `medseg_monai.predict`.
        overlay: also draw the outline on the image.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights or image that cannot be used, a click that is wrong, or none.
        FileExistsError: `medseg_monai.predict` wrote to `out`.
    """
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, path = find_bundle(bundle), image_paths(image)[0]
    check_there(path)
    clicks = [*clicks_at(inside, inside=True), *clicks_at(outside, inside=False)]
    fitted = as_box(box)
    if not clicks and fitted is None:
        raise ValueError("nothing to correct by: give --inside, --outside or --box")
    find_weights(folder, text(weights))
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.clicks.run import correct_image

    with noting(verbose) as messages:
        done = correct_image(
            folder,
            Path(path),
            Path(out),
            clicks=clicks,
            box=fitted,
            weights=text(weights),
            formats=formats,
            overlay=overlay,
            **given(device=device),
        )
    return Correction(done.found, tuple(done.files), done.changed, notes_of(messages))


def clicks_at(places: Place | Sequence[Place] | None, *, inside: bool) -> list[Click]:
    """Clicks at one place or several.

    Raises:
        ValueError: a place is not one, or two clicks contradict each other.

    >>> clicks_at((120, 340), inside=True) == clicks_at(["120,340"], inside=True) == [Click(120, 340)]
    True
    """
    from medseg_monai.clicks.text import parse_click

    found = []
    for place in _several(places):
        if isinstance(place, Click):
            if place.inside != inside:
                raise ValueError(f"{place} is given as {'inside' if inside else 'outside'}")
            found.append(place)
        else:
            written = place if isinstance(place, str) else ",".join(map(str, place))
            found.append(parse_click(written, inside=inside))
    return found


def _several(places: Place | Sequence[Place] | None) -> list[Place]:
    """One place or several as a list: numbers alone are one."""
    if places is None:
        return []
    if isinstance(places, (str, Click)):
        return [places]
    numbers = [item for item in places if isinstance(item, int)]
    return [numbers] if numbers else [item for item in places if not isinstance(item, int)]


def as_box(box: str | Sequence[int] | Box | None) -> Box | None:
    """A box from text, numbers or a box.

    Raises:
        ValueError: these are not 4 or 6 whole numbers.
    """
    from medseg_monai.clicks.text import parse_box

    if box is None or isinstance(box, Box):
        return box
    return parse_box(box if isinstance(box, str) else ",".join(map(str, box)))
