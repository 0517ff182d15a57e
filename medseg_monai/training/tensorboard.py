"""A training in TensorBoard: one log for curves and pictures, and a fixed panel of validation cases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures.cases import CaseView
from medseg_monai.figures.drawing import Picture
from medseg_monai.report.case_pictures import case_tiles
from medseg_monai.training.folder import files_of
from medseg_monai.transforms.intensity import mean_and_std

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

TAG = "validation/cases"
TILE_SIDE = 224  # pixels of a picture in the panel
GAP = 4


class EventLog:
    """A TensorBoard log whose file is opened at the first write, in the current folder of the training's files.

    Until an epoch has been validated that is a hidden folder (`medseg_monai.training.folder`); once the log has moved from there, a
    second file is started beside the first, and TensorBoard reads both as one. If the log cannot be written, there is a warning and
    the training goes on without it. MONAI's handlers accept it as their ``summary_writer``.

    Args:
        folder: the log's folder, inside the training's.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: SummaryWriter | None = None
        self._written_to: Path | None = None
        self._given_up = False

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point to a curve."""
        self._write(lambda writer: writer.add_scalar(tag, value, step))

    def add_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Add a picture (H, W, 3)."""
        self._write(lambda writer: writer.add_image(tag, picture, step, dataformats="HWC"))

    def flush(self) -> None:
        """Flush what was written so far, so that readers see it."""
        if self._writer is not None:
            self._write(lambda writer: writer.flush())

    def _write(self, what: Callable[[SummaryWriter], object]) -> None:
        if self._given_up:
            return
        try:
            what(self._opened())
        except OSError as error:  # raised in the writer's own thread and reported with the next call
            self._given_up = True
            logger.warning("no TensorBoard log from here on: %s", error)

    def _opened(self) -> SummaryWriter:
        """The writer for the log's current folder."""
        place = files_of(self.folder.parent) / self.folder.name
        if self._writer is None or self._written_to != place:
            from torch.utils.tensorboard import SummaryWriter

            with suppress(OSError):  # everything flushed has moved with the folder
                if self._writer is not None:
                    self._writer.close()
            self._writer, self._written_to = SummaryWriter(str(place)), place
        return self._writer


class ValidationPanel:
    """Ignite handler: the same few validation cases every n epochs: image, prediction with truth, differences.

    It uses what validation computes anyway, so it costs only the drawing. Attach to the validation's evaluator, whose batches
    come in the same order each time.

    Args:
        log: log for the picture.
        spec: the data set.
        count: number of validation cases.
        interval: epochs between two panels, the first after the first validation; 0 for none.
        shown: number of cases, evenly spaced through all.
    """

    def __init__(self, log: EventLog, *, spec: DatasetSpec, count: int, interval: int = 5, shown: int = 4) -> None:
        self.log = log
        self.spec = spec
        self.interval = interval
        self.wanted = {int(index) for index in np.linspace(0, count - 1, min(shown, count)).round()} if count else set()
        self._next_epoch = 0
        self._position = 0
        self._rows: list[Picture] = []

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        if self.interval > 0:
            engine.add_event_handler(Events.STARTED, self._begin)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._look)
            engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Workflow) -> None:
        self._position = 0
        self._rows.clear()

    def _look(self, engine: Workflow) -> None:
        for output in engine.state.output:
            if engine.state.epoch >= self._next_epoch and self._position in self.wanted:
                view = as_view(output["image"], output["pred"], output["label"], self.spec)
                self._rows.append(row_of_tiles(view))
            self._position += 1

    def _write(self, engine: Workflow) -> None:
        if self._rows:
            self.log.add_picture(TAG, stacked(self._rows), engine.state.epoch)
            self.log.flush()
            self._next_epoch = engine.state.epoch + self.interval
            self._rows.clear()


def as_view(image: Tensor, pred: Tensor, label: Tensor, spec: DatasetSpec) -> CaseView:
    """A case from validation, with the image's values before normalisation.

    Args:
        image: (C, *s), normalised.
        pred: (K, *S) of {0, 1}.
        label: likewise.
        spec: the data set.
    """
    values = image.detach().float().cpu()
    if values.shape[1:] != pred.shape[1:]:  # validated on the image's own grid
        values = torch.nn.functional.interpolate(values[None], size=pred.shape[1:], mode="nearest-exact")[0]
    array: NDArray[Any] = values.numpy()
    if spec.intensity.kind != "zscore":
        mean, std = (each.reshape(-1, *[1] * (array.ndim - 1)) for each in mean_and_std(spec.intensity, len(array)))
        array = np.clip((array * std + mean) * 255, 0, 255).round().astype(np.uint8)
    found, truth = (each.detach().cpu().numpy() > 0 for each in (pred, label))
    return CaseView(array, found, truth, colour=spec.channels == ("red", "green", "blue"))


def row_of_tiles(view: CaseView) -> Picture:
    """The three pictures of a case side by side."""
    tiles = case_tiles(view, longest=TILE_SIDE)
    gap = np.full((tiles[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([tiles[0], gap, tiles[1], gap, tiles[2]], axis=1)


def stacked(rows: Sequence[Picture]) -> Picture:
    """Rows stacked vertically, the narrower ones padded with white."""
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    panel: Picture = np.concatenate(filled)[:-GAP]
    return panel
