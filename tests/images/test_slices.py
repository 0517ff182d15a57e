"""Slices: geometry from names, neighbours, missing numbers, the grid of a scan."""

import csv
import logging
import os

import nibabel
import numpy as np
import pytest

from medseg_monai.images.rle import decode_rle
from medseg_monai.images.slices import check_size, neighbour_files, number_ranges, slice_file, stack_affine, stack_in


def folder_of(tmp_path, *numbers):
    folder = tmp_path / "case7" / "case7_day20" / "scans"
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"slice_{number:04d}_360_310_1.50_1.63.png").touch()
    return folder


def numbers(paths):
    return [slice_file(path).number for path in paths]


@pytest.mark.parametrize("folder", ["case7/case7_day20/scans", "case7_day20"])
def test_width_comes_before_height(folder):
    slice = slice_file(f"{folder}/slice_0088_360_310_1.50_1.63.png")
    assert (slice.stack, slice.number, slice.id) == ("case7_day20", 88, "case7_day20_slice_0088")
    assert (slice.size, slice.spacing_mm) == ((360, 310), (1.5, 1.63))


@pytest.mark.parametrize(
    "name",
    ["ISIC_0000001.jpg", "slice_0001.png", "slice_1_2_3_1.5_1.5_mask.png", "slice_0001_266_266_1.50_1.50.csv", "x"],
)
def test_other_names_are_no_slices(name):
    assert slice_file(name) is None


def test_a_name_that_lies_about_the_size():
    slice = slice_file("s/slice_0088_360_310_1.50_1.50.png")
    check_size(slice, (360, 310))
    with pytest.raises(ValueError, match=r"is 310x360 but its name says 360x310 \(width, height\)"):
        check_size(slice, (310, 360))


@pytest.mark.parametrize(
    ("number", "count", "stride", "expected"),
    [
        (5, 3, 1, [4, 5, 6]),
        (5, 5, 1, [3, 4, 5, 6, 7]),
        (5, 3, 2, [3, 5, 7]),
        (1, 3, 1, [1, 1, 2]),
        (1, 5, 2, [1, 1, 1, 3, 5]),
        (9, 3, 2, [7, 9, 9]),
        (8, 5, 2, [4, 6, 8, 9, 9]),
    ],
)
def test_neighbours_of_a_whole_scan(tmp_path, number, count, stride, expected):
    folder = folder_of(tmp_path, *range(1, 10))
    path = folder / f"slice_{number:04d}_360_310_1.50_1.63.png"
    assert numbers(neighbour_files(path, count=count, stride=stride)) == expected


@pytest.mark.parametrize(
    ("number", "stride", "expected"),
    [
        (4, 1, [4, 4, 4]),  # 3 and 5 are missing: the slice itself is nearer than 2 and 8
        (4, 2, [2, 4, 4]),  # 6 is missing: 4 is at 2 of it, as 8 is, and nearer to the middle
        (2, 2, [2, 2, 4]),
        (8, 3, [4, 8, 9]),  # 5 is missing
    ],
)
def test_the_nearest_takes_the_place_of_a_missing_one(tmp_path, caplog, number, stride, expected):
    folder = folder_of(tmp_path, 2, 4, 8, 9)
    path = folder / f"slice_{number:04d}_360_310_1.50_1.63.png"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert numbers(neighbour_files(path, count=3, stride=stride)) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: slices 3, 5-7 are missing; the nearest take their place"
    ]


def test_slices_that_cannot_be_used_or_have_another_size_count_as_missing(tmp_path):
    folder = folder_of(tmp_path, 1, 2, 3, 5)
    path, torn = (folder / f"slice_{number:04d}_360_310_1.50_1.63.png" for number in (3, 2))
    (folder / "slice_0004_310_360_1.50_1.63.png").touch()
    assert numbers(neighbour_files(path, count=5, stride=1)) == [1, 2, 3, 3, 5]
    assert numbers(neighbour_files(path, count=5, stride=1, without={torn})) == [1, 3, 3, 3, 5]


def test_a_folder_without_slices(tmp_path):
    (tmp_path / "photo.png").touch()
    with pytest.raises(ValueError, match="at least one slice"):
        stack_in(tmp_path)


def test_a_new_slice_is_seen(tmp_path):
    folder = folder_of(tmp_path, 1, 2)
    assert len(stack_in(folder).slices) == 2
    (folder / "slice_0003_360_310_1.50_1.63.png").touch()
    os.utime(folder, ns=(0, 10**18))  # some file systems' clocks stand still for milliseconds
    assert len(stack_in(folder).slices) == 3


def test_one_number_twice(tmp_path):
    folder = folder_of(tmp_path, 1, 2)
    (folder / "slice_0002_266_266_1.50_1.50.png").touch()
    with pytest.raises(ValueError, match="slice_0002_266.* and .*slice_0002_360.* have the same number; remove one"):
        stack_in(folder)


def test_neighbours_need_a_number(tmp_path):
    (tmp_path / "photo.png").touch()
    with pytest.raises(
        ValueError, match=r"photo\.png: needs 3 neighbouring slices, which are found by names such as slice_0001"
    ):
        neighbour_files(tmp_path / "photo.png", count=3, stride=1)
    with pytest.raises(FileNotFoundError, match="no such file"):
        neighbour_files(tmp_path / "slice_0001_9_9_1.5_1.5.png", count=3, stride=1)


def test_many_ranges_are_cut():
    assert number_ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert number_ranges(range(0, 60, 2)).endswith("38 and 10 more")


def test_columns_run_to_the_left_rows_to_the_back_numbers_to_the_feet():
    affine = stack_affine((1.5, 1.63))
    assert nibabel.aff2axcodes(affine) == ("L", "P", "I")
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(affine), (1.5, 1.63, 3))


def test_the_stomach_lies_above_the_small_bowel_on_the_patients_left(shared_data):
    """In millimetres, by the masks of 16 real scans: z grows to the head, x to the right."""
    folder = shared_data / "uw-madison-originals"
    with (folder / "slice_paths_and_sizes.csv").open() as stream:
        files = {row["id"]: slice_file(f"train/{row['scan_file']}") for row in csv.DictReader(stream)}
    centres: dict[str, dict[str, list[np.ndarray]]] = {}
    with (folder / "train_rle_subset.csv").open() as stream:
        for row in csv.DictReader(stream):
            if row["segmentation"]:
                slice = files[row["id"]]
                x, y = np.argwhere(decode_rle(row["segmentation"], slice.size)).mean(axis=0) - np.array(slice.size) / 2
                point = stack_affine(slice.spacing_mm) @ (x, y, slice.number, 1)
                centres.setdefault(slice.stack, {}).setdefault(row["class"], []).append(point)
    assert len(centres) == 16
    for organs in centres.values():
        stomach, bowel = (np.mean(organs[name], axis=0) for name in ("stomach", "small_bowel"))
        assert stomach[2] > bowel[2]
    assert np.mean([point[0] < 0 for organs in centres.values() for point in organs["stomach"]]) > 0.8
