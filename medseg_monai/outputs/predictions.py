"""What prediction writes: masks in the formats asked for, probabilities, uncertainty, overlays; each file whole or not at all.

Files are written by threads while the network works on the next images, and never more than a few cases behind it.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.cases import main_file
from medseg_monai.dataset import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.drawing import overlay
from medseg_monai.files import write_whole
from medseg_monai.formats.dicom_seg import SUFFIX as DICOM_SEG_SUFFIX
from medseg_monai.formats.dicom_seg import write_dicom_seg
from medseg_monai.formats.geojson import SUFFIX as GEOJSON_SUFFIX
from medseg_monai.formats.geojson import write_geojson
from medseg_monai.images.masks import class_file, mask_files, write_mask, write_png
from medseg_monai.images.photos import read_image
from medseg_monai.outputs.tables import (
    PREDICTIONS_COLUMNS,
    RunTable,
    coco_of,
    coco_table,
    pixels,
    prediction_rows,
    predictions_table,
    rle_rows,
    rle_table,
)
from medseg_monai.outputs.volumes import VolumeWriter, volume_files
from medseg_monai.spec import did_you_mean
from medseg_monai.tuning.review import Review

MASK, PROBABILITY, OVERLAY, UNCERTAINTY = "_mask", "_probability", "_overlay", "_uncertainty"
PICTURE_FORMATS = ("png", "geojson", "coco", "rle")
VOLUME_FORMATS = {"nifti": ".nii.gz", "nrrd": ".seg.nrrd", "mha": ".mha", "dicomseg": DICOM_SEG_SUFFIX}
"""Format -> how its files end."""
WRITERS = 2
"""Threads that write; of volumes one does, which share a table."""


def chosen_formats(formats: str | Sequence[str] | None, spec: DatasetSpec) -> tuple[str, ...]:
    """The formats of masks, checked; () for volumes in the scan's own format, which is the default there.

    Args:
        formats: names, also as one text with commas; none for the default, PNG for photographs.
        spec: the data set: photographs and volumes have formats of their own.

    Raises:
        ValueError: a format that is unknown or for the other kind of image.

    >>> spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    >>> chosen_formats("png,geojson", spec)
    ('png', 'geojson')
    """
    names = formats.split(",") if isinstance(formats, str) else list(formats or [])
    wanted = [name.strip().lower() for name in names if name.strip()]
    known = tuple(VOLUME_FORMATS) if spec.spatial_dims == 3 else PICTURE_FORMATS
    for name in wanted:
        if name not in known:
            kind = "volumes" if spec.spatial_dims == 3 else "photographs"
            raise ValueError(f"no format {name!r} for masks of {kind}{did_you_mean(name, known)}")
    return tuple(dict.fromkeys(wanted)) or (() if spec.spatial_dims == 3 else ("png",))


def output_files(
    case_id: str,
    spec: DatasetSpec,
    folder: str | Path,
    *,
    image: str = "",
    probabilities: bool = False,
    overlays: bool = False,
    uncertainty: bool = False,
    formats: str | Sequence[str] | None = None,
) -> list[Path]:
    """The files of a case's own that its prediction consists of.

    ``<id>_mask.png``, or ``<id>_mask_<class>.png`` for each of several overlapping classes; ``<id>_mask.geojson``;
    ``<id>_probability.png``, one per foreground class where there are several; ``<id>_uncertainty.png``; ``<id>_overlay.jpg``. Of
    volumes, `volume_outputs.volume_files`, whose format depends on that of the `image`, and ``<id>_mask.dcm``.

    Raises:
        ValueError: the id leads out of ``folder``, or a format is none.
    """
    stem = Path(folder) / case_id
    if not stem.resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"case id {case_id!r} leads out of the output folder {folder}")
    wanted = chosen_formats(formats, spec)
    if spec.spatial_dims == 3:
        return _volume_files(
            stem, spec, image, wanted, probabilities=probabilities, overlays=overlays, uncertainty=uncertainty
        )
    files = mask_files(_named(stem, MASK, ".png"), spec) if "png" in wanted else []
    files += [_named(stem, MASK, GEOJSON_SUFFIX)] if "geojson" in wanted else []
    files += probability_files(stem, spec) if probabilities else []
    files += [_named(stem, UNCERTAINTY, ".png")] if uncertainty else []
    return files + ([overlay_file(stem)] if overlays else [])


def _volume_files(
    stem: Path,
    spec: DatasetSpec,
    image: str,
    formats: Sequence[str],
    *,
    probabilities: bool,
    overlays: bool,
    uncertainty: bool,
) -> list[Path]:
    files: list[Path] = []
    for ending in _endings(formats):
        files += volume_files(
            stem,
            spec,
            image,
            probabilities=probabilities,
            overlays=overlays,
            uncertainty=uncertainty,
            ending=ending,
        )
    if "dicomseg" in formats:
        files.append(_named(stem, MASK, DICOM_SEG_SUFFIX))
    return list(dict.fromkeys(files))


def _endings(formats: Sequence[str]) -> list[str | None]:
    """Of label maps; None for the scan's own format, where none or only DICOM-SEG beside it was asked for."""
    return [VOLUME_FORMATS[name] for name in formats if name != "dicomseg"] or [None]


