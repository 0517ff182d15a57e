"""What the files of a prediction are called, by kind of image."""

from pathlib import Path

import pytest

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.outputs.naming import chosen_formats, file_rules, output_files, possible_masks

PHOTOS = DatasetSpec("p", "multilabel", classes=("a b", "c"), channels=("grey",), size=(8, 8))
VOLUMES = DatasetSpec(
    "v", "multiclass", classes=("a b", "c"), channels=("ct",), spatial_dims=3, size=(8, 8, 8),
    intensity=Intensity("zscore"),
)  # fmt: skip
MAPS = {"probabilities": True, "uncertainty": True, "overlays": True}


def names(spec: DatasetSpec, tmp_path: Path, **wanted: object) -> set[str]:
    return {file.relative_to(tmp_path).as_posix() for file in output_files("s/x.1", spec, tmp_path, **wanted)}  # type: ignore[arg-type]


def test_files_of_a_photograph(tmp_path: Path) -> None:
    assert names(PHOTOS, tmp_path, formats="png,geojson,coco", **MAPS) == {
        "s/x.1_mask_a_b.png", "s/x.1_mask_c.png", "s/x.1_mask.geojson", "s/x.1_probability_a_b.png",
        "s/x.1_probability_c.png", "s/x.1_uncertainty.png", "s/x.1_overlay.jpg",
    }  # fmt: skip


def test_files_of_a_volume(tmp_path: Path) -> None:
    assert names(VOLUMES, tmp_path, formats="nifti,dicomseg", image="i.nrrd", **MAPS) == {
        "s/x.1_mask.nii.gz", "s/x.1_mask.dcm", "s/x.1_probability_a_b.nii.gz", "s/x.1_probability_c.nii.gz",
        "s/x.1_uncertainty.nii.gz", "s/x.1_overlay.jpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("image", "ending"), [("i.nrrd", ".seg.nrrd"), ("i.mhd", ".mha"), ("i.nii", ".nii.gz"), ("series", ".nii.gz")]
)
def test_a_volumes_mask_has_the_format_of_its_scan(tmp_path: Path, image: str, ending: str) -> None:
    assert names(VOLUMES, tmp_path, image=image) == {f"s/x.1_mask{ending}"}
    assert names(VOLUMES, tmp_path, image=image, formats="dicomseg") == {f"s/x.1_mask{ending}", "s/x.1_mask.dcm"}


def test_a_format_for_the_other_kind_of_image_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format 'nifti' for masks of photographs"):
        chosen_formats("nifti", PHOTOS)
    with pytest.raises(ValueError, match="unknown format 'png' for masks of volumes"):
        chosen_formats("png", VOLUMES)


@pytest.mark.parametrize("spec", [PHOTOS, VOLUMES], ids=["photographs", "volumes"])
def test_a_mask_in_any_format_is_among_the_possible_ones(tmp_path: Path, spec: DatasetSpec) -> None:
    rules = file_rules(spec)
    formats = [*rules.label_endings, *rules.whole_endings]
    assert len(formats) > 1
    assert possible_masks("s/x", spec, tmp_path) == output_files("s/x", spec, tmp_path, formats=formats)
    with pytest.raises(ValueError, match="leads out"):
        possible_masks("../x", spec, tmp_path)
