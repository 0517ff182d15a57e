"""A tab's work with the shipped weights: the same masks as the command's, failures beside them, clicks, maps."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Iterator

import nibabel
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.app.maps import map_names
from medseg_monai.app.network import Choice, predictor
from medseg_monai.app.tab import Progress, Tab
from medseg_monai.app.views import Place
from medseg_monai.predictor import Predictor

PHOTO = REPOSITORY / "examples" / "ISIC_0000253.jpg"
UNETPP = Choice("unetpp")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """One photograph, and a file that is none."""
    tab = Tab()
    images = tab.received.folder / "images"
    images.mkdir()
    shutil.copy(PHOTO, images)
    (images / "broken.jpg").write_bytes(b"no picture")
    (images / "volume.nii.gz").write_bytes(b"for another network")
    said: list[str] = []
    asyncio.run(tab.segment(UNETPP, lambda: said.append(tab.progress.text() if tab.progress else "end")))
    assert said[-1] == "end"
    assert "2 of 2" in said
    yield tab
    tab.close()


def test_the_mask_is_the_predictors(tab: Tab) -> None:
    found = Predictor("unetpp")(PHOTO)
    case = tab.cases["ISIC_0000253"]
    assert np.array_equal(case.mask, found.mask)
    assert case.prediction is not None
    assert case.prediction.predicted_dice == found.predicted_dice


def test_a_broken_file_says_why_and_comes_first(tab: Tab) -> None:
    first, second = tab.sorted()
    assert (first.id, second.id) == ("broken", "ISIC_0000253")
    assert first.failure.startswith("broken.jpg: is not a picture"), "no path that the user has never seen"
    assert "\n" not in first.failure


def test_files_for_other_weights_are_named(tab: Tab) -> None:
    (note,) = tab.notes
    assert "what was dropped: 1 file" in note
    assert "volume.nii.gz" in note


def test_layers_of_the_network(tab: Tab) -> None:
    case = tab.cases["ISIC_0000253"]
    probability, doubt = tab.map_of(case, "probability-0"), tab.map_of(case, "uncertainty")
    assert probability.shape == doubt.shape == (1, *case.mask.shape)
    outside = probability[0] < 0.01
    assert doubt[0][outside].max() < 0.1 < doubt[0][np.abs(probability[0] - 0.5) < 0.1].min()
    with pytest.raises(LookupError, match="no map"):
        tab.map_of(case, "probability-7")


def test_grad_cam_is_that_of_the_command(tab: Tab) -> None:
    case = tab.cases["ISIC_0000253"]
    heat = tab.map_of(case, "gradcam-0")
    assert heat.shape == (1, *case.mask.shape)
    assert (heat.min(), heat.max()) == (0, 1)
    written = next((tab.received.folder / "explanations").glob("*gradcam*.png"))
    assert np.array_equal(np.rint(heat[0] * 255), np.asarray(Image.open(written)))


def test_a_click_changes_the_mask_where_it_was_made(tab: Tab) -> None:
    case = tab.cases["ISIC_0000253"]
    row, column = (int(value) for value in np.argwhere(case.mask == 1).mean(axis=0))
    asyncio.run(tab.click(case, Place(), row, column, class_number=0, inside=False))
    assert case.mask[row, column] == 0
    assert tab.clicks_in(case, Place()) == [{"x": column + 0.5, "y": row + 0.5, "inside": False}]
    assert case.undo()


def test_thumbnails_are_pictures_even_of_broken_files(tab: Tab) -> None:
    for case in tab.cases.values():
        assert Image.open(io.BytesIO(tab.thumbnail(case))).format == "JPEG"


def test_a_run_that_is_stopped_keeps_what_is_done() -> None:
    tab = Tab()
    try:
        images = tab.received.folder / "images"
        images.mkdir()
        for name in "ab":
            shutil.copy(PHOTO, images / f"{name}.jpg")

        def stop() -> None:
            if tab.progress is not None and tab.progress.done:
                tab.progress.cancelled = True

        asyncio.run(tab.segment(UNETPP, stop))
        assert [case.prediction is not None for case in tab.cases.values()] == [True, False]
    finally:
        tab.close()
    assert not tab.received.folder.exists()


def test_there_must_be_images() -> None:
    tab = Tab()
    try:
        with pytest.raises((FileNotFoundError, ValueError)):
            asyncio.run(tab.segment(UNETPP, lambda: None))
        assert tab.progress is None
    finally:
        tab.close()


def test_volumes_begin_at_their_fullest_slice_and_take_clicks() -> None:
    tab = Tab()
    try:
        images = tab.received.folder / "images"
        images.mkdir()
        grey = np.random.default_rng(0).normal(100, 20, (24, 20, 16)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(grey, np.eye(4)), images / "volume.nii.gz")
        choice = Choice("unet3d")
        asyncio.run(tab.segment(choice, lambda: None))
        (case,) = tab.cases.values()
        place = tab.first_place(case)
        assert place.plane == "axial"
        counts = [
            tab.view(case).slice_of(case.planes(), Place("axial", n)).sum()
            for n in range(tab.view(case).planes["axial"])
        ]
        assert not any(counts) or counts[place.index] == max(counts)
        height, width = tab.view(case).picture(place).shape[:2]
        asyncio.run(tab.click(case, place, height // 2, width // 2, class_number=0, inside=True))
        shown = tab.view(case).slice_of(case.planes(), place)[0]
        assert shown[height // 2, width // 2]
        assert tab.clicks_in(case, place)[0]["inside"]
    finally:
        tab.close()


def test_names_of_maps_and_progress() -> None:
    assert map_names(("a", "b"))["gradcam-1"] == "Grad-CAM of b"
    assert Progress(count=3).text() == "0 of 3: loading the network"
    assert predictor(UNETPP) is predictor(UNETPP)
