"""The addresses from which the browser fetches a tab's pictures and to which it sends files. `guard.py` has let the request in."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from fastapi import APIRouter, HTTPException, Request, Response

from medseg_monai.app.guard import TooLargeError
from medseg_monai.app.layers import fill_png, heat_png, image_jpeg, outline_png
from medseg_monai.app.network import in_turn
from medseg_monai.app.opened import Opened
from medseg_monai.app.received import IMAGES, TRUTHS
from medseg_monai.app.tab import Tab
from medseg_monai.app.views import WINDOWS, Place

PREFIX = "/tab"
NOT_KEPT = {"Cache-Control": "no-store"}


def routes(tabs: Mapping[str, Tab]) -> APIRouter:
    """The routes for the tabs that are open, by key."""
    router = APIRouter(prefix=PREFIX)

    def tab_of(key: str) -> Tab:
        if key not in tabs:
            raise HTTPException(404, "this tab is closed: load the page again")
        return tabs[key]

    @router.post("/{key}/files/{folder}")
    async def receive(key: str, folder: str, request: Request) -> dict[str, str]:
        """One file; its name is in a header, as text that any header can hold."""
        name = unquote(request.headers.get("x-file-name", ""))
        if folder not in (IMAGES, TRUTHS):
            raise HTTPException(404, "no such folder")
        try:
            stored = await tab_of(key).received.store(name, request.stream(), folder=folder)
        except (ValueError, OSError, TooLargeError) as error:
            raise HTTPException(422, f"{name}: {error}") from None
        return {"stored": stored.name}

    @router.get("/{key}/thumbnail/{case_id:path}")
    async def thumbnail(key: str, case_id: str) -> Response:
        tab = tab_of(key)
        return _picture(await in_turn(lambda: tab.thumbnail(_case(tab, case_id))), "jpeg")

    @router.get("/{key}/layer/{layer}/{plane}/{index}/{case_id:path}")
    async def layer(
        key: str, layer: str, plane: str, index: int, case_id: str, window: str = "whole range", beside: bool = False
    ) -> Response:
        tab = tab_of(key)
        place = Place(plane, index, window if window in WINDOWS else "whole range")
        try:
            content, kind = await in_turn(lambda: _drawn(tab, layer, place, case_id, beside=beside))
        except (LookupError, ValueError, OSError) as error:
            raise HTTPException(404, f"{layer}: {error}") from None
        return _picture(content, kind)

    @router.get("/{key}/report/{number}")
    async def report(key: str, number: int) -> Response:
        """The page of an evaluation. Its scripts run, but it is not a page of this server's: it sees neither the token nor the tab."""
        scorings = tab_of(key).scorings
        page = scorings[number].page if 0 <= number < len(scorings) else None
        if page is None:
            raise HTTPException(404, "there is no report yet")
        policy = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'"
        return Response(
            page.read_bytes(), media_type="text/html", headers={**NOT_KEPT, "Content-Security-Policy": policy}
        )

    return router


def _case(tab: Tab, case_id: str) -> Opened:
    if case_id not in tab.cases:
        raise HTTPException(404, "no such case")
    return tab.cases[case_id]


def _drawn(tab: Tab, layer: str, place: Place, case_id: str, *, beside: bool) -> tuple[bytes, str]:
    """A layer's picture and its kind; `beside`: the mask of the other weights.

    Raises:
        LookupError, ValueError: there is no such layer or place.
    """
    case = _case(tab, case_id)
    view = tab.view(case)
    if not 0 <= place.index < view.planes[place.plane]:
        raise ValueError(f"{place.plane} has {view.planes[place.plane]} slices")
    if layer == "image":
        return image_jpeg(view.picture(place)), "jpeg"
    if layer in ("fill", "outline"):
        planes = view.slice_of(tab.planes_beside(case) if beside else case.planes(), place)
        return (fill_png if layer == "fill" else outline_png)(planes), "png"
    return heat_png(view.slice_of(tab.map_of(case, layer), place)[0]), "png"


def _picture(content: bytes, kind: str) -> Response:
    return Response(content, media_type=f"image/{kind}", headers=NOT_KEPT)
