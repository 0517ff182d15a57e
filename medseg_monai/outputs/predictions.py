"""What prediction writes: masks in the formats asked for, probabilities, uncertainty, overlays; each file whole or not at all.

Files are written by threads while the network works on the next images, and never more than a few cases behind it.
"""

from __future__ import annotations

import io
import logging
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

from medseg_monai.dataset import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.drawing import overlay
from medseg_monai.files.writing import DiskFullError, write_whole
from medseg_monai.formats.dicom_seg import SUFFIX as DICOM_SEG_SUFFIX
from medseg_monai.formats.dicom_seg import write_dicom_seg
from medseg_monai.formats.geojson import SUFFIX as GEOJSON_SUFFIX
from medseg_monai.formats.geojson import write_geojson
from medseg_monai.images.masks import write_mask, write_png
from medseg_monai.images.photos import read_image
from medseg_monai.inference.inferer import scans_at_once
from medseg_monai.inference.scans import Scans, was_set_aside
from medseg_monai.outputs.finished import FinishedCases, unfinished
from medseg_monai.outputs.journal import Settings, made_with
from medseg_monai.outputs.naming import (
    MASK,
    VOLUMES,
    chosen_formats,
    named,
    output_files,
    overlay_file,
    probability_files,
    uncertainty_file,
)
from medseg_monai.outputs.pictures import picture_file, write_picture, write_volume_picture
from medseg_monai.outputs.tables import PREDICTIONS_COLUMNS, coco_of, pixels, prediction_rows, rle_rows
from medseg_monai.outputs.volumes import VolumeWriter

logger = logging.getLogger(__name__)

__all__ = ["WritePredictions", "made_with", "output_files", "unfinished"]

WRITERS = 2
"""Threads that write; of volumes one does, which share a table."""


