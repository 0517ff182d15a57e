"""The panel of an explanation and the plots of checks: what stands where, in which colour."""

import numpy as np
import pytest

from medseg_monai.figures.explanations import ClassView, MapView, explanation_panel, heat_picture

IMAGE = np.zeros((3, 60, 40), np.uint8)  # (C, W, H)


def mask(columns: slice, rows: slice) -> np.ndarray:
    inside = np.zeros((60, 40), dtype=bool)
    inside[columns, rows] = True
    return inside


def view(**options) -> ClassView:
    heat = mask(slice(40, 60), slice(0, 10)).astype(np.float32)
    return ClassView(**{
        "name": "lesion", "index": 0, "pred": mask(slice(40, 50), slice(0, 20)), "truth": None, "region": None,
        "maps": [MapView("CAM", heat), MapView("Grad-CAM", None, "lesion is not predicted here")], **options,
    })  # fmt: skip


def pictures(figure) -> dict[str, np.ndarray]:
    return {axes.get_title(): axes.images[0].get_array() for axes in figure.axes if axes.images}


def test_a_row_holds_input_truth_prediction_and_maps():
    figure = explanation_panel(IMAGE, [view(truth=mask(slice(0, 5), slice(0, 5)))])
    assert list(pictures(figure)) == ["input", "truth", "prediction", "CAM", "Grad-CAM"]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["lesion is not predicted here"]
    assert list(pictures(explanation_panel(IMAGE, [view()]))) == ["input", "prediction", "CAM", "Grad-CAM"]


def test_heat_stands_upright_and_bright_is_important():
    shown = pictures(explanation_panel(IMAGE, [view()]))["CAM"]
    height, width = shown.shape[:2]
    assert width == pytest.approx(height * 60 / 40, abs=1)
    right_top = shown[: height // 8, width * 9 // 10 :].mean()
    assert right_top > 140
    assert shown[height // 2 :].mean() < 20
    assert shown[: height // 8, : width // 3].mean() < 20


def test_brightness_rises_with_heat():
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    luminance = heat_picture(np.zeros((1, 64, 3), np.uint8), ramp)[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= -0.5).all()  # up to rounding to whole levels
    assert luminance[-1] - luminance[0] > 100


def test_several_classes_have_a_row_and_a_name_each():
    figure = explanation_panel(IMAGE, [view(), view(name="vessel", index=1)])
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel() in ("lesion", "vessel")] == [
        "lesion", "vessel",
    ]  # fmt: skip
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["predicted lesion", "predicted vessel"]


def test_a_volume_shows_its_fullest_slice():
    volume = np.zeros((1, 20, 16, 5), np.float32)
    volume[..., 3] = 1
    inside = np.zeros((20, 16, 5), dtype=bool)
    inside[2:9, 2:9, 3] = True
    row = view(pred=inside, maps=[MapView("CAM", inside.astype(np.float32))])
    shown = pictures(explanation_panel(volume, [row], affine=np.diag([1.0, 1, 4, 1])))
    assert shown["input"].mean() > 250
    assert shown["CAM"].max() > 150
