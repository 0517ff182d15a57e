"""What the results of functions have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import FilePath
from medseg_monai.files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.inference.cases import Failure

PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")


def save_as(path: FilePath, files: Mapping[str, Path], plot: Callable[[], Figure]) -> Path:
    """Save a result: its plot if the suffix is a picture's, else a copy of the file that holds it in this format.

    Args:
        path: where to.
        files: by suffix; only those that exist count.
        plot: makes the figure.

    Raises:
        ValueError: the suffix is none of these.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix in PICTURES:
        from medseg_monai.figures.cases import save_figure

        return save_figure(plot(), target)
    there = {ending: file for ending, file in files.items() if file.is_file()}
    if suffix not in there:
        raise ValueError(f"{target}: it can be saved as {', '.join((*there, *PICTURES))}")
    with replacing(target) as part:
        shutil.copyfile(there[suffix], part)
    return target


def failure_lines(failures: tuple[Failure, ...], *, shown: int = 5) -> list[str]:
    """The failed cases for a page: the first ones by name and reason."""
    lines = [f"could not be used: {Path(failure.path).name}: {failure.reason}" for failure in failures[:shown]]
    return lines + ([f"and {len(failures) - shown} more could not be used"] if len(failures) > shown else [])
