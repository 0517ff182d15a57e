"""`medseg_monai.predict`: the masks of images and folders, as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from medseg_monai.api.arguments import Assignments, FilePath, check_there, given, image_paths, listed, parsed
from medseg_monai.api.results import failure_lines, save_as
from medseg_monai.program.messages import counted, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset, LabelledCase
    from medseg_monai.api.running import Run
    from medseg_monai.dataset.spec import DatasetSpec
    from medseg_monai.figures.cases import CaseView
    from medseg_monai.inference.cases import Failure
    from medseg_monai.outputs.order import PredictedCase

DEFAULT_OUT = Path("masks")
FEW = 2
"""Photographs that are answered by the unchanged network, sooner than an engine could be tried."""
SHOWN = 8
"""Cases in a gallery, unless more are asked for."""


@dataclass(frozen=True)
class Predictions(Sequence["PredictedCase"]):
    """The predictions of a run, those that a person should look at first: ``predictions[0]``, ``predictions["ISIC_0000001"]``.

    Attributes:
        folder: with the masks, predictions.csv and, if it was written, index.html.
        cases: what was predicted of each image.
        images: the image of each case.
        spec: what the network was trained for.
        weights: that were used.
        failures: images that could not be used; all others are done.
        earlier: how many masks are from earlier runs.
        shard: which share of the images these are, in words; empty for all.
        is_complete: whether all images of the run are done; the tables are then written.
        weights_text: the weights in words, with those of an ensemble and others that could have been chosen.
        notes: what else was noted.
    """

    folder: Path
    cases: tuple[PredictedCase, ...] = field(repr=False)
    images: dict[str, Path] = field(repr=False)
    spec: DatasetSpec = field(repr=False)
    weights: Path
    failures: tuple[Failure, ...] = ()
    earlier: int = 0
    weights_text: str = field(default="", repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    page: Path | None = field(default=None, repr=False)
    shard: str = ""
    is_complete: bool = True

    @property
    def flagged(self) -> list[PredictedCase]:
        """The cases that a person should look at."""
        return [case for case in self.cases if case.flagged]

    @property
    def empty(self) -> list[PredictedCase]:
        """The cases in which nothing was found."""
        return [case for case in self.cases if case.empty]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For each case and class what predictions.csv says: ``pandas.DataFrame(predictions.rows)``."""
        return [
            {
                "case": case.case,
                "class": name,
                "pixels": pixels,
                "uncertainty": case.uncertainty,
                "flagged": case.flagged,
                "reason": case.reason,
                "predicted_dice": (case.predicted_dice or {}).get(name),
            }
            for case in self.cases
            for name, pixels in case.pixels.items()
        ]

    @cached_property
    def _by_id(self) -> dict[str, PredictedCase]:
        return {case.case: case for case in self.cases}

    def __len__(self) -> int:
        return len(self.cases)

    @overload
    def __getitem__(self, which: int | str) -> PredictedCase: ...
    @overload
    def __getitem__(self, which: slice) -> tuple[PredictedCase, ...]: ...
    def __getitem__(self, which: int | str | slice) -> PredictedCase | tuple[PredictedCase, ...]:
        """A case by number or id."""
        if not isinstance(which, str):
            return self.cases[which]
        try:
            return self._by_id[which]
        except KeyError:
            raise KeyError(f"no case {which!r}{did_you_mean(which, self._by_id)}") from None

    def __iter__(self) -> Iterator[PredictedCase]:
        return iter(self.cases)

    def mask(self, case: PredictedCase | str | int) -> NDArray[np.uint8]:
        """The mask of a case, read from its file, as `Prediction.mask` has it.

        Raises:
            KeyError, IndexError: there is no such case.
            FileNotFoundError: its mask was not written as a label map, but as polygons, say.
        """
        from medseg_monai.grids.kinds import kind_of

        shown = kind_of(self.spec).as_shown(self._label(case))
        return shown if self.spec.task == "multilabel" else shown[0]

    def _label(self, case: PredictedCase | str | int) -> NDArray[np.uint8]:
        """(1 or classes, W, H), of a volume (1 or classes, I, J, K)."""
        from medseg_monai.outputs.reading import read_predicted_mask

        case_id = (self[case] if isinstance(case, (str, int)) else case).case
        return read_predicted_mask(case_id, self.spec, self.folder, image=self.images[case_id])

    def plot(self, count: int = SHOWN) -> Figure:
        """A matplotlib figure of the first cases with their masks: those that a person should look at come first.

        Raises:
            ValueError: there are none.
            OSError: an image or a mask cannot be read.
        """
        from medseg_monai.figures.cases import masked_pictures, show_texts_as_they_are

        figure = masked_pictures([self._view(case) for case in self.cases[:count]], classes=self.spec.classes)
        show_texts_as_they_are(figure)
        return figure

    def _view(self, case: PredictedCase) -> CaseView:
        from medseg_monai.evaluation.metrics import class_masks
        from medseg_monai.figures.cases import CaseView
        from medseg_monai.grids.truth import read_shown

        masks = class_masks(self._label(case), len(self.spec.classes))
        shown = read_shown({"image": str(self.images[case.case])}, self.spec)
        title = f"{case.case}: {case.mark}" if case.mark else case.case
        return CaseView(shown.image, masks, masks[:0], title=title, affine=shown.affine, colour=shown.colour)

    def save(self, path: FilePath) -> Path:
        """Save the gallery (``.png``, ``.pdf`` …), the table (``.csv``) or the page (``.html``).

        Raises:
            ValueError: the suffix is none of these, or the page was not written.
        """
        page = {} if self.page is None else {".html": self.page}
        return save_as(path, {".csv": self.folder / "predictions.csv", **page}, self.plot)

    def _repr_html_(self) -> str:
        """Pictures and the table, for a notebook."""
        from medseg_monai.grids.kinds import kind_of
        from medseg_monai.report.notebook import Table, card

        rows = [
            [row["case"], row["class"], f"{row['pixels']:,}", _number(row["predicted_dice"]), row["reason"]]
            for row in self.rows
        ]
        noun = kind_of(self.spec).noun
        counts = f"{counted(len(self), noun)}, {len(self.flagged)} to look at, {len(self.empty)} empty"
        return card(
            f"Masks in {self.folder}",
            subtitle=counts,
            alarms=failure_lines(self.failures),
            pictures=self._pictures(),
            tables=[Table(["case", "class", kind_of(self.spec).elements, "predicted Dice", "why to look"], rows)],
            facts={"weights": str(self.weights), "trained on": self.spec.name, "page": str(self.page or "")},
            notes=self.notes,
        )

    def _pictures(self) -> list[Any]:
        """The thumbnails that were made with the masks."""
        from medseg_monai.outputs.pictures import picture_file
        from medseg_monai.report.notebook import Shown, file_uri

        files = [(case, picture_file(self.folder, case.case)) for case in self.cases[:SHOWN]]
        return [
            Shown(file_uri(file, widest=400), caption=case.case, alarm=case.mark)
            for case, file in files
            if file.is_file()
        ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def predict(
    bundle: FilePath,
    images: FilePath | Sequence[FilePath] | ImageDataset | LabelledCase,
    *,
    out: FilePath | None = None,
    weights: FilePath | Sequence[FilePath] | None = None,
    engine: str | None = None,
    tta: str | None = None,
    formats: str | Sequence[str] | None = None,
    threshold: float | None = None,
    largest: bool | None = None,
    fill_holes: bool | None = None,
    min_size: float | None = None,
    probabilities: bool = False,
    uncertainty: bool = False,
    margins: bool = False,
    overlays: bool = False,
    report: bool | None = None,
    series: str | None = None,
    shard: str | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> Predictions:
    """Segment images into files: each gets a mask of its own size and a row in predictions.csv. For arrays there is `Predictor`.

    Args:
        bundle: its name or folder.
        images: images or volumes, folders of them (searched recursively), or cases of a data set.
        out: folder to write to; default: ``masks``.
        weights: file, folder, or the data set's name; several for the mean of their networks.
        engine: ``torch`` (default), ``onnx``, ``openvino``, ``auto`` or ``plain``.
        tta: ``flips`` or ``dihedral``: average over mirrored, or also rotated, images.
        formats: ``png``, ``geojson``, ``coco``, ``rle``; of volumes ``nifti``, ``nrrd``, ``mha``, ``dicomseg``.
        threshold: probability above which a pixel belongs to a class; default: as tuned, else 0.5.
        largest: keep only the largest component of each class.
        fill_holes: fill the holes in masks.
        min_size: remove components smaller than this: pixels, or mm³ of volumes.
        probabilities, uncertainty, margins, overlays: write these too.
        report: write index.html; default: for up to 200 images.
        series: for a DICOM folder with several series: ``all``, ``largest``, or a SeriesInstanceUID.
        shard: ``2/8`` for the second eighth of the images; other processes do the others, and the last one writes the tables.
        overwrite: redo what is already in `out`.
        batch_size, workers: images at a time, and threads that read them.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Returns:
        The predictions of these images; those that could not be used are in ``failures``.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, image folder or setting that cannot be used.
        FileExistsError: ``masks`` is there and was not written by this function.
    """
    from medseg_monai.bundle.paths import encoder_of, find_bundle, find_weights
    from medseg_monai.program.imports import import_timm, quick_imports
    from medseg_monai.program.process import IS_PROGRAM

    folder, overrides, paths = find_bundle(bundle), parsed(assignments), image_paths(images)
    check_there(*paths)
    chosen = [str(name) for name in listed(weights)]
    place = Path(out) if out is not None else _default_out()
    files: list[Path] = []
    if chosen or "weights" not in overrides:
        files = [find_weights(folder, name) for name in chosen or [""]]
    with quick_imports():
        from medseg_monai.api.running import run_config
    if IS_PROGRAM.get() and (encoders := {encoder for file in files if (encoder := encoder_of(file))}):
        import_timm(encoders)

    cleaning = {"cleaning#largest": largest, "cleaning#fill_holes": fill_holes, "cleaning#min_size": min_size}
    values = given(
        dataset_dir=paths,
        output_dir=str(place),
        weights=chosen[0] if chosen else None,
        ensemble=chosen[1:] if chosen else None,
        engine=engine or ("plain" if _are_few_photographs(paths) and "precision" not in overrides else None),
        tta=tta,
        formats=formats if formats is None or isinstance(formats, str) else list(formats),
        threshold=threshold,
        **cleaning,
        probabilities=probabilities,
        uncertainty=uncertainty,
        margins=margins,
        overlays=overlays,
        report=report,
        series=series,
        shard=shard,
        overwrite=overwrite,
        batch_size=batch_size,
        num_workers=workers,
        device=device,
    )
    return _predictions(run_config(folder, "inference", values, assignments=overrides, verbose=verbose))


def _are_few_photographs(images: Sequence[str]) -> bool:
    """Whether these are files of photographs, `FEW` at most; a folder's contents are not counted."""
    from medseg_monai.images.formats import SUFFIXES

    return len(images) <= FEW and all(Path(image).is_file() and image.lower().endswith(SUFFIXES) for image in images)


def _default_out() -> Path:
    """``masks``, unless `medseg predict` did not write the folder of that name: it may contain masks drawn by hand.

    Raises:
        FileExistsError: it did not.
    """
    from medseg_monai.files.writing import HIDDEN_FOLDER

    if DEFAULT_OUT.exists() and not (DEFAULT_OUT / HIDDEN_FOLDER).is_dir():
        raise FileExistsError(
            f"{DEFAULT_OUT}/ already exists and was not written by medseg predict: name another folder with --out"
        )
    return DEFAULT_OUT


def _predictions(done: Run) -> Predictions:
    from medseg_monai.dataset.cases import main_file
    from medseg_monai.outputs.joining import recorded_cases
    from medseg_monai.report.prediction import PAGE_FILE, read_predictions

    place, cases, writer = Path(done.part("output_dir")), done.part("cases"), done.part("writer")
    images = {str(case["id"]): Path(main_file(case["image"])) for case in cases}
    known = read_predictions(place) if writer.is_complete else recorded_cases(place, writer.shard.name)
    found = sorted((case for case in known if case.case in images), key=lambda case: case.urgency)
    return Predictions(
        place,
        tuple(found),
        images,
        done.part("spec"),
        Path(done.part("weights_file")),
        done.failures,
        earlier=len(cases) - len(done.part("dataset").data),
        weights_text=_weights_used(done),
        notes=done.notes,
        page=place / PAGE_FILE if writer.ends_with_page else None,
        shard="" if writer.shard.is_whole else str(writer.shard),
        is_complete=writer.is_complete,
    )


def _weights_used(done: Run) -> str:
    """The weights file, what it was trained on, and the other trainings if the user named none: shipped weights come first."""
    from medseg_monai.bundle.paths import other_trainings

    file, ensemble = Path(done.part("weights_file")), done.part("ensemble")
    used = f"{file}, trained on {done.part('spec').name}"
    if ensemble:
        return f"{used}; mean with {', '.join(map(str, ensemble))}"
    named = bool(done.part("weights"))
    others = [] if named else other_trainings(done.part("bundle_root"), file)
    return used + (f"; also there: {', '.join(f'--weights {name}' for name in others)}" if others else "")
