"""`medseg_monai.drift`: a batch of images against those that weights were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import Assignments, FilePath, check_there, image_paths, parsed, text
from medseg_monai.api.results import save_as

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset, LabelledCase
    from medseg_monai.quality.drift import Change, Drift


@dataclass(frozen=True)
class ImageDrift:
    """What has changed in a batch of images.

    Attributes:
        folder: with drift.json and drift.png.
        found: all numbers that were compared.
        left_out: images that could not be used, and why.
        notes: what else was warned of.
    """

    folder: Path
    found: Drift = field(repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def alarm(self) -> bool:
        """Whether anything has changed."""
        return self.found.alarm

    @property
    def changed(self) -> list[Change]:
        """What has: more than by chance, and far enough to matter."""
        return [change for change in self.found.changes if change.changed]

    def plot(self) -> Figure:
        """A matplotlib figure: how far each number has moved, and the images that are least like training's (drift.png)."""
        from medseg_monai.figures.cases import picture_figure
        from medseg_monai.quality.drift_run import PICTURE_FILE

        return picture_figure(self.folder / PICTURE_FILE)

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …) or the numbers (``.json``).

        Raises:
            ValueError: the suffix is none of these.
        """
        from medseg_monai.quality.drift_run import RESULT_FILE

        return save_as(path, {".json": self.folder / RESULT_FILE}, self.plot)

    def _repr_html_(self) -> str:
        """The verdict and the numbers, for a notebook."""
        from medseg_monai.quality.drift_run import PICTURE_FILE
        from medseg_monai.report.notebook import Shown, Table, card, file_uri

        changes, changed = self.found.changes, self.changed
        rows = [
            [one.name, f"{one.here:.3g}", f"{one.usual:.3g}", f"{one.shift:+.2f}", f"{one.p:.2g}"] for one in changes
        ]
        return card(
            f"{self.found.images} images compared with those of training",
            subtitle="" if changed else "nothing has changed",
            alarms=[f"changed: {change}" for change in changed] + self._failures(),
            pictures=[Shown(file_uri(self.folder / PICTURE_FILE), wide=True)],
            tables=[Table(["", "here", "usual", "shift (standard deviations)", "p"], rows)],
            facts={"files": str(self.folder)},
            notes=self.notes,
        )

    def _failures(self) -> list[str]:
        return [f"could not be used: {Path(image).name}: {why}" for image, why in list(self.left_out.items())[:5]]


def drift(
    bundle: FilePath,
    images: FilePath | Sequence[FilePath] | ImageDataset | LabelledCase,
    *,
    out: FilePath = Path("drift"),
    weights: FilePath | None = None,
    false_alarms: float = 0.01,
    least_shift: float = 0.4,
    verbose: bool = False,
    assignments: Assignments = None,
) -> ImageDrift:
    """Compare a batch of images with those the weights were trained on. `medseg_monai.review` must have run before.

    Args:
        bundle: its name or folder.
        images: images or volumes, folders of them, or cases of a data set.
        out: folder for drift.json and drift.png.
        weights: file, folder, or the data set's name.
        false_alarms: share of batches like training's that may raise an alarm.
        least_shift: standard deviations that a mean must have moved for it to matter.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, images or a setting that cannot be used; too few images.
    """
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides, paths = find_bundle(bundle), parsed(assignments), image_paths(images)
    check_there(*paths)
    find_weights(folder, text(weights))
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.inference.recipe import progress
    from medseg_monai.quality.drift_run import compare_images

    with noting(verbose) as messages:
        found = compare_images(
            folder,
            paths,
            Path(out),
            weights=text(weights),
            false_alarms=false_alarms,
            least_shift=least_shift,
            progress=progress("looking"),
            assignments=overrides,
        )
    return ImageDrift(Path(out), found.drift, found.left_out, notes_of(messages))
