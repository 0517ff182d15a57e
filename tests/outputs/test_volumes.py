"""What prediction writes for a volume: on the scan's own grid, in its format, with names and millilitres."""

import csv
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.label_volumes import read_label_names
from medseg_monai.images.volumes import read_geometry, read_volume
from medseg_monai.outputs.predictions import WritePredictions, output_files, unfinished
from medseg_monai.outputs.tables import VOLUMES_FILE

sitk = pytest.importorskip("SimpleITK")

SHAPE = (7, 5, 3)
AFFINE = np.array([[0, 0, -4.0, 5], [2, 0, 0, 6.5], [0, 2.5, 0, -7], [0, 0, 0, 1]])  # a voxel is 20 mm³


def spec_of(task: str, *classes: str) -> DatasetSpec:
    return DatasetSpec("x", task, classes=classes, channels=("ct",), spatial_dims=3, size=(8, 8, 8))  # type: ignore[arg-type]


ORGANS, BOWEL, LESION = (
    spec_of("multiclass", "liver", "spleen"),
    spec_of("multilabel", "a", "b"),
    spec_of("binary", "l"),
)


def scan(folder: Path, name: str, case_id: str = "x") -> dict[str, object]:
    """A case of a scan in a file, as `load` gives it."""
    file = folder / name
    nibabel.save(nibabel.Nifti1Image(np.arange(105, dtype=np.int16).reshape(SHAPE), AFFINE), folder / "source.nii.gz")
    if not name.endswith(".nii.gz"):
        sitk.WriteImage(sitk.ReadImage(str(folder / "source.nii.gz")), str(file))
    else:
        file.write_bytes((folder / "source.nii.gz").read_bytes())
    meta = {"filename_or_obj": str(file), "spatial_shape": torch.tensor(SHAPE), "affine": torch.from_numpy(AFFINE)}
    return {"id": case_id, "image": str(file), "image_meta_dict": meta}


def table(folder: Path) -> list[list[str]]:
    return list(csv.reader((folder / VOLUMES_FILE).read_text().splitlines()))


def numbers() -> torch.Tensor:
    """Three voxels of class 1, one of class 2."""
    mask = torch.zeros(1, *SHAPE, dtype=torch.uint8)
    mask[0, 1, 2, :] = 1
    mask[0, 6, 4, 2] = 2
    return mask


@pytest.mark.parametrize(
    ("source", "written"),
    [("s.nii.gz", "x_mask.nii.gz"), ("s.nii", "x_mask.nii.gz"), ("s.nrrd", "x_mask.seg.nrrd"), ("s.mha", "x_mask.mha")],
)
def test_the_label_map_lies_on_the_scan_and_keeps_its_format(tmp_path: Path, source: str, written: str) -> None:
    case = scan(tmp_path, source)
    out = tmp_path / "out"
    files = WritePredictions(out, spec=ORGANS).write(case, {"pred": numbers()})
    assert files == [out / written] == output_files("x", ORGANS, out, image=str(case["image"]))
    original, label = sitk.ReadImage(str(case["image"])), sitk.ReadImage(str(files[0]))
    assert label.GetSize() == original.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(label, name)(), getattr(original, name)(), atol=1e-5)
    assert label.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(sitk.GetArrayFromImage(label).T, numbers()[0].numpy())
    np.testing.assert_allclose(read_volume(files[0]).affine, AFFINE, atol=1e-5)
    assert read_label_names(files[0]) == {1: "liver", 2: "spleen"}


def test_a_dicom_folders_label_map_is_nifti(tmp_path: Path) -> None:
    assert output_files("a/b", LESION, tmp_path, image="/data/series#1.2.3") == [tmp_path / "a" / "b_mask.nii.gz"]


def test_volumes_are_counted_in_millilitres(tmp_path: Path) -> None:
    writer = WritePredictions(tmp_path, spec=ORGANS)
    writer.write(scan(tmp_path, "s.nii.gz"), {"pred": numbers()})
    writer.finish()
    assert table(tmp_path) == [  # three voxels of 20 mm³ are 0.06 ml
        ["case", "class", "ml", "voxels"],
        ["x", "liver", "0.0600", "3"],
        ["x", "spleen", "0.0200", "1"],
    ]


def test_a_case_done_again_replaces_its_rows_and_keeps_the_others(tmp_path: Path) -> None:
    writer = WritePredictions(tmp_path, spec=LESION)
    empty = torch.zeros(1, *SHAPE, dtype=torch.uint8)
    writer.write(scan(tmp_path, "s.nii.gz", "a, b"), {"pred": empty})
    writer.write(scan(tmp_path, "s.nii.gz", "c"), {"pred": empty})
    writer.finish()
    again = WritePredictions(tmp_path, spec=LESION)
    again.write(scan(tmp_path, "s.nii.gz", "a, b"), {"pred": empty + 1})
    again.finish()
    rows = table(tmp_path)[1:]
    assert rows == [["a, b", "l", "2.1000", "105"], ["c", "l", "0.0000", "0"]]


