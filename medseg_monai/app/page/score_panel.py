"""Evaluation: true masks are dropped or named, and the report is read in place."""

from __future__ import annotations

from pathlib import Path

from nicegui import ui
from nicegui.events import GenericEventArguments

from medseg_monai.app.commands import shown
from medseg_monai.app.files import PREFIX
from medseg_monai.app.page.shown import command_line, failed
from medseg_monai.app.page.viewer import Drop
from medseg_monai.app.received import TRUTHS
from medseg_monai.app.scoring import Scoring
from medseg_monai.app.tab import Tab

EVERY_S = 0.5
SHOWN_LEFT_OUT = 5


class ScorePanel:
    """True masks, scores and the report.

    Args:
        tab: what it works on.
    """

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self._masks = 0
        self._drawn: object = None
        with ui.column().classes("gap-3 no-wrap w-full"):
            Drop(
                f"{PREFIX}/{tab.key}/files/{TRUTHS}",
                "Drop true masks here, named like their images",
                on_sending=self._sending,
                on_sent=self._sent,
            )
            self._status = ui.label("").classes("text-caption").props("role=status")
            self._folder = ui.input("or their folder on this machine").props("outlined dense").classes("w-full")
            ui.button("Evaluate", on_click=self.evaluate).classes("w-full")
            self._result()
        with ui.dialog().props("maximized") as self._dialog, ui.card().classes("w-full h-full q-pa-sm no-wrap"):
            with ui.row().classes("w-full items-center"):
                ui.button("Close the report", on_click=self._dialog.close).props("outline dense icon=close").classes(
                    "q-px-sm"
                )
            self._frame = ui.element("iframe").classes("w-full grow").style("border: 0; background: white")
            self._frame._props["title"] = "report of the evaluation"
        ui.timer(EVERY_S, self._look)

    def _sending(self, event: GenericEventArguments) -> None:
        self._status.set_text(f"receiving {event.args['done'] + 1} of {event.args['count']}")

    def _sent(self, event: GenericEventArguments) -> None:
        self._masks += int(event.args["stored"])
        for line in event.args["refused"][:SHOWN_LEFT_OUT]:
            failed(f"left out: {line}")
        self._status.set_text(f"{self._masks} masks")

    async def evaluate(self) -> None:
        """Score the weights in use on the images that were dropped."""
        named = str(self._folder.value or "").strip()
        try:
            await self.tab.score(Path(named) if named else None)
        except (OSError, ValueError) as error:
            failed(str(error))
        self._look()

    def _look(self) -> None:
        """Draw what has changed."""
        now = [scoring.job.state for scoring in self.tab.scorings]
        if now != self._drawn:
            self._drawn = now
            self._result.refresh()

    @ui.refreshable_method
    def _result(self) -> None:
        for number, scoring in reversed(list(enumerate(self.tab.scorings))):
            with ui.card().classes("w-full q-pa-sm gap-2").props("flat bordered"):
                self._one(number, scoring)

    def _one(self, number: int, scoring: Scoring) -> None:
        ui.label(scoring.choice.label).classes("text-subtitle2")
        ui.label(scoring.status()).props("role=status").style("overflow-wrap: anywhere")
        for line in scoring.left_out[:SHOWN_LEFT_OUT]:
            ui.label(f"left out: {line}").classes("text-caption").style("overflow-wrap: anywhere")
        if len(scoring.left_out) > SHOWN_LEFT_OUT:
            ui.label(f"{len(scoring.left_out) - SHOWN_LEFT_OUT} more were left out").classes("text-caption")
        with ui.row().classes("gap-2"):
            if not scoring.job.ended:
                ui.button("Stop", on_click=scoring.job.stop).props("dense outline icon=stop").classes("q-px-sm")
            if scoring.page is not None:
                ui.button("Show the report", on_click=lambda: self._show(number)).props("dense").classes("q-px-sm")
        with ui.expansion("the same as commands", value=False).classes("w-full"):
            for command in scoring.commands:
                command_line(shown(command))

    def _show(self, number: int) -> None:
        self._frame._props["src"] = f"{PREFIX}/{self.tab.key}/report/{number}"
        self._frame.update()
        self._dialog.open()
