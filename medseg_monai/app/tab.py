"""One tab of the browser: its files, its cases, runs over them that can be stopped, scores. Nothing here draws the page."""

from __future__ import annotations

import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.app.layers import thumbnail_jpeg
from medseg_monai.app.maps import METHODS, Map, explained_map, map_names, network_map
from medseg_monai.app.network import Choice, in_turn, predictor
from medseg_monai.app.opened import Opened
from medseg_monai.app.received import IMAGES, Received, free_path
from medseg_monai.app.scoring import Scoring, score
from medseg_monai.app.views import Place, View, index_at, view_of
from medseg_monai.clicks import Click
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures.drawing import as_picture
from medseg_monai.grids.kinds import kind_of
from medseg_monai.images.photos import read_image
from medseg_monai.inference.cases import UNUSABLE, find_cases
from medseg_monai.outputs.naming import file_rules
from medseg_monai.predictor import Prediction
from medseg_monai.program.console import listening

KEPT_PREDICTIONS = 4
"""Whose probabilities stay in memory; those of others are computed again when they are looked at."""


@dataclass
class Progress:
    """How far a run is."""

    done: int = 0
    count: int = 0
    began: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    def text(self) -> str:
        """For people.

        >>> Progress(done=1, count=3, began=time.monotonic() - 10).text()
        '1 of 3, about 20 s left'
        """
        if not self.done:
            return f"0 of {self.count}: loading the network"
        left = (time.monotonic() - self.began) / self.done * (self.count - self.done)
        return f"{self.done} of {self.count}" + (f", about {left:.0f} s left" if self.done < self.count else "")


