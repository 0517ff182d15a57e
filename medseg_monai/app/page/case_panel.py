"""What is known of a case, the tools that change its mask, saving, and the command that does the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from medseg_monai.app.commands import explain, predict, shown
from medseg_monai.app.maps import METHODS
from medseg_monai.app.opened import Opened
from medseg_monai.app.page.image_panel import ImagePanel
from medseg_monai.app.page.shown import command_line, failed
from medseg_monai.app.saving import formats_for, save_case
from medseg_monai.app.tab import Tab
from medseg_monai.figures.cases import hexadecimal
from medseg_monai.figures.drawing import class_colours

TOOLS = {"move": "move", "brush": "brush", "eraser": "eraser", "inside": "+ click", "outside": "- click"}


class CasePanel:
    """What is known of the open case, and what can be done with it.

    Args:
        tab: what it works on.
        image: the panel that shows it.
        changed: called when the mask changed or was saved.
        add: puts the open case among the training data.
    """

    def __init__(self, tab: Tab, image: ImagePanel, changed: Callable[[], None], add: Callable[[], None]) -> None:
        self.tab, self.image, self._changed, self._add = tab, image, changed, add
        self._tool = "move"
        with ui.column().classes("gap-3 no-wrap w-full"):
            self._facts()
            self._tools = ui.column().classes("gap-2 w-full")
            with self._tools:
                self._toggle = ui.toggle(
                    TOOLS, value="move", on_change=lambda event: self.choose_tool(event.value)
                ).props("dense")
                self._class = (
                    ui.select([], label="class", on_change=self._use).props("outlined dense").classes("w-full")
                )
                ui.label("radius of the brush, pixels").classes("text-caption")
                self._radius = ui.slider(min=1, max=100, value=12, on_change=self._use).props(
                    'aria-label="radius of the brush" label'
                )
                with ui.row():
                    ui.button("Undo", on_click=self.undo).props("outline dense icon=undo")
                self._folder = ui.input("save to", value="masks").props("outlined dense").classes("w-full")
                self._formats = ui.select([], label="as", multiple=True).props("outlined dense").classes("w-full")
                with ui.row():
                    ui.button("Save", on_click=self.save).props("icon=save")
                    ui.button("Save all", on_click=self.save_all).props("outline")
                ui.button("Add to training data", on_click=lambda: self._add()).props("outline").classes("w-full")
            self._command()
        self._tools.set_visibility(False)

    def open(self, case: Opened) -> None:
        """Show a case."""
        assert case.prediction is not None
        classes = list(case.prediction.classes)
        self._class.set_options(dict(enumerate(classes)), value=min(self.image.class_number, len(classes) - 1))
        known = formats_for(case.prediction)
        chosen = [name for name in self._formats.value or [] if name in known] or [next(iter(known))]
        self._formats.set_options(list(known), value=chosen)
        self._tools.set_visibility(True)
        self._use()
        self.draw()

    def draw(self) -> None:
        """Draw the numbers again."""
        self._facts.refresh()
        self._command.refresh()

    def choose_tool(self, tool: str) -> None:
        """Choose what the pointer does in the image."""
        if tool in TOOLS:
            self._tool = tool
            self._toggle.set_value(tool)
            self._use()

    def _use(self) -> None:
        self.image.class_number = int(self._class.value or 0)
        self.image.radius = float(self._radius.value)
        colours = class_colours(self.image.class_number + 1)
        self.image.viewer.use(self._tool, self.image.radius, hexadecimal(colours[-1]))

    def undo(self) -> None:
        """Take the last correction back."""
        if self.image.case is not None and self.image.case.undo():
            self.image.mask_changed()
        else:
            ui.notify("nothing to undo")

    def save(self) -> None:
        """Write the open case's mask."""
        if self.image.case is not None:
            self._save([self.image.case])

    def save_all(self) -> None:
        """Write the masks of all cases."""
        self._save([case for case in self.tab.cases.values() if case.prediction is not None])

    def _save(self, cases: list[Opened]) -> None:
        written: list[Path] = []
        folder = Path(str(self._folder.value).strip() or "masks").expanduser()
        for case in cases:
            try:
                written += save_case(case, folder, list(self._formats.value))
            except (OSError, ValueError) as error:
                failed(f"{case.id}: {error}")
        if written:
            ui.notify(f"{len(written)} files -> {folder.resolve()}", type="positive")
        self._changed()

    @ui.refreshable_method
    def _facts(self) -> None:
        case = self.image.case
        if case is None or case.prediction is None:
            ui.label("Drop an image on the left: its mask appears here, with how far it can be trusted.").classes(
                "text-body2"
            )
            return
        found = case.prediction
        ui.label(case.id).classes("text-subtitle1").props("role=heading aria-level=2").style("overflow-wrap: anywhere")
        if found.flagged:
            ui.label(f"A person should look at this: {found.reason or 'flagged'}").classes(
                "text-negative text-weight-bold"
            )
        with ui.element("table").classes("w-full text-body2").props('aria-label="what was found"'):
            for name, colour in zip(found.classes, class_colours(len(found.classes)), strict=True):
                self._row(case, name, hexadecimal(colour))

    def _row(self, case: Opened, name: str, colour: str) -> None:
        found = case.prediction
        assert found is not None
        size = found.grid.size_text(case.pixels()[name])
        dice = found.predicted_dice.get(name)
        with ui.element("tr"):
            for text in ("■", name, size, "" if dice is None or case.corrected else f"predicted Dice {dice:.2f}"):
                cell = ui.element("td").style(f"color: {colour}" if text == "■" else "")
                with cell:
                    ui.label(text)

    @ui.refreshable_method
    def _command(self) -> None:
        case, choice = self.image.case, self.tab.choice
        if case is None or choice is None:
            return
        with ui.expansion("the same as a command", value=False).classes("w-full"):
            name = case.path.name
            formats = [name.lower().replace("-", "") for name in self._formats.value or []]
            for weights in [choice, *([self.tab.beside] if self.tab.beside is not None else [])]:
                command_line(shown(predict(weights, [name], self._folder.value, formats=formats)))
            method = self.image.map_name.partition("-")[0]
            if method in METHODS:
                command_line(shown(explain(choice, name, method=method)))
            ui.label(
                "The command writes the network's mask; what you corrected is only in the files saved here."
            ).classes("text-caption")
