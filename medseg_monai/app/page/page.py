"""The page: on the left what was dropped and found, in the middle the image, on the right what is known of it and what can be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path

from nicegui import background_tasks, ui
from nicegui.events import KeyEventArguments

from medseg_monai.app.opened import Opened
from medseg_monai.app.page.case_panel import CasePanel
from medseg_monai.app.page.image_panel import ImagePanel
from medseg_monai.app.page.list_panel import ListPanel
from medseg_monai.app.page.score_panel import ScorePanel
from medseg_monai.app.page.train_panel import TrainPanel
from medseg_monai.app.tab import Tab
from medseg_monai.app.trainings import Trainings

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
        trainings: of the server.
    """

    def __init__(self, tabs: MutableMapping[str, Tab], trainings: Trainings) -> None:
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
            with ui.element("aside").classes("medseg-right"):
                self._right(trainings)
        ui.label(KEYS).classes("text-caption q-px-sm")
        ui.keyboard(on_key=self._key)

    def _right(self, trainings: Trainings) -> None:
        """What is known of the case and its tools; training; evaluation."""
        with ui.tabs().props("dense no-caps align=justify").classes("w-full") as tabs:
            mask, train, score = ui.tab("Mask"), ui.tab("Train"), ui.tab("Evaluate")
        with ui.tab_panels(tabs, value=mask, animated=False, keep_alive=True).classes("w-full medseg-panels"):
            with ui.tab_panel(mask):
                self.facts = CasePanel(self.tab, self.image, self.changed, lambda: self.train.add())
            with ui.tab_panel(train):
                self.train = TrainPanel(self.tab, self.image, trainings, self.list.use, self._offer_weights)
            with ui.tab_panel(score):
                self.score = ScorePanel(self.tab)

    def _offer_weights(self) -> None:
        """New weights were trained."""
        self.list.offer_weights()
        self.image.offer_weights()

    async def open(self, case: Opened) -> None:
        """Show a case."""
        self.list.draw(case)
        self.facts.open(case)
        await self.image.open(case)

    def changed(self) -> None:
        """A mask changed, or a case was segmented: draw again what depends on it."""
        if self.tab.closed:
            return
        case = self.image.case
        if case is None:
            found = [one for one in self.tab.sorted() if one.prediction is not None]
            if found and self.tab.progress is None:
                background_tasks.create(self._open_first(found[0]), name="open")
                return
        self.image.draw()
        self.facts.draw()
        self.list.draw(case)

    async def _open_first(self, case: Opened) -> None:
        if not self.tab.closed:
            with self.image.viewer.client:
                await self.open(case)

    async def _step(self, step: int) -> None:
        """Open the next or the previous case of the list."""
        cases = [case for case in self.tab.sorted() if case.prediction is not None]
        if cases:
            here = cases.index(self.image.case) if self.image.case in cases else -step
            await self.open(cases[(here + step) % len(cases)])

    async def _key(self, event: KeyEventArguments) -> None:
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
            done = action()
            if isinstance(done, Awaitable):
                await done
