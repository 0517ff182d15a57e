"""Slices' masks become volumes and a submission: places, spacing, what is missing."""

import csv
import json
import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import write_mask
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.outputs.slices import write_stacks
from medseg_monai.outputs.submission import read_submission, submitted_mask
from medseg_monai.transforms.cleaning import Cleaning

ORGANS = ("large_bowel", "stomach")
SIZE = (7, 5)
SPEC = DatasetSpec("d", "multilabel", classes=ORGANS, channels=("grey",), size=(8, 8))


def slices(raw: Path, *numbers: int, scan: str = "case7_day20", spacing: str = "1.50_1.63") -> list[dict[str, str]]:
    """Empty files with slices' names, as the cases that prediction makes of them."""
    folder = raw / scan / "scans"
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in numbers:
        file = folder / f"slice_{number:04d}_{SIZE[0]}_{SIZE[1]}_{spacing}.png"
        file.touch()
        cases.append({"image": str(file), "id": file.relative_to(raw).with_suffix("").as_posix()})
    return cases


def predict(cases: list[dict[str, str]], out: Path, spec: DatasetSpec = SPEC) -> list[np.ndarray]:
    """Write a mask for each case, as prediction does."""
    masks = []
    for number, case in enumerate(cases):
        mask = (np.random.default_rng(number).random((spec.label_channels, *SIZE)) > 0.6).astype(np.uint8)
        write_mask(mask, out / f"{case['id']}_mask.png", spec)
        masks.append(mask)
    return masks


def volume(file: Path) -> tuple[np.ndarray, nibabel.Nifti1Image]:
    image = nibabel.load(file)
    return np.asarray(image.dataobj), image


def test_a_volume_for_each_organ_with_the_scans_spacing(tmp_path):
    cases = slices(tmp_path / "raw", 3, 4, 5)
    masks = predict(cases, tmp_path / "out")
    files = write_stacks(cases, SPEC, tmp_path / "out")
    names = ["case7_day20/case7_day20_mask_large_bowel.nii.gz", "case7_day20/case7_day20_mask_stomach.nii.gz"]
    assert [file.relative_to(tmp_path / "out").as_posix() for file in files] == [*names, "submission.csv"]
    for number, file in enumerate(files[:2]):
        voxels, image = volume(file)
        assert image.get_data_dtype() == np.uint8
        np.testing.assert_allclose(image.header.get_zooms(), (1.5, 1.63, 3.0), atol=1e-6)
        assert nibabel.aff2axcodes(image.affine) == ("L", "P", "I")
        np.testing.assert_array_equal(voxels, np.stack([mask[number] for mask in masks], axis=-1))
        assert sitk.ReadImage(str(file)).GetSpacing() == pytest.approx((1.5, 1.63, 3.0), abs=1e-6)
    with (tmp_path / "out" / "volumes.csv").open() as stream:
        ml = {row["class"]: float(row["ml"]) for row in csv.DictReader(stream)}
    voxel_ml = 1.5 * 1.63 * 3 / 1000
    assert ml == pytest.approx(
        {name: voxel_ml * sum(int(mask[i].sum()) for mask in masks) for i, name in enumerate(ORGANS)}, abs=1e-4
    )


def test_the_submission_decodes_to_the_same_masks(tmp_path):
    cases = slices(tmp_path / "raw", 1, 2) + slices(tmp_path / "raw", 9, scan="case8_day0")
    masks = predict(cases, tmp_path / "out")
    write_stacks(cases, SPEC, tmp_path / "out")
    rows = read_submission(tmp_path / "out" / "submission.csv")
    ids = ["case7_day20_slice_0001", "case7_day20_slice_0002", "case8_day0_slice_0009"]
    assert list(rows) == [(name, organ) for name in ids for organ in ORGANS]
    for name, mask in zip(ids, masks, strict=True):
        np.testing.assert_array_equal(submitted_mask(rows, name, ORGANS, SIZE), mask)


