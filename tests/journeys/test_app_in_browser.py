"""`medseg app` in Chromium: a photograph dropped, its mask seen, corrected and saved. ``make test-browser``."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from medseg_monai.predictor import Prediction, Predictor

pytestmark = pytest.mark.browser
PHOTOS = [REPOSITORY / "examples" / f"ISIC_{number}.jpg" for number in ("0000253", "0000361")]
DROP = ".medseg-drop input[type=file][multiple]"
READY = "document.querySelector('.medseg-viewer').dataset.shown === '3/3'"
DRAWN = "(([shown, wanted]) => shown === wanted)(document.querySelector('.medseg-viewer').dataset.shown.split('/'))"
OUTLINE = 8
"""Pixels of the screen that half of the outline with its halo covers."""
PATIENCE = 120_000  # milliseconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server puts what is dropped."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(folder: Path, places: Path) -> Iterator[str]:
    """A server, which must not have met an error that it did not expect, and which leaves nothing behind."""
    with (
        (places / "errors").open("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "medseg_monai", "app", "--no-browser"],
            stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, env={**os.environ, "TMPDIR": str(places)},
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        process.wait(100)
        assert "Traceback" not in (places / "errors").read_text()
        assert list(places.glob("medseg-app-*")) == []


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def page(context: Any, address: str) -> Iterator[Any]:
    """A tab in which both photographs are segmented and the first of the list is open."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if not _is_local(request.url) else None)
    page.goto(address)
    page.set_input_files(f"{DROP} >> nth=0", PHOTOS)
    page.wait_for_function("document.querySelectorAll('.medseg-case img').length === 2")
    page.wait_for_function(READY)
    yield page
    page.close()
    assert faults == []


@pytest.fixture(scope="module")
def found() -> dict[str, Prediction]:
    predictor = Predictor("unetpp")
    return {photo.stem: predictor(photo) for photo in PHOTOS}


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def canvas(page: Any) -> NDArray[np.int64]:
    """The viewer's pixels, once they stay the same."""
    page.wait_for_function(DRAWN)
    page.wait_for_timeout(300)
    return picture_of(page.evaluate("document.querySelector('.medseg-viewer canvas').toDataURL('image/png')"))


def picture_of(text: str) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB")).astype(int)


def case_with(page: Any, text: str) -> Any:
    """What the list says of a case."""
    return page.locator(".medseg-why", has_text=text).first


def current(page: Any) -> str:
    return str(page.locator(".medseg-case[aria-current=true] span > *").first.inner_text())


def test_the_mask_that_is_seen_is_the_predictors(page: Any, found: dict[str, Prediction]) -> None:
    """What changes on the screen when the mask is turned off is the mask, on the image's pixels."""
    with_mask = canvas(page)
    page.keyboard.press("t")
    without = canvas(page)
    changed = np.abs(with_mask - without).max(axis=2) > 2
    mask = found[current(page)].mask > 0
    height, width = mask.shape
    scale = min(changed.shape[1] / width, changed.shape[0] / height)
    left, top = (changed.shape[1] - width * scale) / 2, (changed.shape[0] - height * scale) / 2
    rows, columns = np.indices(changed.shape)
    inside = (rows >= top) & (rows < top + height * scale) & (columns >= left) & (columns < left + width * scale)
    shown = np.zeros_like(changed)
    shown[inside] = mask[((rows - top) / scale).astype(int)[inside], ((columns - left) / scale).astype(int)[inside]]
    assert not (shown & ~changed).any()
    assert distance_transform_edt(~shown)[changed].max() < OUTLINE
    assert not changed[~inside].any()


