"""The tab's addresses, over HTTP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from conftest import REPOSITORY
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from medseg_monai.app.files import routes
from medseg_monai.app.network import Choice
from medseg_monai.app.tab import Tab
from medseg_monai.app.views import Place

PHOTO = REPOSITORY / "examples" / "ISIC_0000361.jpg"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    tab = Tab()
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def client(tab: Tab) -> TestClient:
    server = FastAPI()
    server.include_router(routes({tab.key: tab}))
    return TestClient(server)


@pytest.fixture(scope="module")
def segmented(tab: Tab, client: TestClient) -> str:
    """The id of a photograph that was sent and segmented; its name needs quoting."""
    name = "Mole #1 änd 50 %.jpg"
    answer = client.post(
        f"/tab/{tab.key}/files/images", content=PHOTO.read_bytes(), headers={"X-File-Name": quote(name)}
    )
    assert answer.json() == {"stored": name}
    asyncio.run(tab.segment(Choice("unetpp"), lambda: None))
    return name.removesuffix(".jpg")


def test_fill_is_the_mask(tab: Tab, client: TestClient, segmented: str) -> None:
    answer = client.get(f"/tab/{tab.key}/layer/fill/image/0/{quote(segmented)}")
    assert answer.headers["cache-control"] == "no-store"
    layer = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(layer[..., 3] > 0, tab.cases[segmented].mask > 0)


@pytest.mark.parametrize("layer", ["image", "outline", "probability-0", "uncertainty"])
def test_layers_are_pictures_of_the_images_size(tab: Tab, client: TestClient, segmented: str, layer: str) -> None:
    answer = client.get(f"/tab/{tab.key}/layer/{layer}/image/0/{quote(segmented)}")
    with Image.open(PHOTO) as photo:
        assert Image.open(io.BytesIO(answer.content)).size == photo.size


@pytest.mark.parametrize(("asked", "window"), [("bone", "bone"), ("other", "whole range")])
def test_a_slice_is_shown_in_the_window_that_is_asked_for(
    tab: Tab, client: TestClient, segmented: str, monkeypatch: pytest.MonkeyPatch, asked: str, window: str
) -> None:
    places: list[Place] = []
    volume = SimpleNamespace(
        planes={"axial": 3}, picture=lambda place: places.append(place) or np.zeros((4, 5, 3), np.uint8)
    )
    monkeypatch.setattr(tab, "view", lambda case: volume)
    assert client.get(f"/tab/{tab.key}/layer/image/axial/2/{quote(segmented)}?window={asked}").status_code == 200
    assert places == [Place("axial", 2, window)]


@pytest.mark.parametrize(
    "address",
    [
        "layer/fill/image/1/{id}",
        "layer/fill/axial/0/{id}",
        "layer/nothing/image/0/{id}",
        "layer/fill/image/0/other",
        "thumbnail/other",
    ],
)
def test_what_is_not_there_is_not_found(tab: Tab, client: TestClient, segmented: str, address: str) -> None:
    answer = client.get(f"/tab/{tab.key}/{address.format(id=quote(segmented))}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_another_tabs_key_opens_nothing(client: TestClient, segmented: str) -> None:
    assert client.get(f"/tab/other/thumbnail/{quote(segmented)}").status_code == 404
    assert client.post("/tab/other/files/images", content=b"x").status_code == 404


def test_a_bad_zip_is_refused_with_its_reason(tab: Tab, client: TestClient) -> None:
    answer = client.post(f"/tab/{tab.key}/files/images", content=b"no zip", headers={"X-File-Name": "a.zip"})
    assert answer.status_code == 422
    assert "a.zip" in answer.json()["detail"]


def test_files_go_to_known_folders_only(tab: Tab, client: TestClient) -> None:
    for folder, code in (("truth", 200), ("evaluation", 404), ("..", 404), ("%2e%2e", 404)):
        answer = client.post(f"/tab/{tab.key}/files/{folder}", content=b"x", headers={"X-File-Name": "a.png"})
        assert answer.status_code == code, folder
    assert (tab.received.folder / "truth" / "a.png").read_bytes() == b"x"


def test_a_report_runs_its_scripts_but_is_no_page_of_the_servers(tab: Tab, client: TestClient, tmp_path: Path) -> None:
    assert client.get(f"/tab/{tab.key}/report/0").status_code == 404
    page = tmp_path / "report.html"
    page.write_text("<p>scores")
    tab.scorings.append(SimpleNamespace(page=page))  # type: ignore[arg-type]  # of a scoring only this is asked
    answer = client.get(f"/tab/{tab.key}/report/0")
    tab.scorings.clear()
    assert answer.text == "<p>scores"
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in answer.headers["content-security-policy"]
    assert client.get(f"/tab/{tab.key}/report/-1").status_code == 404


def test_the_other_weights_mask_is_a_layer_of_its_own(tab: Tab, client: TestClient, segmented: str) -> None:
    address = f"/tab/{tab.key}/layer/fill/image/0/{quote(segmented)}?beside=1"
    assert client.get(address).status_code == 404
    tab.beside = Choice("unet")
    case = tab.cases[segmented]
    found = asyncio.run(tab.compare(case))
    layer = np.asarray(Image.open(io.BytesIO(client.get(address).content)))
    assert found is not None
    assert np.array_equal(layer[..., 3] > 0, found.mask > 0)
    ours, theirs = case.mask > 0, found.mask > 0
    dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
    assert f"Dice of the two {dice:.3f}" in asyncio.run(tab.agreement(case))
    tab.beside = Choice("unet3d")
    with pytest.raises(ValueError, match="is for volumes"):
        asyncio.run(tab.compare(case))
    tab.beside = None
    assert asyncio.run(tab.compare(case)) is None