class WritePredictions:
    """Ignite handler: write each case's outputs while the network goes on; tables at the end, also when the run breaks off.

    Expects decollated output with ``pred``, the mask on the image's own grid; ``probability`` and ``uncertainty_map`` where those are
    wanted; ``uncertainty``, ``flagged`` and ``reason`` where they are known.

    Args:
        folder: where to.
        spec: the data set.
        probabilities, overlays, uncertainty: write these too.
        formats: see `chosen_formats`.
        pictures: also make a small picture of each case, for the page (`medseg_monai.outputs.pictures`).
        made_with: the run's settings, by which later runs tell what is finished; the folder is then this process's until `finish`.

    A case that cannot be written (a name that is too long, a scan that a format cannot describe) is put aside like one that cannot be
    read, if the evaluator's data are `Scans`.

    Raises:
        FolderInUseError: another process writes to the folder.
        DiskFullError: from a later batch's call, or at the end; what was finished is kept.
        OSError, ValueError: what writing a file raised, at the end, if no `Scans` take note of it.
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
        pictures: bool = False,
        made_with: Settings | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.probabilities = probabilities
        self.overlays = overlays
        self.uncertainty = uncertainty
        self.formats = chosen_formats(formats, spec)
        self.pictures = pictures
        self.finished = FinishedCases(self.folder, spec, self.formats, made_with=made_with)
        self.tables = self.finished.tables
        self._writers = scans_at_once(spec, WRITERS)
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[tuple[Any, Future[list[Path]]]] = deque()
        self._scans: Scans | None = None
        self._error: Exception | None = None

    def unfinished(self, cases: Iterable[Mapping[str, Any]], *, overwrite: bool) -> list[Mapping[str, Any]]:
        """The cases that still lack something that this would write; all of them if `overwrite`."""
        return unfinished(
            cases,
            self.spec,
            self.folder,
            overwrite=overwrite,
            made_with=self.finished.made_with,
            formats=self.formats,
            probabilities=self.probabilities,
            uncertainty=self.uncertainty,
            overlays=self.overlays,
        )

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        scans = getattr(engine.data_loader, "dataset", None)
        self._scans = scans if isinstance(scans, Scans) else None
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._broken_off)

    def __call__(self, engine: Workflow) -> None:
        """Have the outputs of the batch just done written; waits for the oldest where too many are unwritten."""
        self._pool = self._pool or ThreadPoolExecutor(self._writers, thread_name_prefix="write-scan")
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            if was_set_aside(answer):
                continue
            while len(self._pending) >= 2 * self._writers:
                self._settle()
            if isinstance(self._error, DiskFullError):  # the next would meet the same
                raise self._error
            self._pending.append((case["id"], self._pool.submit(self.write, case, answer)))

    def _settle(self) -> None:
        """Wait for the oldest case, and take note if it could not be written."""
        case_id, future = self._pending.popleft()
        error = future.exception()
        if error is None:
            return
        if self._scans is not None and isinstance(error, Exception) and not isinstance(error, DiskFullError):
            self._scans.set_aside_by_id(case_id, error)
        elif self._error is None or isinstance(error, DiskFullError):
            self._error = error if isinstance(error, Exception) else RuntimeError(str(error))

    def _completed(self, engine: Workflow) -> None:
        self.finish()

    def _broken_off(self, engine: Workflow, error: BaseException) -> None:
        """Keep what was finished, then go on with the error."""
        with suppress(OSError, ValueError):  # the first error is the one that says what happened
            self.finish()
        if self._scans is not None:
            with suppress(OSError):
                self._scans.write_failures(self.folder)
        raise error

    def finish(self) -> None:
        """Wait until everything is written, and write the tables; the first error that a writer met is raised after that."""
        while self._pending:
            self._settle()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        error, self._error = self._error, None
        try:
            self.finished.save()
        except OSError:
            if error is None:
                raise
        if error is not None:
            raise error

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        """Write one case's files and return them. The mask comes last: where it is, everything is."""
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files = self._write_volume(case, answer) if self.spec.spatial_dims == 3 else self._write_picture(case, answer)
        if self.pictures:
            self._write_small_picture(case, mask)
        number = answer.get("uncertainty")
        self.tables["predictions"].entries[case["id"]] = prediction_rows(
            case["id"],
            mask,
            self.spec,
            uncertainty=None if number is None else float(number),
            flagged=answer.get("flagged"),
            reason=answer.get("reason", ""),
        )
        self.finished.add(case["id"], _image_of(case), files)
        return files

    def _write_small_picture(self, case: Mapping[str, Any], mask: NDArray[np.uint8]) -> None:
        try:
            if self.spec.spatial_dims == 3:
                write_volume_picture(self.folder, case["id"], case["image_meta_dict"], mask, self.spec)
            else:
                write_picture(self.folder, case["id"], _image_of(case), mask, self.spec)
        except (OSError, ValueError) as error:  # the masks are what counts: the page goes without
            logger.debug("%s: no picture for the page: %s", case["id"], error)

    def _write_volume(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        files: list[Path] = []
        if "dicomseg" in self.formats:
            stem = self.folder / case["id"]
            mask = answer["pred"].cpu().numpy()
            image = _image_of(case)
            files.append(write_dicom_seg(mask, image, named(stem, MASK, DICOM_SEG_SUFFIX), self.spec))
        for number, ending in enumerate(VOLUMES.endings(self.formats, _image_of(case))):
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
        image = _image_of(case)
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.probabilities:
            maps = _levels(answer["probability"])[-len(self.spec.classes) :]
            files += [
                write_png(level, file) for level, file in zip(maps, probability_files(stem, self.spec), strict=True)
            ]
        if self.uncertainty:
            files.append(write_png(_levels(answer["uncertainty_map"])[0], uncertainty_file(stem, self.spec)))
        if self.overlays:
            files.append(self._write_overlay(image, mask, overlay_file(stem)))
        files += self._write_formats(case["id"], mask)
        # last: what cannot be written stands in no table
        for name, entry in self._entries(case["id"], mask, image).items():
            self.tables[name].entries[case["id"]] = entry
        return files

    def _write_formats(self, case_id: str, mask: NDArray[np.uint8]) -> list[Path]:
        """A picture's mask in each of the formats that are a file of its own."""
        stem = self.folder / case_id
        files: list[Path] = []
        if "geojson" in self.formats:
            files.append(write_geojson(mask, named(stem, MASK, GEOJSON_SUFFIX), self.spec))
        if "png" in self.formats:
            files += write_mask(mask, named(stem, MASK, ".png"), self.spec)
        return files

    def _entries(self, case_id: str, mask: NDArray[np.uint8], image: str) -> dict[str, Any]:
        """A picture's mask in the formats that are one file for all, by table."""
        entries: dict[str, Any] = {}
        if "rle" in self.formats:
            entries["rle"] = rle_rows(case_id, mask, self.spec)
        if "coco" in self.formats:
            entries["coco"] = coco_of(mask, self.spec, image)
        return entries

    def rewrite(self, case_id: str, mask: NDArray[np.uint8], image: str) -> None:
        """Put a mask that was changed after it was written wherever the old one is; the tables are written by `finish`.

        Args:
            case_id: of a picture that was predicted before.
            mask: the new one, as ``pred``.
            image: the picture's file.
        """
        place = PREDICTIONS_COLUMNS.index("pixels")
        rows = self.finished.entry(case_id, "predictions") or []
        counts = pixels(mask, self.spec)
        changed: dict[str, Any] = self._entries(case_id, mask, image)
        if rows:
            changed["predictions"] = [
                [*row[:place], count, *row[place + 1 :]] for row, count in zip(rows, counts, strict=False)
            ]
        self.finished.update(case_id, changed)
        drawn = overlay_file(self.folder / case_id)
        if drawn.is_file():
            self._write_overlay(image, mask, drawn)
        if picture_file(self.folder, case_id).is_file():
            write_picture(self.folder, case_id, image, mask, self.spec)
        self._write_formats(case_id, mask)

    def _write_overlay(self, image: str, mask: NDArray[np.uint8], file: Path) -> Path:
        """The image with the outline of each class, as a JPEG of the image's own size."""
        # one file as a picture, whatever it is a channel of
        picture = overlay(read_image(image, 3), class_masks(mask, len(self.spec.classes)))
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="JPEG", quality=90)
        write_whole(file, content.getvalue())
        return file


def _image_of(case: Mapping[str, Any]) -> str:
    """The picture or volume that a loaded case came from."""
    return str(case.get("image_meta_dict", {}).get("filename_or_obj", ""))


def _levels(maps: Any) -> NDArray[np.uint8]:
    """Maps of 0..1 as 8-bit grey."""
    values: NDArray[np.float32] = maps.float().cpu().numpy()
    return np.rint(values * 255).astype(np.uint8)
