"""The competition's folder to a data set: masks, stacks, splits, and everything that can be wrong with it."""

import csv
import logging
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import check_dataset, read_dataset
from medseg_monai.images.masks import read_mask
from medseg_monai.prepare.uwmadison import CLASSES, prepare_uwmadison, uwmadison_spec

SIZE = (12, 10)  # width, height
RUNS = {"large_bowel": "1 3 13 2", "small_bowel": "14 3", "stomach": ""}


def save(file: Path, *, size=SIZE, name_size=None, dtype=np.uint16) -> Path:
    width, height = name_size or size
    file = file.with_name(f"{file.name}_{width}_{height}_1.50_1.63.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(zlib.crc32(str(file).encode())).integers(0, 255, size[::-1]).astype(dtype)
    Image.fromarray(pixels * dtype(37 if dtype is np.uint16 else 1)).save(file)
    return file


def slices(raw: Path, scan: str, *numbers: int, part: str = "train", **more) -> list[Path]:
    folder = raw / part / scan.partition("_")[0] / scan / "scans"
    return [save(folder / f"slice_{number:04d}", **more) for number in numbers]


def table(raw: Path, rows: dict[str, dict[str, str]]) -> None:
    """train.csv: three rows for each id."""
    with (raw / "train.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "class", "segmentation"])
        writer.writerows([name, organ, runs] for name, by_organ in rows.items() for organ, runs in by_organ.items())


def ids(scan: str, *numbers: int) -> list[str]:
    return [f"{scan}_slice_{number:04d}" for number in numbers]


@pytest.fixture
def raw(tmp_path) -> Path:
    """Four cases of four slices; the first two slices of each have organs."""
    raw, rows = tmp_path / "raw", {}
    for case in range(1, 5):
        scan = f"case{case}_day0"
        slices(raw, scan, 1, 2, 3, 4)
        rows |= dict.fromkeys(ids(scan, 1, 2), RUNS) | {name: dict.fromkeys(CLASSES, "") for name in ids(scan, 3, 4)}
    table(raw, rows)
    return raw


def rows_of(raw: Path) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    with (raw / "train.csv").open() as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["id"], {})[row["class"]] = row["segmentation"]
    return rows


def cases_of(dataset) -> dict[str, dict]:
    return {case["id"]: case for split in ("training", "validation", "test") for case in dataset.cases(split)}


def reasons(prepared) -> dict[str, str]:
    return {path.name: reason for path, reason in prepared.left_out}


def test_masks_stacks_groups(raw, tmp_path):
    prepared = prepare_uwmadison(raw, tmp_path / "out", channels=3, stride=1)
    assert prepared.left_out == ()
    dataset = prepared.dataset
    check_dataset(dataset)
    assert dataset == read_dataset(tmp_path / "out")
    cases = cases_of(dataset)
    assert len(cases) == 16
    case = cases["case2_day0_slice_0001"]
    assert [Path(file).name[:10] for file in case["image"]] == ["slice_0001", "slice_0001", "slice_0002"]
    assert (case["group"], case["present"]) == ("case2", ["large_bowel", "small_bowel"])
    assert cases["case2_day0_slice_0003"]["present"] == []
    label = read_mask(case["label"], dataset.spec, image=case["image"][1])
    drawn = np.zeros((3, 10, 12), np.uint8)
    drawn[0, 0, :3] = drawn[0, 1, :2] = drawn[1, 1, 1:4] = 1  # run 13: the second row begins; pixel (1, 1) is both
    np.testing.assert_array_equal(label.transpose(0, 2, 1), drawn)
    assert not read_mask(cases["case2_day0_slice_0003"]["label"], dataset.spec).any()


def test_splits_keep_cases_whole(raw, tmp_path):
    dataset = prepare_uwmadison(raw, tmp_path / "out").dataset
    groups = [{case["group"] for case in dataset.cases(split)} for split in ("training", "validation", "test")]
    assert sorted(map(len, groups)) == [1, 1, 2]
    assert not groups[0] & groups[1] | groups[1] & groups[2] | groups[0] & groups[2]


def test_splits_by_case_from_a_table(raw, tmp_path):
    (tmp_path / "splits.csv").write_text("image_id,split\ncase1,train\ncase2,val\ncase3,test\n")
    prepared = prepare_uwmadison(raw, tmp_path / "out", splits=tmp_path / "splits.csv")
    assert {case["group"] for case in prepared.dataset.cases("test")} == {"case3"}
    assert len(prepared.left_out) == 4
    assert set(reasons(prepared).values()) == {"not named in splits.csv"}


@pytest.mark.parametrize(
    ("channels", "stride", "names", "files"),
    [
        (1, 2, ("slice",), 1),
        (3, 2, ("slice-2", "slice", "slice+2"), 3),
        (5, 1, ("slice-2", "slice-1", "slice", "slice+1", "slice+2"), 5),
    ],
)
def test_channels(raw, tmp_path, channels, stride, names, files):
    dataset = prepare_uwmadison(raw, tmp_path / "out", channels=channels, stride=stride).dataset
    assert dataset.spec.channels == names
    assert dataset.spec.slice_stride == (stride if channels > 1 else None)
    image = cases_of(dataset)["case1_day0_slice_0002"]["image"]
    assert (1 if isinstance(image, str) else len(image)) == files


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="channels must be 1, 3 or 5, and stride 1 or 2; got 4 and 3"):
        uwmadison_spec(channels=4, stride=3)


