"""The middle of the page: the image with its layers, beside it other weights' mask, and for volumes the plane, the slice and the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from medseg_monai.app.files import PREFIX
from medseg_monai.app.maps import map_names
from medseg_monai.app.network import Choice, choices
from medseg_monai.app.opened import Opened, stroke_stamp
from medseg_monai.app.page.shown import warned
from medseg_monai.app.page.viewer import Viewer
from medseg_monai.app.tab import Tab
from medseg_monai.app.views import WINDOWS, Place

NO_MAP = "none"
NO_OTHER = "nothing"


class ImagePanel:
    """The open case's image.

    Args:
        tab: what it works on.
        changed: called when the mask changed.

    Attributes:
        case: that is open; None before.
        place: what of it is shown.
        class_number: which class the tools change, from 0.
    """

    def __init__(self, tab: Tab, changed: Callable[[], None]) -> None:
        self.tab, self._changed = tab, changed
        self.case: Opened | None = None
        self.place = Place()
        self.class_number, self.radius = 0, 12.0
        self._version = 0
        self._compared: tuple[str, Choice] | None = None
        self.viewer: Viewer
        with ui.element("div").classes("medseg-middle"):
            self._layers()
            with ui.element("div").classes("medseg-viewers"):
                self.viewer = Viewer(
                    "the image with its mask: + and - zoom, arrows move, 0 fits",
                    on_stroke=self._stroke, on_mark=self._mark, on_slice=lambda event: self.go(int(event.args["step"])),
                    on_failed=self._failed,
                )  # fmt: skip
                self._second = Viewer(
                    "the same image with the mask of the other weights",
                    on_slice=lambda event: self.go(int(event.args["step"])),
                    on_failed=lambda _: None,
                )
            self._second.set_visibility(False)
            self._agreement = ui.label("").classes("text-caption").props("role=status")
            self._volume_controls()

    def _layers(self) -> None:
        """What is laid over the image, and beside it."""
        with ui.row().classes("w-full items-center gap-3"):
            self._outline = ui.switch("outline", value=True, on_change=self.draw)
            ui.label("fill")
            self._fill = ui.slider(min=0, max=1, step=0.05, value=0.25, on_change=self.draw).classes("w-20")
            self._fill.props('aria-label="opacity of the fill"')
            self._map = ui.select({NO_MAP: "no map"}, value=NO_MAP, label="map", on_change=self.draw)
            self._map.props("outlined dense").classes("w-40")
            self._opacity = ui.slider(min=0, max=1, step=0.05, value=0.6, on_change=self.draw).classes("w-20")
            self._opacity.props('aria-label="opacity of the map"')
            self._other = ui.select(
                {NO_OTHER: NO_OTHER}, value=NO_OTHER, label="beside it", on_change=self._choose_other
            )
            self._other.props("outlined dense").classes("w-48")
            self.offer_weights()
            ui.button(on_click=lambda: self.viewer.run_method("refit")).props(
                'flat dense icon=fit_screen aria-label="fit"'
            )

    def _volume_controls(self) -> None:
        self._planes = ui.row().classes("w-full items-center gap-4")
        with self._planes:
            self._plane = ui.toggle({}, on_change=self._turn).props("dense")
            self._slice = ui.slider(min=0, max=1, value=0, on_change=self._moved).classes("grow")
            self._slice.props('aria-label="slice"')
            self._window = ui.select(list(WINDOWS), value="whole range", label="window", on_change=self._moved)
            self._window.props("outlined dense").classes("w-36")
        self._planes.set_visibility(False)

    async def open(self, case: Opened) -> None:
        """Show a case from its first place."""
        self.case, self.place = case, self.tab.first_place(case)
        assert case.prediction is not None
        names = {NO_MAP: "no map", **map_names(case.prediction.classes)}
        self._map.set_options(names, value=self._map.value if self._map.value in names else NO_MAP)
        planes = self.tab.view(case).planes
        volume = len(planes) > 1
        self._planes.set_visibility(volume)
        if volume:
            self._plane.set_options(list(planes), value=self.place.plane)
            self._set_slice()
        self.draw()
        await self._compare()

    @property
    def map_name(self) -> str:
        """The map that is shown, as `medseg_monai.app.maps.map_names` calls it; ``none``."""
        return str(self._map.value)

    def offer_weights(self) -> None:
        """Offer what there is now to be shown beside."""
        self._other.set_options({NO_OTHER: NO_OTHER, **{one: one.label for one in choices()}}, value=self._other.value)

    def toggle(self) -> None:
        """Mask on or off."""
        self._outline.set_value(not self._outline.value)
        self._fill.set_value(0.25 if self._outline.value else 0)

    def go(self, step: int) -> None:
        """Some slices further."""
        if self.case is not None:
            count = self.tab.view(self.case).planes[self.place.plane]
            self._slice.set_value(min(count - 1, max(0, self.place.index + step)))

    def draw(self) -> None:
        """Show the layers that are wanted, of the mask as it is now."""
        if self.case is None:
            return
        view = self.tab.view(self.case)
        height, width = view.picture(self.place).shape[:2]
        layers = [self._layer("image", 1.0, smooth=True)]
        if self._map.value != NO_MAP:
            layers.append(self._layer(self._map.value, self._opacity.value, smooth=True))
        layers += self._mask_layers()
        sides = view.pixel_sides(self.place)
        self.viewer.show((width, height), layers, sides)
        self.viewer.show_clicks(self.tab.clicks_in(self.case, self.place))
        if self._compared is not None and self._compared[0] == self.case.id:
            others = [self._layer("image", 1.0, smooth=True), *self._mask_layers(beside=True)]
            self._second.show((width, height), others, sides)

    def _mask_layers(self, *, beside: bool = False) -> list[dict[str, Any]]:
        found = [self._layer("fill", self._fill.value, beside=beside)] if self._fill.value else []
        return found + ([self._layer("outline", 1.0, smooth=True, beside=beside)] if self._outline.value else [])

    def _layer(self, name: str, opacity: float, *, smooth: bool = False, beside: bool = False) -> dict[str, Any]:
        assert self.case is not None
        place = f"{quote(self.place.plane)}/{self.place.index}"
        version = self._version if name in ("fill", "outline") else 0
        query = {"window": self.place.window, "v": version}
        query |= {"beside": "1", "weights": self._other.options[self._other.value]} if beside else {}
        url = f"{PREFIX}/{self.tab.key}/layer/{quote(name)}/{place}/{quote(self.case.id)}?{urlencode(query)}"
        return {"url": url, "opacity": opacity, "smooth": smooth}

    async def _choose_other(self) -> None:
        """Show other weights' mask beside, or none."""
        self.tab.beside = None if self._other.value == NO_OTHER else self._other.value
        await self._compare()

    async def _compare(self) -> None:
        """Ask the other weights about the open case."""
        other, case = self.tab.beside, self.case
        self._compared = None
        self._second.set_visibility(False)
        self._agreement.set_text("" if other is None or case is None else f"asking {other.label} …")
        if other is None or case is None:
            return
        try:
            await self.tab.compare(case)
        except (OSError, ValueError) as error:
            self._agreement.set_text(str(error))
            return
        if (other, case) != (self.tab.beside, self.case):
            return  # something else was chosen meanwhile
        self._compared = case.id, other
        self._second.set_visibility(True)
        self._agreement.set_text(f"second: {other.label}. {await self.tab.agreement(case)}")
        self.draw()

    def mask_changed(self) -> None:
        """The mask is another one: fetch its layers anew."""
        self._version += 1
        if self.case is not None:
            self.tab.forget_thumbnail(self.case)
        self._changed()

    def _stroke(self, event: GenericEventArguments) -> None:
        if self.case is None:
            return
        view, place = self.tab.view(self.case), self.place
        height, width = view.picture(place).shape[:2]
        points = [(float(x), float(y)) for x, y in event.args["points"]]
        stamp = stroke_stamp(points, self.radius, (width, height), view.pixel_sides(place))
        shown = lambda values: view.slice_of(values, place)  # noqa: E731
        self.case.paint(stamp, shown, self.class_number, erase=bool(event.args["erase"]))
        self.mask_changed()

    async def _mark(self, event: GenericEventArguments) -> None:
        """A click says that a pixel is right or wrong."""
        if self.case is None:
            return
        row, column, inside = int(event.args["y"]), int(event.args["x"]), bool(event.args["inside"])
        try:
            await self.tab.click(self.case, self.place, row, column, class_number=self.class_number, inside=inside)
        except (IndexError, ValueError) as error:
            warned(str(error))
        self.mask_changed()

    def _failed(self, event: GenericEventArguments) -> None:
        """A map that could not be made; the server said why, and a picture cannot."""
        if self._map.value != NO_MAP:
            warned(f"no {self._map.options[self._map.value]}: is the class in the mask?")
            self._map.set_value(NO_MAP)

    def _turn(self) -> None:
        if self.case is not None and self._plane.value and self._plane.value != self.place.plane:
            count = self.tab.view(self.case).planes[self._plane.value]
            self.place = replace(self.place, plane=self._plane.value, index=count // 2)
            self._set_slice()
            self.draw()

    def _set_slice(self) -> None:
        assert self.case is not None
        self._slice._props["max"] = self.tab.view(self.case).planes[self.place.plane] - 1
        self._slice.set_value(self.place.index)
        self._slice.update()

    def _moved(self) -> None:
        place = replace(self.place, index=int(self._slice.value), window=str(self._window.value))
        if place != self.place:
            self.place = place
            self.draw()
