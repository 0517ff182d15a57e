"""Figures: what they hold, that they need no display, and that files appear whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import CaseView, gallery, montage, new_figure, panel, save_figure


def case(width=40, height=30, title="Dice 0.50"):
    image = np.full((3, width, height), 120, np.uint8)
    pred, truth = np.zeros((2, width, height), np.uint8)
    pred[5:20, 5:20] = truth[8:25, 5:20] = 1
    return CaseView(image, pred, truth, title)


def texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_library_is_imported_only_to_draw():
    code = "import sys, medseg_monai.figures.cases; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_global_figure_is_made():
    code = (
        "import sys, numpy as np; from medseg_monai.figures.cases import *; "
        "panel(CaseView(np.zeros((8, 8)), np.ones((8, 8)), np.ones((8, 8)))); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_panel_shows_image_truth_prediction_differences():
    figure = panel(case())
    assert [axes.get_title() for axes in figure.axes] == ["image", "truth", "prediction", "differences"]
    assert figure.get_suptitle() == "Dice 0.50"
    assert texts(figure) == ["found", "missed", "spurious"]
    image, truth, prediction, differences = (axes.images[0].get_array() for axes in figure.axes)
    assert image.shape == (30, 40, 3)  # upright: 40 wide, 30 high
    assert (image == 120).all()
    assert truth[10, 8].tolist() == list(drawing.TRUTH_COLOUR)
    assert prediction[10, 5].tolist() == list(drawing.SKY_BLUE)
    assert differences[10, 6].argmax() == 0  # spurious is the red one
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


def volume(shape=(40, 30, 9), affine=None):
    """A bright block that both masks hold in slices 2 to 6, most of it in slice 5."""
    image, truth = np.zeros((2, 1, *shape))
    truth[0, 8:25, 5:20, 2:7] = 1
    truth[0, 8:25, 5:25, 5] = 1
    image[truth > 0] = 100
    return CaseView(image, np.roll(truth, 2, axis=1), truth, "Dice 0.88", affine=affine)


def test_volume_is_shown_by_the_slice_that_holds_most():
    picture, pred, truth = volume().picture_and_masks(longest=40)
    assert picture.shape == (30, 40, 3)
    assert (picture[..., 0] > 0).sum() == truth.sum() == pred.sum() == 17 * 20


def test_volume_is_turned_to_what_a_reader_expects_with_square_pixels():
    # stored right, front, head: the block begins 8 voxels from the left edge of the array, the patient's left
    picture, _, truth = volume(affine=np.diag([1, 2, 5, 1])).picture_and_masks(longest=60)
    assert picture.shape == (60, 40, 3)  # 30 voxels of 2 mm high, 40 of 1 mm wide
    rows, columns = np.nonzero(truth[0])
    assert (columns.min(), columns.max()) == (40 - 25, 40 - 8 - 1)
    assert (rows.min(), rows.max()) == (2 * (30 - 25), 2 * (30 - 5) - 1)


def test_montage_shows_the_slices_that_hold_something():
    figure = montage(volume(), count=3, columns=2, classes=["block"])
    assert [axes.get_title() for axes in figure.axes] == ["slice 3 of 9", "slice 5 of 9", "slice 7 of 9", ""]
    assert texts(figure) == ["block", "truth"]
    assert figure.get_suptitle() == "Dice 0.88"
    assert figure.axes[0].get_aspect() == 1


def test_montage_of_a_picture_says_what_it_takes():
    with pytest.raises(ValueError, match="the same shape"):
        montage(case())


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


@pytest.mark.parametrize("name", ["$$", "$\\frac$", "a_$b_{$", "caf\udce9", "$x$ \udcff"])
def test_names_are_no_formulas(name: str, tmp_path: Path) -> None:
    """Matplotlib draws what stands between two dollar signs as a formula, or fails on it."""
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.set(title=name, yticks=[0], yticklabels=[name])
    figure.legend(handles=[axes.plot([0, 1], label=name)[0]])
    with Image.open(save_figure(figure, tmp_path / "x.png")) as picture:
        assert picture.width > 100
    assert axes.title.get_text() == name.replace("\udce9", "\\xe9").replace("\udcff", "\\xff")
