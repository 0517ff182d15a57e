"""`medseg_monai.explain`: where a network looks for a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.api.arguments import Assignments, FilePath, check_there, given, image_paths, parsed, text, texts
from medseg_monai.api.results import failure_lines, save_as
from medseg_monai.program.messages import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset, LabelledCase
    from medseg_monai.explain.layers import Layer
    from medseg_monai.inference.cases import Failure

SHOWN = 4
"""Panels in a notebook."""
COLUMNS = ("case", "class", "method", "layer", "score", "heat_inside", "note")


@dataclass(frozen=True)
class Explanations:
    """Maps of where a network looks.

    Attributes:
        folder: with explanations.csv, the maps and a panel for each image.
        rows: of explanations.csv: one for each map.
        weights: of the network.
        images: how many there were, with those that could not be used.
        failures: images that could not be used; all others are done.
        notes: what else was noted.
    """

    folder: Path
    rows: tuple[dict[str, str], ...] = field(repr=False)
    weights: Path
    images: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def cases(self) -> list[str]:
        """The images' ids."""
        return list(dict.fromkeys(row["case"] for row in self.rows))

    @property
    def maps(self) -> list[Path]:
        """The files of all maps."""
        return [self.folder / row["map"] for row in self.rows if row["map"]]

    @property
    def panels(self) -> dict[str, Path]:
        """The picture of each image with its maps."""
        from medseg_monai.explain.cases import PANEL

        files = {case: self.folder / f"{case}{PANEL}" for case in self.cases}
        return {case: file for case, file in files.items() if file.is_file()}

    @property
    def checks(self) -> str:
        """What the checks say of the maps, as Markdown; "" if they were not checked."""
        from medseg_monai.explain.checks import SUMMARY_FILE

        file = self.folder / SUMMARY_FILE
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @property
    def page(self) -> Path | None:
        """report.html, if it was written."""
        file = self.folder / "report.html"
        return file if file.is_file() else None

    def plot(self, case: str | None = None) -> Figure:
        """A matplotlib figure of an image's panel; default: the first image's.

        Raises:
            KeyError: there is no such image.
            ValueError: there is no panel at all.
        """
        from medseg_monai.figures.cases import picture_figure

        if not self.panels:
            raise ValueError(f"{self.folder}: there are no panels")
        return picture_figure(self.panels[case or next(iter(self.panels))])

    def save(self, path: FilePath) -> Path:
        """Save the first panel (``.png``, ``.pdf`` …), the table (``.csv``) or the page (``.html``).

        Raises:
            ValueError: the suffix is none of these, or the page was not written.
        """
        from medseg_monai.explain.files import TABLE_FILE

        page = {} if self.page is None else {".html": self.page}
        return save_as(path, {".csv": self.folder / TABLE_FILE, **page}, self.plot)

    def _repr_html_(self) -> str:
        """The panels and the table, for a notebook."""
        from medseg_monai.report.notebook import Shown, Table, card, file_uri

        shown = list(self.panels.items())[:SHOWN]
        return card(
            "Where the network looks",
            subtitle=f"{len(self.maps)} maps of {counted(len(self.cases), 'image')}",
            alarms=failure_lines(self.failures),
            pictures=[Shown(file_uri(file), caption=case, wide=True) for case, file in shown],
            tables=[Table(COLUMNS, [[row[key] for key in COLUMNS] for row in self.rows])],
            facts={"weights": str(self.weights), "files": str(self.folder)},
            notes=self.notes,
        )


def explain(
    bundle: FilePath,
    images: FilePath | Sequence[FilePath] | ImageDataset | LabelledCase | None = None,
    *,
    out: FilePath = Path("explanations"),
    weights: FilePath | None = None,
    classes: str | Sequence[str] | None = None,
    layers: str | Sequence[str] | None = None,
    methods: str | Sequence[str] | None = None,
    region: str | None = None,
    truth: FilePath | None = None,
    check: bool = False,
    report: bool = False,
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> Explanations:
    """Show where a network looks for a class: CAM and Grad-CAM maps and a panel for each image.

    Args:
        bundle: its name or folder.
        images: images, folders of images, or cases of a data set.
        out: folder for maps, panels and explanations.csv; created.
        weights: file, folder, or the data set's name.
        classes: to explain; default: all.
        layers: for Grad-CAM; default: the bottleneck; see `list_layers`.
        methods: ``cam``, ``gradcam``, ``gradcampp`` or ``occlusion``; default: cam and gradcam.
        region: where the class's mean logit is taken: ``predicted`` (default), ``truth``, ``image``, ``pixel:X,Y``, ``box:X,Y,W,H``,
            ``mask:FILE``.
        truth: a data set with these images, a folder of masks, or the mask of a single image.
        check: deletion, insertion and randomisation: can the maps be trusted?
        report: also write report.html.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, images or a setting that cannot be used.
    """
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides, paths = find_bundle(bundle), parsed(assignments), image_paths(images)
    check_there(*paths, truth)
    if weights:
        find_weights(folder, text(weights))
    from medseg_monai.api.running import run_config
    from medseg_monai.explain.files import TABLE_FILE
    from medseg_monai.files.csv_tables import read_records

    values = given(
        dataset_dir=paths,
        output_dir=str(out),
        weights=text(weights),
        classes=texts(classes) or None,
        layers=texts(layers) or None,
        methods=texts(methods) or None,
        region=region,
        truth=text(truth),
        check=check or None,
        report=report or None,
        device=device,
    )
    done = run_config(folder, "explain", values, assignments=overrides, verbose=verbose)
    place = Path(done.part("output_dir"))
    rows = tuple(read_records(place / TABLE_FILE))
    count = len(done.part("cases"))
    return Explanations(place, rows, Path(done.part("weights_file")), count, done.failures, done.notes)


def list_layers(bundle: FilePath, *, weights: FilePath | None = None) -> list[Layer]:
    """The layers that maps can be made from.

    Args:
        bundle: its name or folder.
        weights: file, folder, or the data set's name.

    Raises:
        FileNotFoundError: no such bundle or weights.
    """
    from medseg_monai.bundle.paths import find_bundle
    from medseg_monai.bundle.trained import find_trained
    from medseg_monai.explain.layers import list_layers as layers_of

    trained: Any = find_trained(find_bundle(bundle), text(weights))
    return layers_of(trained.build_network(), trained.dataset)
