"""Training on corrections: where they lie, the plan, the curves while it trains, and the new weights. All tabs show the same trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import ui

from medseg_monai.app.commands import shown
from medseg_monai.app.network import Choice
from medseg_monai.app.page.image_panel import ImagePanel
from medseg_monai.app.page.shown import command_line, failed, warned
from medseg_monai.app.saving import add_to_training, corrections_in
from medseg_monai.app.tab import Tab
from medseg_monai.app.trainings import CorrectionsTraining, Trainings, curves
from medseg_monai.planning.plan import KNOBS, Plan

FOLDER = "corrections"
MINUTES = 10
EVERY_S = 1.0
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
GREY = "#808080"


class TrainPanel:
    """Corrections become new weights.

    Args:
        tab: what it works on.
        image: the panel with the open case.
        trainings: of the server.
        use: called with new weights that are to be used.
        made: called when there are new ones.
    """

    def __init__(
        self,
        tab: Tab,
        image: ImagePanel,
        trainings: Trainings,
        use: Callable[[Choice], None],
        made: Callable[[], None],
    ) -> None:
        self.tab, self.image, self.trainings, self._use, self._made = tab, image, trainings, use, made
        self._charts: dict[int, ui.echart] = {}
        self._drawn: object = None
        with ui.column().classes("gap-3 no-wrap w-full"):
            self._folder = ui.input("folder of corrections", value=FOLDER, on_change=self.draw)
            self._folder.props("outlined dense").classes("w-full")
            ui.button("Add this case", on_click=self.add).props("outline").classes("w-full")
            self._count = ui.label("").classes("text-caption").props("role=status")
            self._minutes = ui.number("minutes for training", value=MINUTES, min=0.1, format="%g")
            self._minutes.props("outlined dense").classes("w-full")
            ui.button("Plan a training", on_click=self.plan).classes("w-full")
            self._all()
        self.draw()
        ui.timer(EVERY_S, self._look)

    @property
    def folder(self) -> Path:
        """Where corrections go."""
        return Path(str(self._folder.value).strip() or FOLDER).expanduser()

    def add(self) -> None:
        """Put the open case's image and mask where they can be trained on."""
        case = self.image.case
        if case is None or case.prediction is None:
            warned("open a case first")
            return
        try:
            file = add_to_training(case, self.folder)
        except (OSError, ValueError) as error:
            failed(f"{case.id}: {error}")
            return
        ui.notify(f"-> {file.resolve()}", type="positive")
        self.draw()

    def plan(self) -> None:
        """Prepare the data and plan."""
        case, choice = self.image.case, self.tab.choice
        if choice is None or case is None or case.prediction is None:
            warned("segment and correct images first")
            return
        try:
            minutes = float(self._minutes.value or 0)
            self.trainings.plan(self.folder, choice, case.prediction.classes, minutes=minutes)
        except (OSError, ValueError) as error:
            failed(str(error))
        self._look()

    def draw(self) -> None:
        """Say how much there is to train on."""
        count = corrections_in(self.folder)
        self._count.set_text(f"{count} corrected images in {self.folder}/")

    def _look(self) -> None:
        """Draw what has changed since the last look, whoever changed it."""
        now = [(one.status(), one.job and one.job.state) for one in self.trainings]
        if now != self._drawn:
            self._drawn = now
            self._all.refresh()
            if any(one.finished for one in self.trainings):
                self._made()
        for number, one in enumerate(self.trainings):
            self._draw_curves(number, one)

    @ui.refreshable_method
    def _all(self) -> None:
        self._charts = {}
        for number, one in reversed(list(enumerate(self.trainings))):
            with ui.card().classes("w-full q-pa-sm gap-2").props("flat bordered"):
                self._one(number, one)

    def _one(self, number: int, one: CorrectionsTraining) -> None:
        ui.label(f"{one.choice.label}: {one.folder}/").classes("text-subtitle2").style("overflow-wrap: anywhere")
        ui.label(one.status()).props("role=status").style("overflow-wrap: anywhere")
        plan = one.plan
        if plan is not None:
            with ui.expansion("the plan, with reasons", value=one.training is None).classes("w-full"):
                _plan(plan)
        if one.training is not None:
            chart = ui.echart(_options(one)).classes("w-full h-48")
            chart._props["role"], chart._props["aria-label"] = "img", "loss and scores by epoch"
            self._charts[number] = chart
        with ui.row().classes("gap-2"):
            if plan is not None and one.training is None:
                ui.button("Train", on_click=lambda: self._train(one)).props("dense icon=play_arrow").classes("q-px-sm")
            if one.running and one.job is not None:
                ui.button("Stop", on_click=one.job.stop).props("dense outline icon=stop").classes("q-px-sm")
            if one.finished:
                ui.button("Use these weights", on_click=lambda: self._use(one.made)).props("dense outline").classes(
                    "q-px-sm"
                )
        with ui.expansion("the same as commands", value=False).classes("w-full"):
            for command in one.commands:
                command_line(shown(command))
        if one.job is not None and one.job.state == "failed":
            with ui.expansion("what it said", value=False).classes("w-full"):
                ui.label("\n".join(list(one.job.lines)[-30:])).classes("medseg-text")

    def _train(self, one: CorrectionsTraining) -> None:
        try:
            self.trainings.train(one)
        except ValueError as error:  # another tab was quicker
            warned(str(error))
        self._look()

    def _draw_curves(self, number: int, one: CorrectionsTraining) -> None:
        chart = self._charts.get(number)
        if chart is not None and one.job is not None:
            options = _options(one)
            if chart.options["series"] != options["series"]:
                chart.options.clear()
                chart.options.update(options)
                chart.update()


def _plan(plan: Plan) -> None:
    """Each value with its reason."""
    for name in KNOBS:
        value = getattr(plan, name)
        if value not in (None, "", {}):
            written = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            ui.label(f"{name.replace('_', ' ')}: {written}").classes("text-weight-medium q-mt-xs")
            ui.label(plan.reasons.get(name, "")).classes("text-caption medseg-reason")


def _options(one: CorrectionsTraining) -> dict[str, Any]:
    """The curves for the chart: loss on the left axis, scores on the right one."""
    found = curves(one.history)
    axis: dict[str, Any] = {"type": "value", "axisLabel": {"color": GREY}, "splitLine": {"lineStyle": {"opacity": 0.3}}}
    series = [
        {
            "name": name, "type": "line", "data": [list(point) for point in points], "yAxisIndex": int(name != "loss"),
            "symbolSize": 5, "itemStyle": {"color": COLOURS[place % len(COLOURS)]},
        }
        for place, (name, points) in enumerate(found.items())
    ]  # fmt: skip
    return {
        "animation": False,
        "grid": {"left": 36, "right": 36, "top": 44, "bottom": 26},
        "legend": {"top": 0, "textStyle": {"color": GREY}},
        "tooltip": {"trigger": "axis"},
        "xAxis": {**axis, "minInterval": 1, "min": 0},
        "yAxis": [axis, {**axis, "min": 0, "max": 1, "splitLine": {"show": False}}],
        "series": series,
    }