def _named(stem: Path, what: str, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}{what}{suffix}")


def probability_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """One 8-bit PNG per foreground class; without the class in its name where there is only one."""
    file = _named(stem, PROBABILITY, ".png")
    return [file] if len(spec.classes) == 1 else [class_file(file, name) for name in spec.classes]


def overlay_file(stem: Path) -> Path:
    """The picture with outlines."""
    return _named(stem, OVERLAY, ".jpg")


def unfinished(
    cases: Iterable[Mapping[str, Any]], spec: DatasetSpec, folder: str | Path, *, overwrite: bool, **wanted: Any
) -> list[Mapping[str, Any]]:
    """The cases that still lack a file of their output, or a place in a table that was asked for; all of them if ``overwrite``.

    ``wanted`` is what `output_files` takes.
    """
    tables = _tables(Path(folder), spec, chosen_formats(wanted.get("formats"), spec))
    listed = [table.entries for name, table in tables.items() if name != "predictions"]
    return [
        case
        for case in cases
        if overwrite
        or not all(case["id"] in entries for entries in listed)
        or not all(
            file.is_file()
            for file in output_files(case["id"], spec, folder, image=main_file(case.get("image", "")), **wanted)
        )
    ]


def _tables(folder: Path, spec: DatasetSpec, formats: Sequence[str]) -> dict[str, RunTable]:
    """The files that a run keeps for all its cases."""
    tables = {"predictions": predictions_table(folder)}
    if "rle" in formats:
        tables["rle"] = rle_table(folder)
    if "coco" in formats:
        tables["coco"] = coco_table(folder, spec)
    return tables