def test_brush_undo_save_by_keyboard_and_pointer(page: Any, folder: Path, found: dict[str, Prediction]) -> None:
    name = current(page)
    box = page.locator(".medseg-viewer").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.9
    page.keyboard.press("b")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 10, steps=5)
    page.mouse.up()
    case_with(page, "corrected").wait_for()
    page.keyboard.press("s")
    case_with(page, "corrected, saved").wait_for()
    painted = np.asarray(Image.open(folder / "masks" / f"{name}_mask.png")) > 0
    network = found[name].mask > 0
    assert (painted & ~network).sum() > 500
    assert (network & ~painted).sum() == 0
    page.keyboard.press("u")
    case_with(page, "corrected").wait_for(state="detached")
    page.keyboard.press("s")
    case_with(page, "saved").wait_for()
    page.wait_for_timeout(500)
    found[name].save(folder / "wanted.png")
    assert (folder / "masks" / f"{name}_mask.png").read_bytes() == (folder / "wanted.png").read_bytes()


def test_a_click_outside_takes_the_place_away(page: Any, found: dict[str, Prediction]) -> None:
    name = current(page)
    row, column = np.argwhere(found[name].mask > 0).mean(axis=0)
    height, width = found[name].mask.shape
    box = page.locator(".medseg-viewer").first.bounding_box()
    scale = min(box["width"] / width, box["height"] / height)
    before = canvas(page)
    page.keyboard.press("o")
    page.mouse.click(
        box["x"] + (box["width"] - width * scale) / 2 + (column + 0.5) * scale,
        box["y"] + (box["height"] - height * scale) / 2 + (row + 0.5) * scale,
    )
    case_with(page, "corrected").wait_for()
    assert np.abs(canvas(page) - before).max() > 60


def test_next_and_previous_by_keyboard(page: Any) -> None:
    first = current(page)
    page.keyboard.press("n")
    page.wait_for_function(f"!document.querySelector('.medseg-case[aria-current=true]').innerText.includes('{first}')")
    page.keyboard.press("p")
    page.wait_for_function(f"document.querySelector('.medseg-case[aria-current=true]').innerText.includes('{first}')")