class Tab:
    """What one tab works on.

    Attributes:
        closed: whether it is gone; what still runs for it ends soon.
        key: secret part of the addresses of its pictures.
        received: its files.
        cases: by id.
        progress: of the run in progress; None if there is none.
        choice: the weights of the last run.
        notes: files that the last run skipped.
        beside: other weights, whose masks are shown beside those of `choice`.
        scorings: against true masks, the last one at the end.
    """

    def __init__(self) -> None:
        self.closed = False
        self.key = secrets.token_urlsafe(16)
        self.received = Received()
        self.cases: dict[str, Opened] = {}
        self.progress: Progress | None = None
        self.choice: Choice | None = None
        self.notes: list[str] = []
        self.beside: Choice | None = None
        self.scorings: list[Scoring] = []
        self._thumbnails: dict[str, bytes] = {}
        self._predictions: OrderedDict[tuple[str, Choice], Prediction] = OrderedDict()
        self._view: tuple[str, View] | None = None
        self._explained: tuple[str, str, Map] | None = None

    def close(self) -> None:
        """The tab is gone: stop, and remove its files."""
        self.closed = True
        if self.progress is not None:
            self.progress.cancelled = True
        for scoring in self.scorings:
            scoring.job.stop()
        self.received.close(after=[scoring.job.wait for scoring in self.scorings])

    def sorted(self) -> list[Opened]:
        """The cases, those first that a person should look at first."""
        return sorted(self.cases.values(), key=lambda case: case.order)

    def find(self, spec: DatasetSpec) -> int:
        """Look for the cases of a kind among the files; those that are there stay. How many are new.

        Raises:
            ValueError: there is none.
        """
        before, place = len(self.cases), self.received.folder / IMAGES
        with listening(verbose=False) as messages:
            found = find_cases(place, spec=spec, series="all")
        self.notes = [message.replace(str(place), "what was dropped") for message in messages]
        for case in found:
            self.cases.setdefault(case["id"], Opened(case["id"], Path(case["image"])))
        return len(self.cases) - before

    async def segment(self, choice: Choice, say: Callable[[], None]) -> None:
        """Run a network over all cases; each is there as soon as it is done.

        Args:
            choice: bundle and weights.
            say: called after each case.

        Raises:
            FileNotFoundError, ValueError: the weights cannot be loaded, or there are no images for them.
        """
        self.progress = Progress()
        say()
        try:
            self.find((await in_turn(partial(predictor, choice))).spec)
            self.choice = choice
            self.progress = Progress(count=len(self.cases))
            for case in list(self.cases.values()):
                if self.progress.cancelled:
                    break
                await in_turn(partial(self._segment_one, case, choice))
                self.progress.done += 1
                say()
        finally:
            self.progress = None
            say()

    def _segment_one(self, case: Opened, choice: Choice) -> None:
        try:
            case.set_prediction(self.predict(case, choice))
            self._thumbnails.pop(case.id, None)
        except UNUSABLE as error:
            said = " ".join(str(error).split()) or type(error).__name__
            case.failure = said.replace(f"{self.received.folder / IMAGES}{os.sep}", "")

    def predict(self, case: Opened, choice: Choice) -> Prediction:
        """The network's answer with probabilities, made again if it is not in memory. Call it in the network's thread."""
        key = case.id, choice
        if key not in self._predictions:
            self._predictions[key] = predictor(choice)(case.path)
            while len(self._predictions) > KEPT_PREDICTIONS:
                self._predictions.popitem(last=False)
        self._predictions.move_to_end(key)
        return self._predictions[key]

    async def compare(self, case: Opened) -> Prediction | None:
        """What the other weights find in a case; None if none are chosen, or they are for other images.

        Raises:
            OSError, ValueError: the weights cannot be loaded.
        """
        other = self.beside
        if other is None or case.prediction is None:
            return None
        theirs = (await in_turn(partial(predictor, other))).spec
        if kind_of(theirs) is not case.prediction.grid.kind:
            raise ValueError(f"{other.label} is for {file_rules(theirs).images}")
        return await in_turn(partial(self.predict, case, other))

    def planes_beside(self, case: Opened) -> NDArray[np.bool_]:
        """The mask that the other weights find, of each class, (classes, *S). Call it in the network's thread.

        Raises:
            LookupError: no other weights are chosen.
        """
        if self.beside is None:
            raise LookupError("no other weights are chosen")
        found = Opened(case.id, case.path)
        found.set_prediction(self.predict(case, self.beside))
        return found.planes()

    async def agreement(self, case: Opened) -> str:
        """How the mask as it is now and that of the other weights compare, in words."""
        assert self.beside is not None
        found = await in_turn(partial(self.predict, case, self.beside))
        theirs = dict(zip(found.classes, await in_turn(partial(self.planes_beside, case)), strict=True))
        assert case.prediction is not None
        ours = dict(zip(case.prediction.classes, case.planes(), strict=True))
        unit = found.grid.kind.elements
        said = [
            f"{name}: {np.count_nonzero(ours[name]):,} {unit} in the first, {np.count_nonzero(theirs[name]):,} in the second, "
            f"Dice of the two {_dice(ours[name], theirs[name]):.3f}"
            for name in ours
            if name in theirs
        ]
        return "; ".join(said) or f"they know other classes: {', '.join(theirs)}"

    async def score(self, truths: Path | None = None) -> Scoring:
        """Begin to score the weights of the last run on the dropped images, by dropped masks or those in a folder.

        Raises:
            FileNotFoundError, ValueError: something is missing, or is being scored.
        """
        if self.choice is None:
            raise ValueError("segment the images first")
        if self.scorings and not self.scorings[-1].job.ended:
            raise ValueError("wait until the running evaluation ends, or stop it")
        spec = (await in_turn(partial(predictor, self.choice))).spec
        self.scorings.append(score(self.received, self.choice, spec, truths))
        return self.scorings[-1]

    async def click(
        self, case: Opened, place: Place, row: int, column: int, *, class_number: int, inside: bool
    ) -> None:
        """Correct a mask by a click on what is shown at a place.

        Raises:
            ValueError, IndexError: the click contradicts an earlier one, or is outside the image.
        """
        assert self.choice is not None
        found = await in_turn(partial(self.predict, case, self.choice))
        name = found.classes[class_number]
        index = index_at(self.view(case), place, found.probabilities.shape[1:], row, column)
        click = Click.at(index, inside=inside, class_name=name)
        await in_turn(partial(case.click, click, found))

    def clicks_in(self, case: Opened, place: Place) -> list[dict[str, Any]]:
        """The clicks to draw at a place: their ``x`` and ``y`` in what is shown, and whether they are ``inside``."""
        if not case.clicks:
            return []
        marked = np.zeros(case.planes().shape[1:], np.uint8)
        for click in case.clicks:
            marked[click.index(marked.shape)] = 1 + click.inside
        shown = self.view(case).slice_of(marked[None], place)[0]
        return [
            {"x": float(x) + 0.5, "y": float(y) + 0.5, "inside": bool(shown[y, x] == 2)} for y, x in np.argwhere(shown)
        ]

    def map_of(self, case: Opened, name: str) -> Map:
        """A map by its name in `medseg_monai.app.maps.map_names`. Call it in the network's thread.

        Raises:
            LookupError, ValueError: there is none of this name, or none of this case.
        """
        assert self.choice is not None
        spec = predictor(self.choice).spec
        if name not in map_names(spec.classes):
            raise LookupError(f"no map {name!r}")
        if name.partition("-")[0] not in METHODS:
            return network_map(self.predict(case, self.choice), spec, name)
        if self._explained is None or self._explained[:2] != (case.id, name):
            folder = free_path(self.received.folder / "explanations")
            self._explained = case.id, name, explained_map(self.choice, case.path, spec, name, folder)
        return self._explained[2]

    def view(self, case: Opened) -> View:
        """The image to look at; the last one stays in memory."""
        if self._view is None or self._view[0] != case.id:
            answer = case.answer()
            self._view = case.id, view_of(case.path, answer.geometry)
        return self._view[1]

    def first_place(self, case: Opened) -> Place:
        """Where to begin: of a volume the axial slice with most of the mask."""
        return self.view(case).first_place(case.planes())

    def thumbnail(self, case: Opened) -> bytes:
        """A small picture for the list; a grey square for what cannot be drawn."""
        if case.id not in self._thumbnails:
            self._thumbnails[case.id] = self._drawn_small(case)
        return self._thumbnails[case.id]

    def forget_thumbnail(self, case: Opened) -> None:
        """Draw it anew when it is asked for next: the mask has changed."""
        self._thumbnails.pop(case.id, None)

    def _drawn_small(self, case: Opened) -> bytes:
        with suppress(*UNUSABLE):
            if case.prediction is None:
                return thumbnail_jpeg(as_picture(read_image(case.path, 3)).copy(), None)
            is_open = self._view is not None and self._view[0] == case.id
            view = self.view(case) if is_open else view_of(case.path, case.prediction.geometry)
            place = view.first_place(case.planes())
            return thumbnail_jpeg(view.picture(place), view.slice_of(case.planes(), place))
        return thumbnail_jpeg(np.full((8, 8, 3), 128, np.uint8))


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Of two masks; 1 if both are empty."""
    size = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / size if size else 1.0