def test_a_killed_run_does_not_lose_the_millilitres_of_finished_scans(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cases = [scan(tmp_path / "in", f"{name}.nii.gz", name) for name in "ab"]
    for case in cases:  # each run ends without writing its tables
        killed = WritePredictions(tmp_path / "out", spec=ORGANS, made_with={})
        killed.write(case, {"pred": numbers()})
        killed.finished.close()
    writer = WritePredictions(tmp_path / "out", spec=ORGANS, made_with={})
    assert writer.unfinished(cases, overwrite=False) == []
    writer.finish()
    assert [row[:3] for row in table(tmp_path / "out")[1:]] == [
        ["a", "liver", "0.0600"], ["a", "spleen", "0.0200"], ["b", "liver", "0.0600"], ["b", "spleen", "0.0200"],
    ]  # fmt: skip


def test_overlapping_classes_are_a_file_each(tmp_path: Path) -> None:
    mask = torch.zeros(2, *SHAPE, dtype=torch.uint8)
    mask[:, 0, 0, 0] = 1
    mask[1, 1] = 1
    writer = WritePredictions(tmp_path, spec=BOWEL)
    files = writer.write(scan(tmp_path, "s.nii.gz"), {"pred": mask})
    writer.finish()
    assert [file.name for file in files] == ["x_mask_a.nii.gz", "x_mask_b.nii.gz"]
    assert [int(read_volume(file).array.sum()) for file in files] == [1, 16]
    assert read_label_names(files[1]) == {1: "b"}
    rows = table(tmp_path)[1:]
    assert [row[3] for row in rows] == ["1", "16"]


def test_probabilities_are_shares_of_one_on_the_same_grid(tmp_path: Path) -> None:
    maps = torch.zeros(3, *SHAPE, dtype=torch.float16)
    maps[1], maps[2, 0, 0, 0] = 0.2, 1.0
    writer = WritePredictions(tmp_path, spec=ORGANS, probabilities=True)
    files = writer.write(scan(tmp_path, "s.nrrd"), {"pred": numbers(), "probability": maps})
    assert [file.name for file in files[:2]] == ["x_probability_liver.nii.gz", "x_probability_spleen.nii.gz"]
    liver, spleen = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))).T for file in files[:2])
    np.testing.assert_allclose(liver, 0.2, atol=1 / 255)
    assert spleen[0, 0, 0] == pytest.approx(1)
    assert spleen[1:].max() == 0
    np.testing.assert_allclose(read_volume(files[0]).affine, AFFINE, atol=1e-5)


def test_uncertainty_lies_on_the_same_grid_and_belongs_to_the_output(tmp_path: Path) -> None:
    unsure = torch.zeros(1, *SHAPE, dtype=torch.float16)
    unsure[0, 1, 2, 0] = 0.6
    case = scan(tmp_path, "s.nii.gz")
    writer = WritePredictions(tmp_path, spec=ORGANS, uncertainty=True)
    files = writer.write(case, {"pred": numbers(), "uncertainty_map": unsure, "uncertainty": 0.6})
    assert [file.name for file in files] == ["x_uncertainty.nii.gz", "x_mask.nii.gz"]
    written = read_volume(files[0])
    np.testing.assert_allclose(written.array, unsure[0], atol=1 / 255)
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-5)
    assert unfinished([case], ORGANS, tmp_path, overwrite=False, uncertainty=True) == []
    files[0].unlink()
    assert unfinished([case], ORGANS, tmp_path, overwrite=False, uncertainty=True) == [case]


def test_the_overlay_shows_the_axial_slice_with_square_pixels(tmp_path: Path) -> None:
    files = WritePredictions(tmp_path, spec=ORGANS, overlays=True).write(
        scan(tmp_path, "s.nii.gz"), {"pred": numbers()}
    )
    assert [file.name for file in files] == ["x_overlay.jpg", "x_mask.nii.gz"]
    # the scan's third axis leads to the left (3 x 4 mm), the first to the front (7 x 2 mm), the second to the head
    with Image.open(files[0]) as picture:
        assert picture.size == (109 * 6, 109 * 7)  # as many whole times 6 x 7 as 768 pixels hold


def test_a_case_is_unfinished_until_every_file_is_there(tmp_path: Path) -> None:
    case = scan(tmp_path, "s.mha")
    assert unfinished([case], ORGANS, tmp_path, overwrite=False) == [case]
    WritePredictions(tmp_path, spec=ORGANS).write(case, {"pred": numbers()})
    assert unfinished([case], ORGANS, tmp_path, overwrite=False) == []
    assert unfinished([case], ORGANS, tmp_path, overwrite=True) == [case]
    assert unfinished([case], ORGANS, tmp_path, overwrite=False, overlays=True) == [case]


def test_an_id_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads outside the output folder"):
        output_files("../x", ORGANS, tmp_path, image="x.nii.gz")


def test_a_mask_of_another_shape_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="for a grid of"):
        WritePredictions(tmp_path, spec=LESION).write(
            scan(tmp_path, "s.nii.gz"), {"pred": torch.zeros(1, 7, 5, 4, dtype=torch.uint8)}
        )


def test_a_segmentation_object_and_a_label_map_side_by_side(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    from dicom_series import write_series

    write_series(tmp_path / "ct")
    series = read_geometry(tmp_path / "ct")
    meta = {
        "filename_or_obj": str(tmp_path / "ct"),
        "spatial_shape": torch.tensor(series.shape),
        "affine": torch.from_numpy(series.affine),
    }
    mask = torch.zeros(1, *series.shape, dtype=torch.uint8)
    mask[0, 1:3, 2, 1] = 1
    case, out = {"id": "x", "image_meta_dict": meta}, tmp_path / "out"
    files = WritePredictions(out, spec=LESION, formats="dicomseg,nifti").write(case, {"pred": mask})
    assert sorted(file.name for file in files) == ["x_mask.dcm", "x_mask.nii.gz"]
    assert int(highdicom.seg.segread(out / "x_mask.dcm").pixel_array.sum()) == 2
    np.testing.assert_array_equal(read_volume(out / "x_mask.nii.gz").array, mask[0])