def tab_to(page: Any, what: str) -> None:
    """Go on to the element for which a JavaScript expression of the focused one is true."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(f"((focused) => focused && {what})(document.activeElement)"):
            return
    raise AssertionError(f"the Tab key does not reach {what}")


def test_a_photograph_is_opened_corrected_and_saved_by_the_keyboard_alone(
    context: Any, address: str, folder: Path, found: dict[str, Prediction]
) -> None:
    """Files are chosen in the browser's own window, which takes them from the test; all else is pressed."""
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".medseg-drop")
    tab_to(page, "focused.innerText?.trim().toLowerCase() === 'files'")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(PHOTOS[1])
    page.wait_for_function(READY)
    name = current(page)
    tab_to(page, "focused.classList.contains('medseg-viewer')")
    page.keyboard.press("e")
    page.wait_for_selector(".medseg-viewer[data-tool=eraser]")
    page.keyboard.press("Space")  # the eraser, in the middle of the picture
    case_with(page, "corrected").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("s")
    case_with(page, "corrected, saved").wait_for()
    page.wait_for_timeout(500)
    erased = (found[name].mask > 0) & ~(np.asarray(Image.open(folder / "masks" / f"{name}_mask.png")) > 0)
    height, width = erased.shape
    assert erased[height // 2, width // 2]
    rows, columns = np.nonzero(erased)
    assert abs(rows.mean() - height / 2) < 2
    assert columns.max() - columns.min() > rows.max() - rows.min() + 2  # it went on to the right
    for _ in range(2):
        page.keyboard.press("u")
    case_with(page, "corrected").wait_for(state="detached")
    page.keyboard.press("i")
    page.wait_for_selector(".medseg-viewer[data-tool=inside]")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")  # a click: "this belongs to it"
    case_with(page, "corrected").wait_for()
    page.close()


def canvases(page: Any) -> list[NDArray[np.int64]]:
    """The pixels of all viewers that are seen."""
    page.wait_for_timeout(300)
    page.wait_for_function(
        "[...document.querySelectorAll('.medseg-viewer')].filter((one) => one.offsetParent)"
        ".every((one) => { const [a, b] = (one.dataset.shown || '0/1').split('/'); return a === b && b !== '0'; })"
    )
    page.wait_for_timeout(300)
    texts = page.evaluate(
        "[...document.querySelectorAll('.medseg-viewer')].filter((one) => one.offsetParent)"
        ".map((one) => one.querySelector('canvas').toDataURL('image/png'))"
    )
    return [picture_of(text) for text in texts]


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.locator(".q-menu .q-item", has_text=option).first.click()


def test_two_weights_side_by_side_zoom_together(page: Any, found: dict[str, Prediction]) -> None:
    name = current(page)
    choose(page, "beside it", "unet (shipped weights)")
    said = page.get_by_text("Dice of the two")
    said.wait_for()
    ours, theirs = found[name].mask > 0, Predictor("unet")(next(p for p in PHOTOS if p.stem == name)).mask > 0
    dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
    assert (
        f"{ours.sum():,} pixels in the first, {theirs.sum():,} in the second, Dice of the two {dice:.3f}"
        in said.inner_text()
    )
    left, right = canvases(page)
    assert left.shape == right.shape
    assert 0 < (np.abs(left - right).max(axis=2) > 8).mean() < 0.2, "the same picture with another outline"
    page.locator(".medseg-viewer").first.focus()
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("t")
    page.wait_for_timeout(300)
    left, right = canvases(page)
    assert np.array_equal(left, right), "both show the same part"
    page.keyboard.press("t")
    choose(page, "beside it", "nothing")
    said.wait_for(state="detached")
    assert len(canvases(page)) == 1


def test_true_masks_are_scored_and_the_report_is_read_in_place(
    page: Any, tmp_path: Path, found: dict[str, Prediction]
) -> None:
    name, prediction = next(iter(found.items()))
    truth = (prediction.mask > 0).astype(np.uint8) * 255
    truth[: truth.shape[0] // 2] = 0
    Image.fromarray(truth).save(tmp_path / f"{name}_segmentation.png")
    page.get_by_role("tab", name="Evaluate").click()
    page.set_input_files(f".medseg-right {DROP}", tmp_path / f"{name}_segmentation.png")
    page.get_by_text("1 masks").wait_for()
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.get_by_role("button", name="Show the report").click()
    dice = 2 * (truth > 0).sum() / ((truth > 0).sum() + (prediction.mask > 0).sum())
    page.get_by_text(f"1 case: dice {dice:.3f}").wait_for()
    report = page.frame_locator("iframe[title='report of the evaluation']")
    report.get_by_role("heading", name="Evaluation of unetpp on dropped-images").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close the report").wait_for(state="hidden")
    commands = page.locator(".medseg-right .medseg-command").all_text_contents()
    assert [command.split()[1] for command in commands[-2:]] == ["prepare", "evaluate"]


def test_a_second_tab_has_its_own_cases(page: Any, context: Any, address: str) -> None:
    other = context.new_page()
    other.goto(address)
    other.locator(".medseg-drop").first.wait_for()
    assert other.locator(".medseg-case").count() == 0
    other.close()
    page.keyboard.press("n")
    canvas(page)


def test_a_broken_file_is_named_and_the_others_stay(page: Any) -> None:
    page.set_input_files(
        f"{DROP} >> nth=0", [{"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}]
    )
    case_with(page, "failed:").wait_for()
    assert page.locator(".medseg-case").count() == 3


def test_names_are_text_and_what_failed_does_not_hide_the_rest(context: Any, address: str) -> None:
    said: list[str] = []
    page = context.new_page()
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    photo = PHOTOS[0].read_bytes()
    names = ["<img src=x onerror=alert(1)>.jpg", 'it\'s "quoted".jpg', "line\nbreak.jpg", "-rf.jpg", "../../up.jpg"]
    files = [{"name": name, "mimeType": "image/jpeg", "buffer": photo} for name in names]
    files += [{"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}]
    files += [{"name": "broken.zip", "mimeType": "application/zip", "buffer": b"PK"}]
    page.set_input_files(f"{DROP} >> nth=0", files)
    page.get_by_text("left out: broken.zip").wait_for()
    page.wait_for_function(f"document.querySelectorAll('.medseg-case img').length === {len(names)}")
    page.wait_for_function(READY)  # the first that has a mask is open
    assert case_with(page, "failed:").inner_text().startswith("failed: broken.jpg: ")
    assert page.locator(".medseg-case").count() == len(names) + 1
    page.keyboard.press("n")
    canvas(page)
    page.close()
    assert said == []


def test_hundreds_of_files_are_listed_in_parts_and_a_run_can_be_left(context: Any, address: str, places: Path) -> None:
    page = context.new_page()
    page.goto(address)
    before = set(places.glob("medseg-app-*"))
    photo = io.BytesIO()
    Image.open(PHOTOS[0]).resize((40, 30)).save(photo, "JPEG")
    files = [{"name": f"{n:03}.jpg", "mimeType": "image/jpeg", "buffer": photo.getvalue()} for n in range(200)]
    page.set_input_files(f"{DROP} >> nth=0", files)
    page.get_by_text("of 200, about").wait_for()
    page.get_by_text("Show more of 200 cases").wait_for()
    assert page.locator(".medseg-case").count() == 50
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('.medseg-case').length === 100")
    page.reload()  # in the middle of it
    page.locator(".medseg-drop").first.wait_for()
    assert page.locator(".medseg-case").count() == 0
    page.close()
    end = time.monotonic() + 60
    while before <= set(places.glob("medseg-app-*")):
        assert time.monotonic() < end, "the files of a closed tab are removed"
        time.sleep(0.5)


def test_a_file_that_is_too_large_is_named_and_not_sent(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    page.locator(".medseg-drop").first.wait_for()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.evaluate("Object.defineProperty(File.prototype, 'size', { get: () => 9e9 })")
    page.set_input_files(f"{DROP} >> nth=0", PHOTOS[0])
    page.get_by_text(f"left out: {PHOTOS[0].name}: larger than 8 GB").wait_for()
    assert sent == []
    page.close()


@pytest.mark.slow
def test_corrections_become_new_weights_though_the_tab_is_closed(
    context: Any, address: str, folder: Path, demo_data: Path
) -> None:
    page = context.new_page()
    page.goto(address)
    choose(page, "weights", "unet (shipped weights)")
    photos = sorted((demo_data / "images").iterdir())[:3]
    page.set_input_files(f"{DROP} >> nth=0", photos)
    page.wait_for_function("document.querySelectorAll('.medseg-case img').length === 3")
    page.wait_for_function(READY)
    page.get_by_role("tab", name="Train").click()
    for number in range(3):
        page.get_by_role("button", name="Add this case").click()
        page.get_by_text(f"{number + 1} corrected images in").wait_for()
        page.locator(".medseg-viewer").first.focus()
        name = current(page)
        page.keyboard.press("n")
        page.wait_for_function(
            f"!document.querySelector('.medseg-case[aria-current=true]').innerText.includes('{name}')"
        )
    page.get_by_label("minutes for training").fill("0.2")
    page.get_by_role("button", name="Plan a training").click()
    page.get_by_role("button", name="Train", exact=True).click(timeout=3 * PATIENCE)
    page.get_by_text("training, epoch").wait_for()
    page.close()
    other = context.new_page()
    other.goto(address)
    other.get_by_role("tab", name="Train").click()
    other.get_by_text("new weights: unet (corrections)").wait_for(timeout=3 * PATIENCE)
    other.locator("[aria-label='loss and scores by epoch'] canvas").wait_for()
    other.get_by_role("button", name="Use these weights").click()
    other.get_by_label("weights", exact=True).click()
    offered = other.locator(".q-menu .q-item").all_inner_texts()
    assert {"unet (shipped weights)", "unet (corrections)"} <= set(offered)
    assert (folder / "models" / "unet" / "corrections" / "model.pt").is_file()
    other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_and_everybody_can_use_it(page: Any, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install '.[browser]'")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    violations = axe.Axe().run(page).response["violations"]
    serious = {
        violation["id"]: [node["html"][:150] for node in violation["nodes"]]
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    }
    assert serious == {}
