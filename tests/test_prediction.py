"""What can be made of a prediction: pictures, outlines, files; on masks that are drawn by hand, without a network."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures.drawing import SKY_BLUE
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.images.label_volumes import read_label_names
from medseg_monai.prediction import LOOK, Prediction

NAME = "<b>mole & $x$.png"
SPEC = DatasetSpec("s", "binary", classes=("<i>lesion</i>",), channels=("red", "green", "blue"), size=(16, 16))
TWO = DatasetSpec("t", "multilabel", classes=("a", "b"), channels=("grey",), size=(16, 16))
ORGANS = DatasetSpec(
    "v", "multiclass", classes=("liver", "spleen"), channels=("ct",), spatial_dims=3, size=(8, 8, 8),
    intensity=Intensity("window", lower=0, upper=100),
)  # fmt: skip
AFFINE = np.diag([-2.0, 2.0, 5.0, 1.0])


def drawn() -> np.ndarray:
    """A mask 30 high and 40 wide, with one part of 4 rows and 10 columns from row 6, column 20, and a hole of one pixel."""
    mask = np.zeros((30, 40), np.uint8)
    mask[6:10, 20:30] = 1
    mask[7, 22] = 0
    return mask


@pytest.fixture
def found(tmp_path: Path) -> Prediction:
    Image.new("RGB", (40, 30), (200, 150, 130)).save(tmp_path / NAME)
    mask = drawn()
    return Prediction(
        mask, mask[None].astype(np.float32), 0.25, SPEC.classes, grid=PhotoGrid((40, 30), (16, 16)), flagged=True,
        reason="uncertain outline <script>", predicted_dice={SPEC.classes[0]: 0.5}, source=tmp_path / NAME, spec=SPEC,
    )  # fmt: skip


@pytest.fixture
def volume(tmp_path: Path) -> Prediction:
    mask = np.zeros((9, 7, 5), np.uint8)
    mask[1:4, 2, 3], mask[6, 5, 1:3] = 1, 2
    nibabel.save(nibabel.Nifti1Image(np.full(mask.shape, 50, np.int16), AFFINE), tmp_path / "scan.nii.gz")
    grid = VolumeGrid.whole(Geometry((9, 7, 5), AFFINE))
    return Prediction(
        mask, np.zeros((2, *mask.shape), np.float32), 0.1, ORGANS.classes, grid=grid,
        source=str(tmp_path / "scan.nii.gz"), spec=ORGANS,
    )  # fmt: skip


def test_an_overlay_has_the_images_size_and_its_outline_where_the_mask_is(found: Prediction) -> None:
    picture = found.overlay()
    assert (picture.mode, picture.size) == ("RGB", (40, 30))
    pixels = np.asarray(picture)
    assert tuple(pixels[6, 25]) == SKY_BLUE, "the upper edge"
    assert tuple(pixels[25, 5]) == (200, 150, 130), "far from it"


def test_polygons_follow_the_edges_of_pixels(found: Prediction) -> None:
    (only,) = found.polygons()[SPEC.classes[0]]
    assert sorted(only.outline) == [(20, 6), (20, 10), (30, 6), (30, 10)], "x to the right, y downwards"
    assert (only.area, len(only.holes)) == (39, 1)
    assert found.pixels() == {SPEC.classes[0]: 39}


def test_geojson_is_what_is_saved(found: Prediction, tmp_path: Path) -> None:
    (file,) = found.save(tmp_path / "out" / "m.geojson")
    content = found.to_geojson()
    assert json.loads(file.read_text()) == content
    assert content["features"][0]["properties"]["pixels"] == 39


def test_a_mask_is_saved_as_a_picture_that_reads_back(found: Prediction, tmp_path: Path) -> None:
    assert found.save(tmp_path / "m.png") == [tmp_path / "m.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m.png")), 255 * found.mask)
    with pytest.raises(ValueError, match=r"m\.jpg: the mask of a photograph is saved as \.png or \.geojson"):
        found.save(tmp_path / "m.jpg")


def test_overlapping_classes_have_a_file_each(found: Prediction, tmp_path: Path) -> None:
    both = np.stack([drawn(), drawn()[::-1]])
    two = replace(found, mask=both, classes=("a", "b"), task=TWO.task, spec=TWO, predicted_dice={})
    assert [file.name for file in two.save(tmp_path / "m.png")] == ["m_a.png", "m_b.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m_b.png")), 255 * both[1])
    assert two.pixels() == {"a": 39, "b": 39}
    assert len(two.polygons()["b"]) == 1


def test_a_volume_is_saved_on_its_own_grid(volume: Prediction, tmp_path: Path) -> None:
    for name in ("m.nii.gz", "m.seg.nrrd", "m.mha"):
        assert [file.name for file in volume.save(tmp_path / name)] == [name]
    written = nibabel.load(tmp_path / "m.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), volume.mask)
    assert np.allclose(written.affine, AFFINE)
    assert read_label_names(tmp_path / "m.seg.nrrd") == {1: "liver", 2: "spleen"}
    for name, problem in (("m.png", "volumes can be written as"), ("m.dcm", "is not a DICOM series")):
        with pytest.raises(ValueError, match=problem):
            volume.save(tmp_path / name)
    assert not (tmp_path / "m.png").exists()


def test_overlapping_organs_have_a_file_each(volume: Prediction, tmp_path: Path) -> None:
    planes = np.stack([volume.mask == 1, volume.mask > 0]).astype(np.uint8)
    spec = replace(ORGANS, task="multilabel")
    two = replace(volume, mask=planes, task="multilabel", spec=spec)
    assert [file.name for file in two.save(tmp_path / "m.seg.nrrd")] == ["m_liver.seg.nrrd", "m_spleen.seg.nrrd"]
    assert two.pixels() == {"liver": 3, "spleen": 5}


def test_what_only_photographs_have_is_refused_for_volumes(volume: Prediction) -> None:
    for wanted in (volume.polygons, volume.to_geojson):
        with pytest.raises(ValueError, match="for masks of photographs"):
            wanted()
    assert volume.overlay().size[0] > 100, "a small slice is enlarged"


def test_figures_need_no_pyplot_and_show_names_as_they_are(found: Prediction, volume: Prediction) -> None:
    figure = found.plot()
    assert figure.axes[1].get_title() == f"{NAME}, {LOOK}"
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "slice" in volume.plot().axes[0].get_title()
    assert len(volume.plot().axes) == 4, (
        "of four slices with masks, 1 to 3 and what is between: three; a row has four places"
    )


def test_a_notebook_shows_picture_numbers_and_reason_as_text(found: Prediction, volume: Prediction) -> None:
    page = found._repr_html_()
    assert "data:image/jpeg;base64," in page
    assert "&lt;b&gt;mole &amp; $x$.png" in page
    assert "&lt;i&gt;lesion&lt;/i&gt;" in page
    assert f"{LOOK}: uncertain outline &lt;script&gt;" in page
    assert not any(tag in page for tag in ("<script", "<i>", "<b>", "http"))
    assert "3.25" in page, "39 of 1,200 pixels, in percent"
    assert "0.06" in volume._repr_html_(), "3 voxels of 20 mm³, in ml"


def test_without_an_image_numbers_are_still_shown() -> None:
    bare = Prediction(drawn(), drawn()[None].astype(np.float32), 0.0, ("lesion",), PhotoGrid((40, 30)))
    assert "39" in bare._repr_html_()
    assert "not known" in bare._repr_html_()
    for wanted in (bare.overlay, bare.plot, bare.to_geojson):
        with pytest.raises(ValueError, match="does not know"):
            wanted()
    nothing = replace(bare, mask=bare.mask * 0)
    assert "nothing was found" in nothing._repr_html_()
    assert nothing.polygons() == {"lesion": []}


def test_pictures_and_arrays_are_drawn_on_as_well(found: Prediction) -> None:
    with Image.open(found.source) as picture:
        colours = np.asarray(picture)
    for image in (colours, Image.fromarray(colours)):
        assert np.array_equal(np.asarray(replace(found, source=image).overlay()), np.asarray(found.overlay()))
