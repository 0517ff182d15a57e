"""Figures: what they hold, that they need no display, and that files appear whole."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from medseg_monai import drawing
from medseg_monai.figures import CaseView, compare_scores, gallery, panel, save_figure, training_curves


def case(width=40, height=30, title="Dice 0.50"):
    image = np.full((3, width, height), 120, np.uint8)
    pred, truth = np.zeros((2, width, height), np.uint8)
    pred[5:20, 5:20] = truth[8:25, 5:20] = 1
    return CaseView(image, pred, truth, title)


def texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_library_is_imported_only_to_draw():
    code = "import sys, medseg_monai.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_global_figure_is_made():
    code = (
        "import sys, numpy as np; from medseg_monai.figures import *; "
        "panel(CaseView(np.zeros((8, 8)), np.ones((8, 8)), np.ones((8, 8)))); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_panel_shows_image_truth_prediction_differences():
    figure = panel(case())
    assert [axes.get_title() for axes in figure.axes] == ["image", "truth", "prediction", "differences"]
    assert figure.get_suptitle() == "Dice 0.50"
    assert texts(figure) == ["found", "missed", "extra"]
    image, truth, prediction, differences = (axes.images[0].get_array() for axes in figure.axes)
    assert image.shape == (30, 40, 3)  # upright: 40 wide, 30 high
    assert (image == 120).all()
    assert truth[10, 8].tolist() == list(drawing.TRUTH_COLOUR)
    assert prediction[10, 5].tolist() == list(drawing.SKY_BLUE)
    assert differences[10, 6].argmax() == 0  # extra is the red one
    assert differences[10, 22].argmax() == 2  # missed is the blue one


def test_gallery_has_a_column_per_case_as_wide_as_its_image():
    figure = gallery([case(title="Dice 0.91"), case(width=20, height=40, title="Dice 0.42")])
    assert [axes.get_title() for axes in figure.axes] == ["Dice 0.91", "Dice 0.42", "", "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes][::2] == ["image", "prediction", "with the truth"]
    assert figure.axes[0].get_gridspec().get_width_ratios() == [40 / 30, 20 / 40]
    assert texts(figure) == ["prediction", "truth"]


def test_gallery_names_classes():
    assert texts(gallery([case()], classes=["liver", "spleen"])) == ["liver", "spleen", "truth"]


def test_gallery_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one case"):
        gallery([])


def test_large_images_are_drawn_small():
    picture, pred, truth = case(width=2000, height=1500).picture_and_masks()
    assert picture.shape == (500, 667, 3)
    assert pred.shape == truth.shape == (1, 500, 667)


def test_training_curves_mark_the_best_epoch():
    scores = {"Dice": [(1, 0.5), (2, 0.83), (3, 0.7)], "Jaccard": []}
    figure = training_curves({"training": [(1, 2.0), (2, 1.0)]}, scores)
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    assert right.lines[1].get_xydata().tolist() == [[2, 0.83]]
    assert [text.get_text() for text in right.texts] == ["0.830"]


def test_comparison_puts_the_first_on_top_with_its_mean_and_interval():
    values = [np.array([0.8, 1.0]), np.array([0.2, 0.4])]
    figure = compare_scores(["a", "b"], values, intervals=[(0.85, 0.95), (0.25, 0.35)], label="Dice")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.300"]
    assert axes.lines[1].get_xdata().tolist() == [0.85, 0.95]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_saved_file_is_whole(tmp_path, suffix):
    path = save_figure(panel(case()), tmp_path / "new" / f"panel{suffix}")
    assert [file.name for file in path.parent.iterdir()] == [f"panel{suffix}"]
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.width == 11 * 150


def test_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        save_figure(panel(case()), tmp_path / "panel.nonsense")
    assert list(tmp_path.iterdir()) == []
