"""The page: on the left what was dropped and found, in the middle the image, on the right what is known of it and what can be done."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path

from nicegui import ui
from nicegui.events import KeyEventArguments

from medseg_monai.app.opened import Opened
from medseg_monai.app.page.case_panel import CasePanel
from medseg_monai.app.page.image_panel import ImagePanel
from medseg_monai.app.page.list_panel import ListPanel
from medseg_monai.app.tab import Tab

NOT_A_DEVICE = "Research software, not a medical device. Nothing leaves this machine."
STYLE = Path(__file__).with_name("page.css")
KEYS = (
    "n, p: next, previous · t: mask on, off · m: move · b: brush · e: eraser · i, o: click inside, outside · u: undo · s: save · "
    "+, -, 0, arrows in the image: zoom, fit, move · page up, page down: slices"
)


class Page:
    """The page of one tab.

    Args:
        tabs: of the server, by key; this one is entered, and taken out when it is closed.
    """

    def __init__(self, tabs: MutableMapping[str, Tab]) -> None:
        self.tab = Tab()
        tabs[self.tab.key] = self.tab
        ui.context.client.on_delete(lambda: tabs.pop(self.tab.key, self.tab).close())
        ui.colors(primary="#1d5fa8", negative="#b42318", positive="#1a7f37", warning="#8a5a00")
        ui.dark_mode(None)
        ui.add_css(STYLE)
        with ui.row().classes("w-full items-baseline q-px-sm"):
            ui.label("medseg_monai").classes("text-h6").props("role=heading aria-level=1")
            ui.label(NOT_A_DEVICE).classes("text-caption")
        with ui.element("main").classes("medseg-page"):
            self.list = ListPanel(self.tab, self.open, self.changed)
            self.image = ImagePanel(self.tab, self.changed)
            self.facts = CasePanel(self.tab, self.image, self.changed)
        ui.label(KEYS).classes("text-caption q-px-sm")
        ui.keyboard(on_key=self._key)

    def open(self, case: Opened) -> None:
        """Show a case."""
        self.image.open(case)
        self.facts.open(case)
        self.list.draw(case)

    def changed(self) -> None:
        """A mask changed, or a case was segmented: draw again what depends on it."""
        case = self.image.case
        if case is None:
            found = self.tab.sorted()
            if found and found[0].prediction is not None and self.tab.progress is None:
                self.open(found[0])
                return
        self.image.draw()
        self.facts.draw()
        self.list.draw(case)

    def _step(self, step: int) -> None:
        """Open the next or the previous case of the list."""
        cases = [case for case in self.tab.sorted() if case.prediction is not None]
        if cases:
            here = cases.index(self.image.case) if self.image.case in cases else -step
            self.open(cases[(here + step) % len(cases)])

    def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.meta or event.modifiers.alt:
            return
        actions: dict[str, Callable[[], object]] = {
            "n": lambda: self._step(1),
            "p": lambda: self._step(-1),
            "t": self.image.toggle,
            "m": lambda: self.facts.choose_tool("move"),
            "b": lambda: self.facts.choose_tool("brush"),
            "e": lambda: self.facts.choose_tool("eraser"),
            "i": lambda: self.facts.choose_tool("inside"),
            "o": lambda: self.facts.choose_tool("outside"),
            "u": self.facts.undo,
            "s": self.facts.save,
            "PageUp": lambda: self.image.go(1),
            "PageDown": lambda: self.image.go(-1),
        }
        if (action := actions.get(event.key.name)) is not None:
            action()
