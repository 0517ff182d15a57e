"""The left of the page: where files are dropped, which weights segment them, and the list of cases, worst first."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from nicegui import background_tasks, ui
from nicegui.events import GenericEventArguments

from medseg_monai.app.files import PREFIX
from medseg_monai.app.network import Choice, choices
from medseg_monai.app.opened import Opened
from medseg_monai.app.page.shown import failed, warned
from medseg_monai.app.page.viewer import Drop
from medseg_monai.app.received import IMAGES
from medseg_monai.app.tab import Tab

SHOWN_REFUSED = 5
SHOWN_CASES = 50
"""At first: a list of thousands would take longer to draw than masks to make."""
EVERY_S = 1.5
"""So often the list is drawn while a network runs."""


class ListPanel:
    """Files, weights and cases.

    Args:
        tab: what it works on.
        open_case: called with the case that was chosen.
        changed: called when a case was segmented.
    """

    def __init__(self, tab: Tab, open_case: Callable[[Opened], Awaitable[None]], changed: Callable[[], None]) -> None:
        self.tab, self._open, self._changed = tab, open_case, changed
        self._current: Opened | None = None
        self._files, self._most, self._drawn_at = 0, SHOWN_CASES, 0.0
        with ui.column().classes("gap-3 no-wrap"):
            self._drop()
            self._weights = ui.select({choice: choice.label for choice in choices()}, label="weights", value=_first())
            self._weights.classes("w-full").props("outlined dense")
            with ui.row().classes("w-full gap-2"):
                self._start = ui.button("Segment", on_click=self.segment).props("icon=play_arrow")
                self._cancel = ui.button("Stop", on_click=self._stop).props("outline icon=stop")
            self._bar = ui.linear_progress(show_value=False).props('aria-label="progress"')
            self._text = ui.label("").classes("text-caption").props("role=status")
            self._list()
        self._draw_state()

    def _drop(self) -> None:
        Drop(
            f"{PREFIX}/{self.tab.key}/files/{IMAGES}",
            "Drop photographs, folders, NIfTI volumes or a zip of DICOM files here",
            on_sending=self._sending,
            on_sent=self._sent,
        )

    def _sending(self, event: GenericEventArguments) -> None:
        self._text.set_text(f"receiving {event.args['done'] + 1} of {event.args['count']}")

    async def _sent(self, event: GenericEventArguments) -> None:
        self._files += int(event.args["stored"])
        for line in event.args["refused"][:SHOWN_REFUSED]:
            failed(f"left out: {line}")
        if len(event.args["refused"]) > SHOWN_REFUSED:
            failed(f"left out: {len(event.args['refused']) - SHOWN_REFUSED} more")
        self._draw_state()
        if event.args["stored"]:
            await self.segment()

    async def segment(self) -> None:
        """Run the chosen weights over all files."""
        if self.tab.progress is not None:
            warned("wait until the running one ends, or stop it")
            return
        if not self._files:
            warned("drop images first")
            return
        task = background_tasks.create(self.tab.segment(self._weights.value, self._say), name="segment")
        try:
            await task
        except (OSError, ValueError) as error:
            if self.tab.closed:  # its files are gone with it
                return
            failed(str(error))
        if self.tab.closed:
            return
        for note in self.tab.notes:
            warned(note)
        self._changed()
        self._draw_state()

    def _stop(self) -> None:
        if self.tab.progress is not None:
            self.tab.progress.cancelled = True
            self._text.set_text("stopping after this image")

    def _say(self) -> None:
        """Progress: called from the run, after each case; the tab may be closed by then."""
        if self.tab.closed:
            return
        with self._bar.client:
            self._draw_state()
            if self.tab.progress is None or time.monotonic() - self._drawn_at > EVERY_S:
                self.draw(self._current)

    def _draw_state(self) -> None:
        progress = self.tab.progress
        self._cancel.set_visibility(progress is not None)
        self._bar.set_visibility(progress is not None)
        self._start.set_enabled(progress is None)
        if progress is not None:
            self._bar.set_value(progress.done / progress.count if progress.count else 0)
            self._text.set_text(progress.text())
        else:
            self._text.set_text(
                _counts(list(self.tab.cases.values())) if self.tab.cases else f"{self._files} files" * bool(self._files)
            )

    def offer_weights(self) -> None:
        """Offer what there is now: new weights were trained."""
        self._weights.set_options({choice: choice.label for choice in choices()}, value=self._weights.value)

    def use(self, choice: Choice) -> None:
        """Choose weights."""
        self.offer_weights()
        if choice in self._weights.options:
            self._weights.set_value(choice)

    def draw(self, current: Opened | None) -> None:
        """Draw the list again, with the case that is open."""
        self._current, self._drawn_at = current, time.monotonic()
        self._list.refresh()

    @ui.refreshable_method
    def _list(self) -> None:
        cases = self.tab.sorted()
        shown = cases[: self._most]
        if self._current is not None and self._current in cases[self._most :]:
            shown.append(self._current)
        with ui.element("nav").classes("w-full medseg-list").props('aria-label="cases, those to look at first on top"'):
            for case in shown:
                self._entry(case)
        if len(cases) > self._most:
            ui.button(f"Show more of {len(cases):,} cases", on_click=self._show_more).props("outline dense")

    def _show_more(self) -> None:
        self._most += SHOWN_CASES
        self.draw(self._current)

    def _entry(self, case: Opened) -> None:
        current = "true" if case is self._current else "false"
        button = ui.element("button").classes("medseg-case").props(f'type=button aria-current="{current}"')
        button.on("click", lambda: self._open(case) if case.prediction is not None else None)
        with button:
            if case.prediction is not None:
                version = len(case.pixels()) and sum(case.pixels().values())
                address = f"{PREFIX}/{self.tab.key}/thumbnail/{quote(case.id)}?v={version}"
                picture = ui.element("img")
                picture._props.update(src=address, alt="")
            with ui.element("span"):
                ui.label(case.id)
                ui.label(describe(case)).classes("medseg-why")


def describe(case: Opened) -> str:
    """A case in a few words: whether to look at it and why."""
    if case.failure:
        return f"failed: {case.failure}"
    if case.prediction is None:
        return "waiting"
    summary = case.summary()
    dice = "" if summary.lowest_dice is None else f"predicted Dice {summary.lowest_dice:.2f}"
    mark = f"{summary.mark}: {summary.reason}" if summary.reason else summary.mark
    changed = "corrected" + (", saved" if case.saved else "") if case.corrected else "saved" if case.saved else ""
    return " · ".join(part for part in (mark, dice, changed) if part) or "segmented"


def _counts(cases: list[Opened]) -> str:
    done = [case for case in cases if case.prediction is not None]
    flagged = sum(bool(case.prediction and case.prediction.flagged) for case in done)
    failed = sum(bool(case.failure) for case in cases)
    return f"{len(done)} segmented, {flagged} flagged, {failed} failed"


def _first() -> Choice | None:
    """What is chosen at first: U-Net++ with its shipped weights."""
    found = choices()
    return next((choice for choice in found if choice == Choice("unetpp")), found[0] if found else None)