class WritePredictions:
    """Ignite handler: write each case's outputs while the network goes on; tables at the end, also when the run breaks off.

    Expects decollated output with ``pred``, the mask on the image's own grid; ``probability`` and ``uncertainty_map`` where those are
    wanted; ``uncertainty`` where it is known.

    Args:
        folder: where to.
        spec: the data set.
        probabilities, overlays, uncertainty: write these too.
        formats: see `chosen_formats`.
        review: which cases to flag in predictions.csv.

    Raises:
        OSError, ValueError: what writing a file raised; from a later batch's call, or at the end.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        spec: DatasetSpec,
        probabilities: bool = False,
        overlays: bool = False,
        uncertainty: bool = False,
        formats: str | Sequence[str] | None = None,
        review: Review | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.probabilities = probabilities
        self.overlays = overlays
        self.uncertainty = uncertainty
        self.formats = chosen_formats(formats, spec)
        self.review = review
        self.tables = _tables(self.folder, spec, self.formats)
        self._writers = 1 if spec.spatial_dims == 3 else WRITERS
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future[list[Path]]] = deque()

    def unfinished(self, cases: Iterable[Mapping[str, Any]], *, overwrite: bool) -> list[Mapping[str, Any]]:
        """The cases that still lack something that this would write; all of them if `overwrite`."""
        return unfinished(
            cases,
            self.spec,
            self.folder,
            overwrite=overwrite,
            formats=self.formats,
            probabilities=self.probabilities,
            uncertainty=self.uncertainty,
            overlays=self.overlays,
        )

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._broken_off)

    def __call__(self, engine: Workflow) -> None:
        """Have the outputs of the batch just done written; waits for the oldest where too many are unwritten."""
        self._pool = self._pool or ThreadPoolExecutor(self._writers, thread_name_prefix="write-scan")
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            while len(self._pending) >= 2 * self._writers:
                self._pending.popleft().result()
            self._pending.append(self._pool.submit(self.write, case, answer))

    def _completed(self, engine: Workflow) -> None:
        self.finish()

    def _broken_off(self, engine: Workflow, error: BaseException) -> None:
        """Keep what was finished, then go on with the error."""
        with suppress(OSError, ValueError):  # the first error is the one that says what happened
            self.finish()
        raise error

    def finish(self) -> None:
        """Wait until everything is written, and write the tables; the first error that a writer met is raised after that."""
        pending, self._pending = list(self._pending), deque()
        errors = [error for future in pending if (error := future.exception()) is not None]
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        for table in self.tables.values():
            table.save()
        if errors:
            raise errors[0]

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        """Write one case's files and return them. The mask comes last: where it is, everything is."""
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files = self._write_volume(case, answer) if self.spec.spatial_dims == 3 else self._write_picture(case, answer)
        number = answer.get("uncertainty")
        self.tables["predictions"].entries[case["id"]] = prediction_rows(
            case["id"], mask, self.spec, uncertainty=None if number is None else float(number), review=self.review
        )
        return files

    def _write_volume(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        files: list[Path] = []
        if "dicomseg" in self.formats:
            stem = self.folder / case["id"]
            mask = answer["pred"].cpu().numpy()
            image = str(case["image_meta_dict"]["filename_or_obj"])
            files.append(write_dicom_seg(mask, image, _named(stem, MASK, DICOM_SEG_SUFFIX), self.spec))
        for number, ending in enumerate(_endings(self.formats)):
            first = number == 0
            writer = VolumeWriter(
                self.folder,
                spec=self.spec,
                probabilities=self.probabilities and first,
                overlays=self.overlays and first,
                uncertainty=self.uncertainty and first,
                ending=ending,
            )
            files += writer.write(case, answer)
        return files

    def _write_picture(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        stem = self.folder / case["id"]
        image = str(case.get("image_meta_dict", {}).get("filename_or_obj", ""))
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.probabilities:
            maps = _levels(answer["probability"])[-len(self.spec.classes) :]
            files += [
                write_png(level, file) for level, file in zip(maps, probability_files(stem, self.spec), strict=True)
            ]
        if self.uncertainty:
            files.append(write_png(_levels(answer["uncertainty_map"])[0], _named(stem, UNCERTAINTY, ".png")))
        if self.overlays:
            files.append(self._write_overlay(image, mask, overlay_file(stem)))
        return files + self._write_formats(case["id"], mask, image)

    def _write_formats(self, case_id: str, mask: NDArray[np.uint8], image: str) -> list[Path]:
        """A picture's mask in each of the formats."""
        stem = self.folder / case_id
        files: list[Path] = []
        if "rle" in self.formats:
            self.tables["rle"].entries[case_id] = rle_rows(case_id, mask, self.spec)
        if "coco" in self.formats:
            self.tables["coco"].entries[case_id] = coco_of(mask, self.spec, image)
        if "geojson" in self.formats:
            files.append(write_geojson(mask, _named(stem, MASK, GEOJSON_SUFFIX), self.spec))
        if "png" in self.formats:
            files += write_mask(mask, _named(stem, MASK, ".png"), self.spec)
        return files

    def rewrite(self, case_id: str, mask: NDArray[np.uint8], image: str) -> None:
        """Put a mask that was changed after it was written wherever the old one is; the tables are written by `finish`.

        Args:
            case_id: of a picture that was predicted before.
            mask: the new one, as ``pred``.
            image: the picture's file.
        """
        for row, count in zip(
            self.tables["predictions"].entries.get(case_id, []), pixels(mask, self.spec), strict=False
        ):
            row[PREDICTIONS_COLUMNS.index("pixels")] = count
        drawn = overlay_file(self.folder / case_id)
        if drawn.is_file():
            self._write_overlay(image, mask, drawn)
        self._write_formats(case_id, mask, image)

    def _write_overlay(self, image: str, mask: NDArray[np.uint8], file: Path) -> Path:
        """The image with the outline of each class, as a JPEG of the image's own size."""
        # one file as a picture, whatever it is a channel of
        picture = overlay(read_image(image, 3), class_masks(mask, len(self.spec.classes)))
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="JPEG", quality=90)
        write_whole(file, content.getvalue())
        return file


def _levels(maps: Any) -> NDArray[np.uint8]:
    """Maps of 0..1 as 8-bit grey."""
    values: NDArray[np.float32] = maps.float().cpu().numpy()
    return np.rint(values * 255).astype(np.uint8)