def test_the_submission_keeps_the_scans_of_earlier_runs(tmp_path):
    first, second = slices(tmp_path / "raw", 1, 2), slices(tmp_path / "raw", 9, scan="case8_day0")
    predict(first + second, tmp_path / "out")
    write_stacks(first, SPEC, tmp_path / "out")
    write_stacks(second, SPEC, tmp_path / "out")
    rows = read_submission(tmp_path / "out" / "submission.csv")
    assert {slice_id for slice_id, _ in rows} == {
        "case7_day20_slice_0001", "case7_day20_slice_0002", "case8_day0_slice_0009"
    }  # fmt: skip
    (
        tmp_path / "out" / f"{first[0]['id']}_mask_stomach.png"
    ).unlink()  # no longer a finished slice: no row that says otherwise
    write_stacks(first, SPEC, tmp_path / "out")
    rows = read_submission(tmp_path / "out" / "submission.csv")
    assert {slice_id for slice_id, _ in rows} == {"case7_day20_slice_0002", "case8_day0_slice_0009"}


def test_a_file_in_the_submissions_place_is_said_to_go(tmp_path, caplog):
    cases = slices(tmp_path / "raw", 1, 2)
    predict(cases, tmp_path / "out")
    (tmp_path / "out" / "submission.csv").write_text("id,other\n")
    write_stacks(cases, SPEC, tmp_path / "out")
    assert "its first line is not id,class,predicted; it is replaced" in caplog.text


