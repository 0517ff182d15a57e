"""The page's two own elements, in Python: the viewer and the place to drop files on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from medseg_monai.app.received import MOST_FILE_BYTES

Handler = Callable[[GenericEventArguments], Any]


class Viewer(Element, component="viewer.js"):
    """Layers of pictures that can be zoomed, moved and drawn on; see viewer.js.

    Args:
        label: what it shows, for who does not see it.
        on_stroke: called with ``points``, (x, y) in the image's pixels, and ``erase``.
        on_mark: called with ``x``, ``y`` and ``inside``.
        on_slice: called with ``step``, 1 or -1.
        on_failed: called with the ``url`` of a layer that could not be loaded.

    A viewer without `on_stroke` and `on_mark` is only looked at. All viewers of a page zoom and move together.
    """

    def __init__(
        self,
        label: str,
        *,
        on_slice: Handler,
        on_failed: Handler,
        on_stroke: Handler | None = None,
        on_mark: Handler | None = None,
    ) -> None:
        super().__init__()
        self._props["label"] = label
        if on_stroke is not None and on_mark is not None:
            self.on("stroke", on_stroke)
            self.on("mark", on_mark)
        self.on("slice", on_slice)
        self.on("failed", on_failed)

    def show(self, size: tuple[int, int], layers: Sequence[dict[str, Any]], sides: tuple[float, float]) -> None:
        """Show layers, the first one lowest: each with ``url``, ``opacity`` and ``smooth``; `size` is width and height in pixels."""
        self._props["width"], self._props["height"] = size
        self._props["sides"] = list(sides)
        self._props["layers"] = list(layers)
        self.update()

    def use(self, tool: str, radius: float, colour: str) -> None:
        """Choose what dragging and clicking does: ``move``, ``brush``, ``eraser``, ``inside`` or ``outside``."""
        self._props.update(tool=tool, radius=radius, colour=colour)
        self.update()

    def show_clicks(self, marks: Sequence[dict[str, Any]]) -> None:
        """Show clicks: each with ``x``, ``y`` and ``inside``."""
        self._props["marks"] = list(marks)
        self.update()


class Drop(Element, component="drop.js"):
    """A place to drop files and folders on.

    Args:
        url: to which each file is sent.
        on_sending: called with ``done`` and ``count``.
        on_sent: called at the end with ``stored``, a number, and ``refused``, lines that say what was refused and why.
        label: what to drop.
    """

    def __init__(self, url: str, label: str, *, on_sending: Handler, on_sent: Handler) -> None:
        super().__init__()
        self._props["url"] = url
        self._props["label"] = label
        self._props["most"] = MOST_FILE_BYTES
        with self:
            ui.label(label)
            with ui.row().classes("justify-center q-mt-sm"):
                ui.button("Files", on_click=lambda: self.run_method("pickFiles")).props("outline dense").classes(
                    "q-px-sm"
                )
                ui.button("Folder", on_click=lambda: self.run_method("pickFolder")).props("outline dense").classes(
                    "q-px-sm"
                )
        self.on("sending", on_sending)
        self.on("sent", on_sent)
