"""What tests of several modules share: a small generated data set, and the command line called in this process."""

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import absl.logging
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from medseg_monai.cli import main
from medseg_monai.prepare.demo import prepare_demo

# the same examples in every run, so that a change is what makes a test fail; HYPOTHESIS_PROFILE=default draws new ones
# and how long they take to draw is no fault on a machine that does something else as well
settings.register_profile(
    "same", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# the logger that TensorBoard and OpenVINO bring closes the stream it found first when a bundle's config sets logging anew, and that
# would be pytest's own; the process's it leaves open
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

# a shell starts what runs in the background with SIGINT ignored: Ctrl-C is to mean the same there
signal.signal(signal.SIGINT, signal.default_int_handler)

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REPOSITORY = Path(__file__).resolve().parent.parent
# a network of a few thousand weights at 64 pixels: what takes seconds, not what is accurate
SMALL = ("--set", "architecture#features=[4, 8, 8]", "--set", "batch_size=4", "--size", "64")


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    """What is drawn at random depends on no other test: they run in another order, by other processes, each time."""
    _draw_anew()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """As for fixtures; a test draws the same whether its fixtures were made for it or for an earlier one."""
    _draw_anew()


def _draw_anew() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:  # some tests need none
        sys.modules["torch"].manual_seed(0)


class Outcome(NamedTuple):
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests' decoded images out of the user's cache."""
    os.environ["MEDSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, where it is there: beside the project or where MEDSEG_DATA says."""
    folder = Path(os.environ.get("MEDSEG_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data here (MEDSEG_DATA)")
    return folder


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty generated dermoscopy pictures of 96 x 80."""
    folder = tmp_path_factory.mktemp("demo")
    prepare_demo(folder, n=20, size=(96, 80))
    return folder


@pytest.fixture(scope="session")
def demo_volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight generated volumes of about 24 x 21 x 16 voxels, of several orientations."""
    folder = tmp_path_factory.mktemp("demo_volumes")
    prepare_demo(folder, kind="volumes", n=8, size=(24, 21, 16))
    return folder


@pytest.fixture
def medseg(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `medseg` with arguments; from the repository's root, as a user would."""
    monkeypatch.chdir(REPOSITORY)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["medseg", *map(str, arguments)])
        capfd.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capfd.readouterr()
        if isinstance(code, str):  # what Python prints for sys.exit("text")
            return Outcome(1, printed.out, printed.err + code)
        return Outcome(int(str(code or 0)), printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def trained(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a small U-Net++ trained for two epochs on the demo data."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle
    from medseg_monai.bundle.workflow import run_bundle

    folder = tmp_path_factory.mktemp("trained")
    settings = ["architecture#features=[4, 8, 8]", "batch_size=4", "size=[64, 64]", "max_epochs=2"]
    overrides = {"dataset_dir": str(demo_data), "output_dir": str(folder), **parse_assignments(settings)}
    run_bundle(find_bundle(REPOSITORY / "bundles" / "unetpp"), "train", overrides)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: the machine's own (or MEDSEG_CHROMIUM), else the one that playwright installed."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
    )
    found = os.environ.get("MEDSEG_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        try:  # no sandbox: as root, in a container, Chromium starts no other way; the page is our own
            started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no Chromium starts here (MEDSEG_CHROMIUM names one): {str(error).splitlines()[0]}")
        yield started
        started.close()