def test_known_bad_scans_are_named_and_can_be_kept(raw, tmp_path):
    rows = rows_of(raw)
    for scan in ("case7_day0", "case81_day30", "case7_day3"):
        slices(raw, scan, 1, 2)
        rows |= dict.fromkeys(ids(scan, 1, 2), RUNS)
    table(raw, rows)
    prepared = prepare_uwmadison(raw, tmp_path / "out")
    assert {case["id"][:-11] for case in cases_of(prepared.dataset).values()} >= {"case7_day3"}
    assert not {name for name in cases_of(prepared.dataset) if name.startswith(("case7_day0", "case81"))}
    assert [(path.parent.name, reason.partition(";")[0]) for path, reason in prepared.left_out] == [
        ("case7_day0", "2 slices of a scan known to have wrong masks"),
        ("case81_day30", "2 slices of a scan known to have wrong masks"),
    ]
    kept = prepare_uwmadison(raw, tmp_path / "all", bad_scans=())
    assert len(cases_of(kept.dataset)) == 16 + 6


def test_a_name_that_lies_about_its_size(raw, tmp_path):
    """Its mask cannot be decoded rightly, and it is not a neighbour either."""
    slices(raw, "case1_day0", 5, size=(10, 12), name_size=SIZE)
    table(raw, rows_of(raw) | dict.fromkeys(ids("case1_day0", 5), RUNS))
    prepared = prepare_uwmadison(raw, tmp_path / "out", stride=1)
    [(path, reason)] = prepared.left_out
    assert path.name.startswith("slice_0005")
    assert reason.startswith("is 10x12 but its name says 12x10 (width, height)")
    assert Path(cases_of(prepared.dataset)["case1_day0_slice_0004"]["image"][2]).name.startswith("slice_0004")


def test_eight_bit_slices(raw, tmp_path):
    slices(raw, "case1_day0", 5, dtype=np.uint8)
    table(raw, rows_of(raw) | dict.fromkeys(ids("case1_day0", 5), RUNS))
    prepared = prepare_uwmadison(raw, tmp_path / "out")
    assert list(reasons(prepared).values()) == [
        "has 8 bits (L), but the competition's slices have 16: use the original"
    ]


def test_damaged_slice_and_other_names(raw, tmp_path):
    slices(raw, "case1_day0", 5)[0].write_bytes(b"no picture")
    save(raw / "train" / "case1" / "overview")
    table(raw, rows_of(raw) | dict.fromkeys(ids("case1_day0", 5), RUNS))
    found = reasons(prepare_uwmadison(raw, tmp_path / "out"))
    assert found["slice_0005_12_10_1.50_1.63.png"].startswith("is not a picture in a supported format")
    assert found["overview_12_10_1.50_1.63.png"].startswith("not named like a slice")


def test_a_missing_number_is_named_and_the_nearest_is_taken(raw, tmp_path):
    slices(raw, "case1_day0", 7)
    table(raw, rows_of(raw) | dict.fromkeys(ids("case1_day0", 7), RUNS))
    prepared = prepare_uwmadison(raw, tmp_path / "out", stride=2)
    [(path, reason)] = prepared.left_out
    assert (path.parent.name, reason) == (
        "case1_day0",
        "slices 5-6 have no file; in stacks the nearest take their place",
    )
    files = cases_of(prepared.dataset)["case1_day0_slice_0007"]["image"]
    assert [int(Path(file).name[6:10]) for file in files] == [4, 7, 7]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("1 3 120 2", r"train.csv line 3, small_bowel: the run '120 2' exceeds the picture of 120 pixels"),
        ("1 3 5", "train.csv line 3, small_bowel: runs must be pairs of start and length, got 3 numbers"),
        ("1 a", "train.csv line 3, small_bowel: runs must be whole numbers, got 'a'"),
    ],
)
def test_runs_that_are_wrong_leave_their_slice_out(raw, tmp_path, runs, message):
    table(raw, rows_of(raw) | {"case1_day0_slice_0001": RUNS | {"small_bowel": runs}})
    prepared = prepare_uwmadison(raw, tmp_path / "out")
    assert reasons(prepared) == {"slice_0001_12_10_1.50_1.63.png": message}
    assert len(cases_of(prepared.dataset)) == 15


