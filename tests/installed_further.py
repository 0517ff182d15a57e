"""What comes after the first minute with an installed wheel: plans, folds, repetitions, audits, volumes; how soon ten photographs are done.

    python installed_further.py        with an empty folder as working directory

As `installed_journey.py`, by `make test-wheel` alone: it takes minutes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from installed_journey import NETWORK, PACKAGE, files_of_installation, medseg
from PIL import Image

SECONDS_FOR_TEN = 20  # of processor time: what two cores have in ten seconds, however busy they are with other things
SMALL = ("--set", "architecture#features=[4, 8]", "--batch-size", "2")


def further() -> None:
    """All of it, on generated data."""
    assert not any(Path().iterdir()), "the working directory is not empty"
    before = files_of_installation()
    medseg("prepare", "demo", "--out", "data", "--n", "20", "--size", "48")
    ten_photographs()
    planned()
    folds_and_their_audit()
    repeated()
    reviewed_and_compared()
    corrected()
    volumes()
    own_bundle_first()
    assert files_of_installation() == before, "the installation was written to"
    assert not list(PACKAGE.parent.glob("**/previous")), "a training went to the installation"


def ten_photographs() -> None:
    """With shipped weights, from the command to the page, in a process of its own."""
    if not (PACKAGE / "bundles" / "unetpp" / "models" / "model.pt").is_file():
        return
    medseg("prepare", "demo", "--out", "photographs", "--n", "20", "--size", "512")
    files = [str(path) for path in sorted(Path("photographs/images").iterdir())[:10]]
    began, used = time.monotonic(), os.times()
    command = [sys.executable, "-m", "medseg_monai", "predict", "unetpp", *files, "--out", "ten"]
    subprocess.run(command, check=True)
    clock, now = time.monotonic() - began, os.times()
    processor = now.children_user + now.children_system - used.children_user - used.children_system
    sys.stdout.write(f"ten photographs: {clock:.1f} s by the clock, {processor:.1f} s of processor time\n")
    assert len(list(Path("ten").glob("*_mask.png"))) == 10
    assert Path("ten/index.html").is_file()
    assert processor < SECONDS_FOR_TEN


def planned() -> None:
    """A plan of the data, and a training by it that is shortened."""
    medseg("plan", "data", "--minutes", "1", "--out", "plan.yaml")
    medseg("train", "--plan", "plan.yaml", "--max-epochs", "1", "--out", "by_plan", *NETWORK[:4])
    assert {"model.pt", "spec.json", "run.json"} <= {path.name for path in Path("by_plan").iterdir()}


def folds_and_their_audit() -> None:
    """Two folds, their ensemble, and what they say of the labels."""
    folds = ("--folds", "2", "--keep-probabilities", "--max-epochs", "1")
    medseg("train", "unet", "-d", "data", *folds, "--out", "folds", *NETWORK)
    assert Path("folds/model.pt").is_file()
    medseg("predict", "unet", "data/images", "--weights", "folds", "--out", "by_folds")
    medseg("audit", "data", "--probabilities", "folds", "--out", "audit")
    assert {"audit.csv", "index.html"} <= {path.name for path in Path("audit").iterdir()}


def repeated() -> None:
    """A training again, from its record: exit code 0 says that the weights are equal to the bit."""
    medseg("train", "unet", "-d", "data", "--max-epochs", "1", "--out", "once", *NETWORK)
    medseg("rerun", "once", "--out", "twice")
    assert Path("twice/model.pt").read_bytes() == Path("once/model.pt").read_bytes()


def reviewed_and_compared() -> None:
    """What is learnt of the weights is what new images are compared with."""
    assert "medseg predict unet IMAGES -w once" in medseg("review", "unet", "-d", "data", "--weights", "once")
    assert "review" in json.loads(Path("once/spec.json").read_text())
    medseg("drift", "unet", "data/images", "--weights", "once", "--out", "drift", codes=(0, 3))
    assert json.loads(Path("drift/drift.json").read_text())


def corrected() -> None:
    """A click inside is part of the mask that is written."""
    image = min(Path("data/images").iterdir())
    medseg("correct", "unet", str(image), "--weights", "once", "--inside", "20,30", "--out", "corrected")
    with Image.open(Path("corrected") / f"{image.stem}_mask.png") as mask:
        assert mask.getpixel((30, 20))  # (column, row)


def volumes() -> None:
    """Training, prediction with what was trained, and with the shipped weights; the masks lie on the scans' grids."""
    medseg("prepare", "demo", "--kind", "volumes", "--out", "volumes", "--n", "8", "--size", "32")
    medseg("train", "unet3d", "-d", "volumes", "--max-epochs", "1", *SMALL)
    scan = min(Path("volumes/images").iterdir())
    medseg("predict", "unet3d", str(scan), "--weights", "demo-volumes", "--out", "scans")
    on_the_grid_of(scan, Path("scans"))
    if (PACKAGE / "bundles" / "unet3d" / "models" / "model.pt").is_file():
        grey = np.random.default_rng(0).uniform(0, 500, (36, 48, 30)).astype(np.float32)
        nibabel.Nifti1Image(grey, np.diag([1.0, 1.0, 1.2, 1.0])).to_filename("small.nii.gz")
        medseg("predict", "unet3d", "small.nii.gz", "--out", "by_shipped")
        on_the_grid_of(Path("small.nii.gz"), Path("by_shipped"))


def on_the_grid_of(scan: Path, masks: Path) -> None:
    """The one mask in a folder has the scan's shape and affine."""
    (mask,) = map(nibabel.load, masks.glob("*.nii.gz"))
    assert mask.shape == nibabel.load(scan).shape
    assert np.allclose(mask.affine, nibabel.load(scan).affine)


def own_bundle_first() -> None:
    """A copy in ./bundles takes precedence, and its weights stay beside it."""
    medseg("init", "pspnet")
    config = Path("bundles/pspnet/configs/train.json")
    content = json.loads(config.read_text())
    content["seed"] = 20261127
    config.write_text(json.dumps(content))
    medseg("train", "pspnet", "-d", "data", "--max-epochs", "1", "--size", "32", "--batch-size", "4")
    assert "20261127" in Path("bundles/pspnet/models/demo/run.json").read_text()


if __name__ == "__main__":
    further()
