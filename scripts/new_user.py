"""A new user with the clock: a fresh environment, the wheel, an empty folder, and a corrected mask of a photograph in three ways.

    python scripts/new_user.py examples/ISIC_0000253.jpg

Times what somebody waits for after installation: `medseg predict` and `medseg correct`, the Python function, and the page of `medseg app`
in Chromium (driven by Playwright: drop, brush, save). The wheel is built here and installed without its dependencies, which are linked
from the environment that runs this script, so that only this package is fresh; `--download` installs them too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = "medseg app: dropped, seen, corrected with the brush, saved"
IN_PYTHON = """
import sys, medseg_monai as mm
done = mm.correct("unetpp", sys.argv[1], outside="5,5", out="from_python")
assert done.files[0].is_file()
"""


def main() -> None:
    """Print a line for each way, with its seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--download", action="store_true", help="install the dependencies too, instead of linking them")
    options = parser.parse_args()
    photograph = options.photograph.resolve()
    with tempfile.TemporaryDirectory() as place:
        python, seconds = installed(Path(place), download=options.download)
        print(
            f"{seconds:6.1f} s  installed into a fresh environment{'' if options.download else ', dependencies linked'}"
        )
        here = Path(place) / "empty"
        here.mkdir()
        medseg = [str(python), "-m", "medseg_monai"]
        total, worked = time.monotonic(), processor_s()
        ways: dict[str, Callable[[], None]] = {
            "medseg predict": lambda: run([*medseg, "predict", "unetpp", str(photograph)], here),
            "medseg correct": lambda: run([*medseg, "correct", "unetpp", str(photograph), "--outside", "5,5"], here),
            "mm.correct in Python": lambda: run([str(python), "-c", IN_PYTHON, str(photograph)], here),
            PAGE: lambda: by_page(medseg, here, photograph),
        }
        for name, way in ways.items():
            began, before = time.monotonic(), processor_s()
            way()
            print(
                f"{time.monotonic() - began:6.1f} s  {name} ({processor_s() - before:.1f} s of processor)", flush=True
            )
        print(
            f"{time.monotonic() - total:6.1f} s  all four, one after the other ({processor_s() - worked:.1f} s of processor)"
        )


def installed(place: Path, *, download: bool) -> tuple[Path, float]:
    """The Python of a fresh environment with the wheel, and the seconds that this took."""
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(place)]
    run([*build, str(REPOSITORY)], place)
    wheel = next(place.glob("*.whl"))
    began = time.monotonic()
    venv.create(place / "venv", with_pip=download, symlinks=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = place / "venv" / scripts / "python"
    if download:
        run([str(python), "-m", "pip", "install", "-q", f"{wheel}[app]"], place)
        return python, time.monotonic() - began
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lib = ("Lib",) if os.name == "nt" else ("lib", version)
    site = place.joinpath("venv", *lib, "site-packages")
    shutil.unpack_archive(wheel, site, "zip")  # what pip does with this wheel
    # a path file, after this package: an editable installation in the other environment is not seen
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    where = subprocess.run(
        [str(python), "-c", "import medseg_monai; print(medseg_monai.__file__)"],
        cwd=place, capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip
    if not Path(where.stdout.strip()).is_relative_to(site.resolve()):
        sys.exit(f"not the installed package: {where.stdout.strip()}")
    return python, time.monotonic() - began


def processor_s() -> float:
    """Seconds that this program's ended children have computed; on a machine that others use too this says more than the clock."""
    times = os.times()
    return times.children_user + times.children_system


def environment() -> dict[str, str]:
    """Without a path to the source."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(command: list[str], folder: Path) -> None:
    """Run a command; its output is shown if it fails."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment())
    if ended.returncode:
        sys.exit(f"{' '.join(command)}\n{ended.stdout}{ended.stderr}")


def by_page(medseg: list[str], folder: Path, photograph: Path) -> None:
    """Drop a photograph on the page, wait for its mask, paint on it, save it."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("MEDSEG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    server = subprocess.Popen(
        [*medseg, "app", "--no-browser"], cwd=folder, stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            paint(browser.new_page(viewport={"width": 1280, "height": 800}), address, photograph)
            browser.close()
        assert (folder / "masks" / f"{photograph.stem}_mask.png").is_file()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def paint(page: Any, address: str, photograph: Path) -> None:
    """A stroke in the image's corner, by keyboard and pointer."""
    page.set_default_timeout(120_000)
    page.goto(address)
    page.set_input_files(".medseg-drop input[type=file][multiple] >> nth=0", photograph)
    page.wait_for_function("document.querySelector('.medseg-viewer').dataset.shown === '3/3'")
    box = page.locator(".medseg-viewer").first.bounding_box()
    page.keyboard.press("b")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.9
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 10, steps=5)
    page.mouse.up()
    page.locator(".medseg-why", has_text="corrected").wait_for()
    page.keyboard.press("s")
    page.locator(".medseg-why", has_text="saved").wait_for()


if __name__ == "__main__":
    main()
