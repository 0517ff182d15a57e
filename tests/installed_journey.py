"""What somebody does who has installed the wheel and works in an empty folder: run by that installation's Python, there.

    python installed_journey.py        with an empty folder as working directory

Every step is asserted. The installation itself must be as it was afterwards. `make test-wheel` runs it in a fresh environment, the
tests (`test_installed.py`) on an unpacked wheel.
"""

import contextlib
import io
import sys
from collections.abc import Collection
from pathlib import Path

import medseg_monai
from medseg_monai.cli import main

PACKAGE = Path(medseg_monai.__file__).resolve().parent
NETWORK = ("--set", "architecture#features=[4, 8]", "--size", "32", "--batch-size", "4")


def medseg(*arguments: str, codes: Collection[object] = (None, 0)) -> str:
    """Call the command line, which must end with one of these codes; return what it printed."""
    sys.argv = ["medseg", *arguments]
    printed = io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stdout(printed):
            main()
    except SystemExit as ended:
        code = ended.code
    assert code in codes, f"medseg {' '.join(arguments)} ended with {code}"
    sys.stdout.write(f"$ medseg {' '.join(arguments)}\n{printed.getvalue()}")
    return printed.getvalue()


def files_of_installation() -> dict[str, int]:
    """Every file of the installed package, with its time; compiled ones come and go."""
    found = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path): path.stat().st_mtime_ns for path in found}


def journey() -> None:
    """From the list of bundles to a packaged one."""
    assert not (PACKAGE.parent / "pyproject.toml").is_file(), "this is the source, not an installation"
    assert not any(Path().iterdir()), "the working directory is not empty"
    before = files_of_installation()
    assert {"unet", "unetpp", "pspnet", "deeplabv3plus", "resunetpp", "unet3d"} <= set(medseg("list").split())
    medseg("prepare", "demo", "--out", "data", "--n", "12", "--size", "48")
    weights = Path("models/unetpp/demo")

    medseg("train", "U-Net++", "-d", "data", "--max-epochs", "1", *NETWORK)
    assert (weights / "model.pt").is_file()
    medseg("evaluate", "unetpp", "-d", "data")
    assert (weights / "evaluation_test" / "summary.json").is_file()
    medseg("tune", "unetpp", "-d", "data")
    medseg("review", "unetpp", "-d", "data")
    medseg("predict", "unet++", "data/images", "--weights", "demo", "--out", "masks")
    assert len(list(Path("masks").glob("*_mask.png"))) == 12
    image = min(Path("data/images").iterdir())
    medseg("explain", "unetpp", str(image), "--weights", "demo", "--method", "cam")
    assert list(Path("explanations").glob("*"))
    medseg("export", "unetpp", "--weights", "demo", "--out", "unetpp.ts")
    medseg("package", "unetpp", "--weights", "demo", "--out", "unetpp.zip")
    medseg("check", "unetpp.zip")
    assert medseg_monai.Predictor("unetpp", weights="demo")(image).mask.shape == (48, 48)

    if (PACKAGE / "bundles" / "unetpp" / "models" / "model.pt").is_file():
        with_shipped_weights(image)
    by_monai_alone(image)
    medseg("init", "unet")
    medseg("train", "unet", "-d", "data", "--max-epochs", "1", *NETWORK)
    assert Path("bundles/unet/models/demo/model.pt").is_file()
    assert files_of_installation() == before, "the installation was written to"


def with_shipped_weights(image: Path) -> None:
    """The first minute: masks without a training; what is learnt about the weights goes to a copy."""
    medseg("predict", "unetpp", str(image), "--out", "shipped")
    assert Path("shipped", f"{image.stem}_mask.png").is_file()
    assert Path("shipped", "index.html").is_file()
    assert medseg_monai.Predictor("unetpp")(image).mask.shape == (48, 48)
    Path("data/dataset.json").write_text(Path("data/dataset.json").read_text().replace('"demo"', '"other"'))
    medseg("evaluate", "unetpp", "-d", "data")
    assert Path("models/unetpp/evaluation_test/summary.json").is_file()
    medseg("review", "unetpp", "-d", "data")
    assert Path("models/unetpp/spec.json").is_file()
    Path("data/dataset.json").write_text(Path("data/dataset.json").read_text().replace('"other"', '"demo"'))


def by_monai_alone(image: Path) -> None:
    """What `python -m monai.bundle run` does, on the installed configs, which are told nothing of where they lie."""
    from monai.bundle import run

    configs = PACKAGE / "bundles" / "unet" / "configs"
    small = {"architecture#features": [4, 8], "size": [32, 32], "batch_size": 4, "max_epochs": 1}
    run(run_id="training", config_file=str(configs / "train.json"), dataset_dir="data", **small)
    assert Path("models/unet/demo/model.pt").is_file()
    given = {"dataset_dir": str(image), "weights": "demo", "output_dir": "by_monai"}
    run(run_id="run", config_file=str(configs / "inference.json"), **given)
    assert Path("by_monai", f"{image.stem}_mask.png").is_file()


if __name__ == "__main__":
    journey()