def test_missing_numbers_keep_their_place(tmp_path, caplog):
    cases = slices(tmp_path / "raw", 2, 5)
    masks = predict(cases, tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        voxels, _ = volume(write_stacks(cases, SPEC, tmp_path / "out")[0])
    assert voxels.shape == (*SIZE, 4)
    np.testing.assert_array_equal(voxels[..., 3], masks[1][0])
    assert not voxels[..., 1:3].any()
    assert "scan case7_day20/case7_day20: slices 3-4 do not exist: empty in the volume" in caplog.text


def test_a_slice_that_could_not_be_read_is_no_empty_row(tmp_path, caplog):
    cases = slices(tmp_path / "raw", 1, 2, 3)
    masks = predict([cases[0], cases[2]], tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        voxels, _ = volume(write_stacks(cases, SPEC, tmp_path / "out")[0])
    assert "slices 2 have no mask: left out of submission.csv, empty in the volume" in caplog.text
    assert {name for name, _ in read_submission(tmp_path / "out" / "submission.csv")} == {
        "case7_day20_slice_0001",
        "case7_day20_slice_0003",
    }
    np.testing.assert_array_equal(voxels[..., 2], masks[1][0])


def test_some_slices_of_a_scan_are_no_volume(tmp_path):
    cases = slices(tmp_path / "raw", 1, 2, 3)[:2]
    predict(cases, tmp_path / "out")
    assert [file.name for file in write_stacks(cases, SPEC, tmp_path / "out")] == ["submission.csv"]


def test_slices_of_different_spacing_are_no_volume(tmp_path, caplog):
    cases = slices(tmp_path / "raw", 1) + slices(tmp_path / "raw", 2, spacing="1.63_1.63")
    predict(cases, tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        assert [file.name for file in write_stacks(cases, SPEC, tmp_path / "out")] == ["submission.csv"]
    assert "slices differ in size or spacing: no volume is written" in caplog.text


def test_photographs_have_no_part_in_it(tmp_path):
    photo = tmp_path / "a.png"
    photo.touch()
    assert write_stacks([{"image": str(photo), "id": "a"}], SPEC, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


def test_exclusive_classes_share_a_volume(tmp_path):
    spec = DatasetSpec("d", "multiclass", classes=ORGANS, channels=("grey",), size=(8, 8))
    cases = slices(tmp_path / "raw", 1, 2)
    for case, number in zip(cases, (1, 2), strict=True):
        write_mask(np.full((1, *SIZE), number, np.uint8), tmp_path / "out" / f"{case['id']}_mask.png", spec)
    files = write_stacks(cases, spec, tmp_path / "out")
    assert [file.name for file in files] == ["case7_day20_mask.nii.gz", "submission.csv"]
    assert volume(files[0])[0][0, 0].tolist() == [1, 2]
    rows = read_submission(files[1])
    assert rows["case7_day20_slice_0001", "large_bowel"] == rows["case7_day20_slice_0002", "stomach"] == "1 35"
    assert rows["case7_day20_slice_0001", "stomach"] == ""


def test_without_png_there_is_nothing_to_stack(tmp_path, caplog):
    cases = slices(tmp_path / "raw", 1, 2)
    predict(cases, tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        assert write_stacks(cases, SPEC, tmp_path / "out", formats="coco") == []
    assert "no volumes and no submission.csv: they are made from masks in the format png" in caplog.text
    assert len(write_stacks(cases, SPEC, tmp_path / "out", formats=["png", "coco"])) == 3


def test_of_photographs_nothing_is_stacked_and_nothing_said(tmp_path, caplog):
    (tmp_path / "photo.png").touch()
    cases = [{"image": str(tmp_path / "photo.png"), "id": "photo"}]
    for formats in (None, "coco"):
        assert write_stacks(cases, SPEC, tmp_path / "out", formats=formats) == []
    assert caplog.records == []
    assert not (tmp_path / "out").exists()


def test_isolated_organs_go_from_every_file(tmp_path):
    cases, formats = slices(tmp_path / "raw", 1, 2, 3), ("png", "rle", "coco", "geojson")
    for case in cases:
        Image.fromarray(np.zeros(SIZE[::-1], np.uint16)).save(case["image"])
    writer = WritePredictions(tmp_path / "out", spec=SPEC, formats=formats, overlays=True)
    for number, case in enumerate(cases):
        mask = torch.zeros(2, *SIZE, dtype=torch.uint8)
        mask[1, 2:4, 1] = number == 0  # the stomach stands in slice 1 alone
        meta = {"image_meta_dict": {"filename_or_obj": case["image"]}}
        writer.write({**case, **meta}, {"pred": mask, "uncertainty": 0.25})
    writer.finish()
    first = tmp_path / "out" / cases[0]["id"]
    drawn = first.with_name(f"{first.name}_overlay.jpg").read_bytes()
    write_stacks(cases, SPEC, tmp_path / "out", cleaning=Cleaning(drop_isolated=True), formats=formats)
    assert not np.asarray(Image.open(first.with_name(f"{first.name}_mask_stomach.png"))).any()
    assert json.loads(first.with_name(f"{first.name}_mask.geojson").read_text())["features"] == []
    assert json.loads((tmp_path / "out" / "masks.coco.json").read_text())["annotations"] == []
    with (tmp_path / "out" / "masks_rle.csv").open(newline="") as file:
        assert {row["rle"] for row in csv.DictReader(file)} == {""}
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        assert {(row["pixels"], row["uncertainty"]) for row in csv.DictReader(file)} == {("0", "0.2500")}
    assert first.with_name(f"{first.name}_overlay.jpg").read_bytes() != drawn


def test_isolated_organs_go_from_whole_scans_only(tmp_path):
    """The stomach stands in slice 1 alone; of slices 1 and 2 of three nobody knows."""
    cases = slices(tmp_path / "raw", 1, 2, 3)
    for number, case in enumerate(cases):
        mask = np.ones((2, *SIZE), np.uint8)
        mask[1] = number == 0
        write_mask(mask, tmp_path / "out" / f"{case['id']}_mask.png", SPEC)
    cleaning = Cleaning(drop_isolated=True)
    for some, runs in ((cases[:2], "1 35"), (cases, "")):
        write_stacks(some, SPEC, tmp_path / "out", cleaning=cleaning)
        rows = read_submission(tmp_path / "out" / "submission.csv")
        assert rows["case7_day20_slice_0001", "stomach"] == runs
        assert rows["case7_day20_slice_0001", "large_bowel"] == "1 35"
