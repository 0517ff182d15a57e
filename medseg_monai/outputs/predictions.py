"""The outputs of a prediction: masks in the requested formats, probabilities, uncertainty, overlays; each file whole or not at all.

Files are written by threads while the network works on the next images, never more than a few cases behind it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow
from numpy.typing import NDArray

from medseg_monai.dataset import DatasetSpec
from medseg_monai.engines.streams import threads_on_cores
from medseg_monai.files.writing import DiskFullError
from medseg_monai.inference.cases import UNUSABLE, CaseStream, was_set_aside
from medseg_monai.inference.inferer import cases_at_once
from medseg_monai.inference.shards import Shard
from medseg_monai.outputs.finished import FinishedCases, unfinished
from medseg_monai.outputs.journal import Settings, made_with
from medseg_monai.outputs.naming import Wanted, chosen_formats, image_of, output_files
from medseg_monai.outputs.onlookers import has_onlookers
from medseg_monai.outputs.photos import PhotoWriter
from medseg_monai.outputs.tables import PREDICTIONS_COLUMNS, pixels, prediction_rows
from medseg_monai.outputs.volumes import VolumeWriter
from medseg_monai.quality.conformal import Margins

logger = logging.getLogger(__name__)

__all__ = ["WritePredictions", "made_with", "output_files", "unfinished"]

WRITERS: Mapping[int, type[PhotoWriter | VolumeWriter]] = {2: PhotoWriter, 3: VolumeWriter}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""
THREADS = 2
"""That finish and write cases; of volumes one does, which share a table."""

Transform = Callable[[dict[str, Any]], dict[str, Any]]


class _DefectError(Exception):
    """What happened after the network is no fault of an image; its cause is what happened."""


def _itself(error: Exception) -> BaseException:
    """A defect as it happened; other errors as they are."""
    return error.__cause__ or error if isinstance(error, _DefectError) else error


class WritePredictions:
    """Ignite handler: write each case's outputs while the network goes on; tables at the end, even if the run is interrupted.

    Expects decollated output with ``pred``, the mask on the image's own grid; ``probability`` and ``uncertainty_map`` where those are
    wanted; ``uncertainty``, ``predicted_dice``, ``flagged``, ``reason`` and ``margin_levels`` if they are known.

    Args:
        folder: output folder.
        spec: the data set.
        probabilities, overlays, uncertainty: write these too.
        formats: see `chosen_formats`.
        margins: write the outer and the inner mask of each class; ``probability`` must be there, calibrated.
        pictures: also make a small picture of each case, for the page (`medseg_monai.outputs.pictures`).
        made_with: the run's settings, by which later runs tell what is finished; the folder is then this process's until `finish`.
        shard: the shard of the cases that this process does; other processes may write other shards to the folder.

    Attributes:
        is_complete: whether all cases of the run are done, so that what is made of all of them can follow.

    A case that cannot be written (a name that is too long, a scan that a format cannot describe) is recorded as failed, like an unreadable
    one, if the evaluator's data are a `CaseStream`.

    Raises:
        FolderInUseError: another process is writing to the folder.
        DiskFullError: from a later batch's call, or at the end; what was finished is kept.
        OSError, ValueError: raised by writing a file, at the end, if no `CaseStream` records it.
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
        margins: Margins | None = None,
        pictures: bool = False,
        made_with: Settings | None = None,
        shard: Shard | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.shard = shard or Shard()
        self.is_complete = self.shard.is_whole
        self.spec = spec
        self.wanted = Wanted(chosen_formats(formats, spec), probabilities, overlays, uncertainty, margins)
        self.pictures = pictures
        self.finished = FinishedCases(
            self.folder, spec, self.wanted.formats, made_with=made_with, shard=self.shard.name
        )
        self.tables = self.finished.tables
        self._writer = WRITERS[spec.spatial_dims](self.folder, spec, self.wanted)
        self._writers = cases_at_once(spec, THREADS)
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[tuple[Any, Future[list[Path]]]] = deque()
        self._stream: CaseStream | None = None
        self._is_alone = False
        self._error: Exception | None = None

    def unfinished(self, cases: Sequence[Mapping[str, Any]], *, overwrite: bool) -> Sequence[Mapping[str, Any]]:
        """The cases that still lack something that this would write; all of them if `overwrite`."""
        return unfinished(
            cases,
            self.spec,
            self.folder,
            overwrite=overwrite,
            made_with=self.finished.made_with,
            shard=self.shard.name,
            formats=self.wanted.formats,
            probabilities=self.wanted.probabilities,
            uncertainty=self.wanted.uncertainty,
            margins=self.wanted.margins is not None,
            overlays=self.wanted.overlays,
        )

    @property
    def ends_with_page(self) -> bool:
        """Whether the page can follow, and is wanted."""
        return self.pictures and self.is_complete

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        stream = getattr(engine.data_loader, "dataset", None)
        self._stream = stream if isinstance(stream, CaseStream) else None
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._broken_off)

    def later(self, stream: CaseStream, transform: Transform) -> Transform:
        """The transform after the network, for the evaluator, of photographs in the threads that write, while the network goes on.

        ``pred`` is then what computes it, until the case is written. Volumes are finished one by one: two at once may be too large. And
        so are photographs if something else looks at what the evaluator passes on, a user's metric or handler: it gets tensors.

        Args:
            stream: where a case is recorded for which the transform fails.
            transform: from logits on the network's grid to a mask on the image's own.
        """
        if self._writers == 1:
            return stream.guarded(transform)
        at_once = stream.guarded(transform)
        return lambda case: {**case, "pred": partial(transform, case)} if self._is_alone else at_once(case)

    def _begin(self, engine: Workflow) -> None:
        self._is_alone = not has_onlookers(engine, self)

    def __call__(self, engine: Workflow) -> None:
        """Have the outputs of the finished batch written; waits for the oldest if too many are unwritten."""
        self._pool = self._pool or threads_on_cores(self._writers, 1, "write-case")
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            if was_set_aside(answer):
                continue
            while len(self._pending) >= 2 * self._writers:
                self._settle()
            if isinstance(self._error, DiskFullError | _DefectError):  # the next case would fail too
                raise _itself(self._error)
            finish = answer["pred"] if callable(answer["pred"]) else None
            work = partial(self.write, case, answer) if finish is None else partial(self._finish_and_write, finish)
            self._pending.append((case["id"], self._pool.submit(work)))

    def _finish_and_write(self, finish: Callable[[], dict[str, Any]]) -> list[Path]:
        try:
            case = finish()
        except UNUSABLE:
            raise
        except Exception as error:  # no fault of the image: it is not hidden
            raise _DefectError from error
        return self.write(case, case)

    def _settle(self) -> None:
        """Wait for the oldest case, and record it as failed if it could not be written."""
        case_id, future = self._pending.popleft()
        error = future.exception()
        if error is None:
            return
        ends_it = not isinstance(error, Exception) or isinstance(error, DiskFullError | _DefectError)
        if self._stream is not None and not ends_it:
            self._stream.set_aside_by_id(case_id, error)
        elif self._error is None or isinstance(error, DiskFullError):
            self._error = error if isinstance(error, Exception) else RuntimeError(str(error))

    def _completed(self, engine: Workflow) -> None:
        self.finish()

    def _broken_off(self, engine: Workflow, error: BaseException) -> None:
        """Keep what was finished, then let the error continue."""
        with suppress(OSError, ValueError):  # the first error is the one that explains what happened
            self.finish()
        if self._stream is not None:
            with suppress(OSError):
                self._stream.write_failures(self.folder)
        raise error

    def finish(self) -> None:
        """Wait until everything is written, and write the tables; then raise the first error of a writer, if any."""
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
            raise _itself(error)

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        """Write one case's files and return them. The mask comes last: where it is, everything is."""
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        written = self._writer.write(case, answer)
        if self.pictures:
            try:
                self._writer.draw_small(case, answer)
            except (OSError, ValueError) as error:  # the masks are what counts: the page goes without
                logger.debug("%s: no picture for the page: %s", case["id"], error)
        # last: a case that cannot be written is in no table
        for name, entry in written.entries.items():
            self.tables[name].entries[case["id"]] = entry
        number = answer.get("uncertainty")
        self.tables["predictions"].entries[case["id"]] = prediction_rows(
            case["id"],
            mask,
            self.spec,
            uncertainty=None if number is None else float(number),
            flagged=answer.get("flagged"),
            reason=answer.get("reason", ""),
            predicted_dice=answer.get("predicted_dice"),
        )
        self.finished.add(case["id"], image_of(case), written.files)
        return written.files

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
        photos = PhotoWriter(self.folder, self.spec, self.wanted)
        changed: dict[str, Any] = photos.entries(case_id, mask, image)
        if rows:
            changed["predictions"] = [
                [*row[:place], count, *row[place + 1 :]] for row, count in zip(rows, counts, strict=False)
            ]
        self.finished.update(case_id, changed)
        photos.rewrite(case_id, mask, image)
