"""Scores against true masks: those of the command, with what was left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

import medseg_monai as mm
from medseg_monai.app.network import Choice, predictor
from medseg_monai.app.received import IMAGES, TRUTHS, Received
from medseg_monai.app.scoring import score

PHOTOS = [REPOSITORY / "examples" / f"ISIC_{number}.jpg" for number in ("0000253", "0000361")]
UNET = Choice("unet")


@pytest.fixture
def received() -> Iterator[Received]:
    received = Received()
    (received.folder / IMAGES).mkdir()
    for photo in PHOTOS:
        shutil.copy(photo, received.folder / IMAGES)
    yield received
    received.close()


def write_truth(folder: Path, photo: Path) -> None:
    """The network's own mask without its left half."""
    mask = mm.Predictor("unet")(photo).mask * 255
    mask[:, : np.argwhere(mask)[:, 1].mean().astype(int)] = 0
    folder.mkdir(exist_ok=True)
    Image.fromarray(mask).save(folder / f"{photo.stem}_segmentation.png")


@pytest.mark.parametrize("dropped", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_scores_are_those_of_the_masks(received: Received, tmp_path: Path, dropped: bool) -> None:
    folder = received.folder / TRUTHS if dropped else tmp_path / "my truths"
    write_truth(folder, PHOTOS[0])
    one = score(received, UNET, predictor(UNET).spec, None if dropped else folder)
    assert one.job.wait(300)
    assert one.page is not None, list(one.job.lines)
    assert one.found is not None
    found = mm.Predictor("unet")(PHOTOS[0]).mask > 0
    truth = np.asarray(Image.open(folder / f"{PHOTOS[0].stem}_segmentation.png")) > 0
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert one.found.mean() == pytest.approx(dice, abs=1e-6)
    assert one.status().startswith("1 case: dice ")
    (left_out,) = one.left_out
    assert PHOTOS[1].name in left_out
    assert "no mask" in left_out


def test_masks_of_other_sizes_are_a_failure_with_its_reason(received: Received) -> None:
    (received.folder / TRUTHS).mkdir()
    Image.new("L", (9, 9), 255).save(received.folder / TRUTHS / f"{PHOTOS[0].stem}.png")
    one = score(received, UNET, predictor(UNET).spec)
    assert one.job.wait(300)
    assert one.page is None
    assert one.status().startswith("failed: ")
    assert "9x9" in one.status()


def test_what_is_missing_is_said(received: Received, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="drop true masks first"):
        score(received, UNET, predictor(UNET).spec)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        score(received, UNET, predictor(UNET).spec, tmp_path / "nowhere")
