"""The most informative cases of an evaluation, and their pictures: missed structures, the worst, the median, the best."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.evaluation.metrics import CaseScores
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import CaseView
from medseg_monai.figures.drawing import Picture
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.files.writing import write_whole

PICTURES_FOLDER, LIST_FILE = "pictures", "pictures.csv"
FAILED, WORST, MEDIAN, BEST = "missed or spurious", "lowest Dice", "around the median", "highest Dice"
LONGEST_SIDE = 380  # pixels: three fit side by side on a page
JPEG_QUALITY = 82


@dataclass(frozen=True)
class CasePictures:
    """A case with its pictures.

    Attributes:
        case: the case's id.
        group: why it was chosen: ``missed or spurious``, ``lowest Dice`` …
        image: name of the file in the folder of pictures: the image alone.
        outlines: likewise, with prediction and truth.
        errors: likewise, with their differences.
    """

    case: str
    group: str
    image: str
    outlines: str
    errors: str


def choose_cases(
    scores: Sequence[CaseScores], *, failed: int = 12, worst: int = 6, median: int = 3, best: int = 3
) -> list[tuple[str, str]]:
    """The cases to look at, each once: (id, group), failures first.

    Args:
        scores: one entry per case and class.
        failed: largest number with a missed or spurious class, those with most such pixels first.
        worst: number with the lowest Dice, mean over classes, of the remaining ones.
        median: number nearest to the median of all.
        best: number with the highest Dice.
    """
    by_case: dict[str, list[CaseScores]] = defaultdict(list)
    for score in scores:
        by_case[score.case].append(score)
    dice = {case: float(np.mean([s.dice for s in entries])) for case, entries in by_case.items()}
    wrong = {case: _pixels_failed(entries) for case, entries in by_case.items()}
    middle = float(np.median(list(dice.values()))) if dice else 0.0
    orders = {
        FAILED: (sorted((case for case in dice if wrong[case]), key=lambda case: (-wrong[case], case)), failed),
        WORST: (sorted(dice, key=lambda case: (dice[case], case)), worst),
        MEDIAN: (sorted(dice, key=lambda case: (abs(dice[case] - middle), case)), median),
        BEST: (sorted(dice, key=lambda case: (-dice[case], case)), best),
    }
    chosen: dict[str, str] = {}
    for group in (FAILED, WORST, BEST, MEDIAN):  # few cases: the best is the best before it is the median
        order, count = orders[group]
        chosen.update(dict.fromkeys([case for case in order if case not in chosen][:count], group))
    return [(case, group) for group, (order, _) in orders.items() for case in order if chosen.get(case) == group]


def _pixels_failed(scores: Sequence[CaseScores]) -> int:
    """Pixels of missed or spurious classes."""
    return sum(s.truth_pixels + s.predicted_pixels for s in scores if s.outcome in ("missed", "spurious"))


def write_case_pictures(
    folder: str | Path, scores: Sequence[CaseScores], view: Callable[[str], CaseView]
) -> list[CasePictures]:
    """Draw the chosen cases into ``folder/pictures``, one at a time, and list them in ``pictures.csv`` there.

    Args:
        folder: the evaluation's.
        scores: one entry per case and class.
        view: from a case's id to what is drawn; called only for the chosen cases.
    """
    remove_case_pictures(folder)
    place = Path(folder) / PICTURES_FOLDER
    listed = []
    for number, (case, group) in enumerate(choose_cases(scores), start=1):
        names = [f"case{number:02d}_{kind}.jpg" for kind in ("image", "outlines", "errors")]
        for name, picture in zip(names, case_tiles(view(case)), strict=True):
            _write_jpeg(picture, place / name)
        listed.append(CasePictures(case, group, *names))
    table = csv_text([[column.name for column in fields(CasePictures)], *map(astuple, listed)])
    write_whole(place / LIST_FILE, table.encode())
    return listed


def remove_case_pictures(folder: str | Path) -> None:
    """Remove the pictures of an earlier evaluation and their list."""
    place = Path(folder) / PICTURES_FOLDER
    for earlier in (place / LIST_FILE, *place.glob("case*.jpg")):
        earlier.unlink(missing_ok=True)


def read_case_pictures(folder: str | Path) -> list[CasePictures]:
    """The list written by :func:`write_case_pictures`; empty if there is none.

    Raises:
        ValueError: the list is malformed, or names a file outside its folder.
    """
    path = Path(folder) / PICTURES_FOLDER / LIST_FILE
    if not path.is_file():
        return []
    try:
        listed = [CasePictures(**row) for row in read_records(path)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a list of pictures: {error}") from error
    for entry in listed:
        for name in (entry.image, entry.outlines, entry.errors):
            if Path(name).name != name:
                raise ValueError(f"{path} names {name!r}, which is not in its folder")
    return listed


def case_tiles(view: CaseView, *, longest: int = LONGEST_SIDE) -> tuple[Picture, Picture, Picture]:
    """The image, the image with prediction and truth, and the map of differences; for a volume its fullest slice."""
    picture, pred, truth = view.picture_and_masks(longest=longest)
    picture, masks = drawing.enlarge(picture, np.concatenate([pred, truth]), longest=longest)
    pred, truth = masks[: len(pred)], masks[len(pred) :]
    outlines: Picture = picture.copy()
    drawing.draw_masks(outlines, pred)
    for mask in truth:
        drawing.draw_outline(outlines, mask, drawing.TRUTH_COLOUR)
    return picture, outlines, drawing.error_map(picture, pred, truth)


def _write_jpeg(picture: Picture, path: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=JPEG_QUALITY)
    write_whole(path, content.getvalue())
