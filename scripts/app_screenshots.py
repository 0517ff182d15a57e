"""Write the pictures of `medseg app` in the documentation: ``docs/images/app*.png``. Needs the extras ``app`` and ``browser``.

    python scripts/app_screenshots.py

Drops the photographs of ``examples/`` on the page, opens two weights side by side, and trains for a short while on their masks.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
PHOTOS = sorted((REPOSITORY / "examples").glob("*.jpg"))
PICTURES = REPOSITORY / "docs" / "images"
PATIENCE = 600_000  # milliseconds
MINUTES = "2"


def main() -> None:
    """Start the server in an empty folder, and take the pictures."""
    chromium = os.environ.get("MEDSEG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = subprocess.Popen(
            [sys.executable, "-m", "medseg_monai", "app", "--no-browser"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            take(page, address)
        finally:
            browser.close()
            server.send_signal(signal.SIGINT)
            server.wait(120)


def take(page: Any, address: str) -> None:
    """All pictures, in one visit."""
    page.goto(address)
    page.set_input_files(".medseg-drop input[type=file][multiple] >> nth=0", PHOTOS)
    page.wait_for_function(f"document.querySelectorAll('.medseg-case img').length === {len(PHOTOS)}")
    page.wait_for_function("document.querySelector('.medseg-viewer').dataset.shown === '3/3'")
    save(page, "app")
    page.get_by_label("beside it").click()
    page.locator(".q-menu .q-item", has_text="unet (shipped").first.click()
    page.get_by_text("Dice of the two").wait_for()
    save(page, "app_compare")
    page.get_by_role("tab", name="Train").click()
    for number in range(len(PHOTOS)):
        page.get_by_role("button", name="Add this case").click()
        page.get_by_text(f"{number + 1} corrected images in").wait_for()
        page.locator(".medseg-viewer").first.focus()
        page.keyboard.press("n")
        page.get_by_text("Dice of the two").wait_for()
        page.wait_for_timeout(1500)
    page.get_by_label("minutes for training").fill(MINUTES)
    page.get_by_role("button", name="Plan a training").click()
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("new weights:").wait_for()
    page.get_by_text("new weights:").scroll_into_view_if_needed()
    save(page, "app_train")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 400, "height": 860})
    page.get_by_role("tab", name="Mask").click()
    save(page, "app_narrow", full_page=True)


def save(page: Any, name: str, *, full_page: bool = False) -> None:
    """Once nothing moves any more."""
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=full_page)
    print(PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