def test_rows_and_slices_without_each_other(raw, tmp_path):
    slices(raw, "case1_day0", 5)
    rows = rows_of(raw) | dict.fromkeys(ids("case9_day0", 1, 2), RUNS)
    del rows["case2_day0_slice_0001"]["stomach"]
    table(raw, rows)
    found = reasons(prepare_uwmadison(raw, tmp_path / "out"))
    assert found["train.csv"] == "2 ids have no slice: case9_day0_slice_0001, case9_day0_slice_0002"
    assert found["slice_0001_12_10_1.50_1.63.png"].startswith("train.csv has no row for stomach; an empty mask says")
    assert "no row for large_bowel, small_bowel, stomach" in found["slice_0005_12_10_1.50_1.63.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "case1_day0_slice_0001,stomach,\n",
            "case1_day0_slice_0001 has two rows for stomach, lines 4 and 50; remove one",
        ),
        ("case1_day0_slice_0001,stomac,\n", "line 50: unknown class 'stomac' .did you mean 'stomach'"),
        ("case1_day0_slice_0001\n", "line 50: unknown class ''"),
        (
            "case9_day0_slice_0001,stomach",
            "line 50: has fewer or more columns than the first line; is the file truncated",
        ),
        ("case9_day0_slice_0001,stomach,1 2,5 2\n", "line 50: has fewer or more columns"),
    ],
)
def test_a_table_that_cannot_be_right(raw, tmp_path, more, message):
    with (raw / "train.csv").open("a") as stream:
        stream.write(more)
    with pytest.raises(ValueError, match=message):
        prepare_uwmadison(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_table_no_column_no_slices(raw, tmp_path):
    text = (raw / "train.csv").read_text()
    (raw / "train.csv").write_text(text.replace("segmentation", "rle"))
    with pytest.raises(ValueError, match="no column 'segmentation'; its first line has: id, class, rle"):
        prepare_uwmadison(raw, tmp_path / "out")
    (raw / "train.csv").unlink()
    with pytest.raises(FileNotFoundError, match="expected the competition's folder with train/ and train.csv"):
        prepare_uwmadison(raw, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "train.csv").write_text(text)
    with pytest.raises(FileNotFoundError, match="train: no such folder"):
        prepare_uwmadison(tmp_path / "empty", tmp_path / "out")


def test_one_number_twice_and_one_scan_twice(raw, tmp_path):
    extra = slices(raw, "case1_day0", 1, size=(9, 9))[0]
    with pytest.raises(ValueError, match="have the same number; remove one of them"):
        prepare_uwmadison(raw, tmp_path / "out")
    extra.unlink()
    save(raw / "train" / "copy" / "case1_day0" / "scans" / "slice_0001")
    with pytest.raises(ValueError, match="1 scans are in more than one folder: case1_day0; remove the copies"):
        prepare_uwmadison(raw, tmp_path / "out")


def test_unlabelled_test_folder_is_named(raw, tmp_path):
    slices(raw, "case99_day0", 1, 2, 3, part="test")
    assert reasons(prepare_uwmadison(raw, tmp_path / "out"))["test"] == (
        "3 slices without masks: segment them with `medseg predict`"
    )


def test_the_command(raw, tmp_path, medseg):
    outcome = medseg(
        "prepare", "uwmadison", raw, "--out", tmp_path / "out", "--channels", 5, "--stride", 1, "--size", 64
    )
    assert (outcome.code, outcome.err) == (0, "note: no mask has a pixel of stomach\n")
    assert "uwmadison, 8 training, 4 validation, 4 test cases" in outcome.out
    assert read_dataset(tmp_path / "out").spec == uwmadison_spec(channels=5, stride=1, size=(64, 64))
    assert "case7_day0 and case81_day30" in " ".join(
        medseg("prepare", "uwmadison", "--help").out.replace("│", "").split()
    )


def test_real_slices(shared_data, tmp_path, caplog):
    """36 real slices of 15 cases, with gaps in every scan."""
    raw = shared_data / "uw-madison-gi-tract-image-segmentation"
    with caplog.at_level(logging.WARNING):
        prepared = prepare_uwmadison(raw, tmp_path)
    cases = cases_of(prepared.dataset)
    assert len(cases) == 36
    assert all("have no file; in stacks the nearest" in reason for _, reason in prepared.left_out)
    with (raw / "train.csv").open() as stream:
        pixels = {
            (row["id"], row["class"]): sum(map(int, row["segmentation"].split()[1::2]))
            for row in csv.DictReader(stream)
        }
    for name, case in cases.items():
        label = read_mask(case["label"], prepared.dataset.spec, image=case["image"][1])
        assert label.sum(axis=(1, 2)).tolist() == [pixels[name, organ] for organ in CLASSES]
        assert case["present"] == [organ for organ in CLASSES if pixels[name, organ]]


def test_slices_to_leave_out(raw, tmp_path):
    (tmp_path / "leave_out.csv").write_text("image_id\ncase2_day0_slice_0001\n")
    prepared = prepare_uwmadison(raw, tmp_path / "out", leave_out=tmp_path / "leave_out.csv")
    cases = cases_of(prepared.dataset)
    assert len(cases) == 15
    assert "case2_day0_slice_0001" not in cases
    neighbour = Path(cases["case2_day0_slice_0003"]["image"][0])
    assert neighbour.name.startswith("slice_0001"), "it is still its neighbour's channel"
