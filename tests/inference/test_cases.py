"""Finding scans, reading them ahead, and what happens to the broken one among them."""

import csv
import unicodedata
from pathlib import Path

import pytest

from medseg_monai.inference.cases import CaseStream, find_cases


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_recursively_and_keep_their_shape(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a/c.png", "notes.txt", ".hidden/d.png", "out/e.png")
    found = find_cases(tmp_path, leave_out=tmp_path / "out")
    assert [case["id"] for case in found] == ["a/c", "b"]
    assert found[1]["image"] == str(tmp_path / "b.JPG")


def test_equal_stems_keep_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.png")
    assert [case["id"] for case in find_cases(tmp_path)] == ["a_jpg", "a_png", "b"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "photo.dat")
    assert [case["id"] for case in find_cases([tmp_path / "photo.dat"])] == ["photo"]


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder: .*nowhere"):
        find_cases(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(ValueError, match="no images in"):
        find_cases(tmp_path)


def test_output_must_not_be_the_input(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(ValueError, match="both input and output"):
        find_cases(tmp_path, leave_out=tmp_path)


def read(case: dict[str, object]) -> dict[str, object]:
    if case["id"] == 2:
        raise ValueError(f"{case['image']}: image is truncated\nsecond line")
    return case


def test_a_broken_scan_is_put_aside_and_the_rest_come_in_order(tmp_path: Path) -> None:
    scans = CaseStream([{"image": f"{i}.png", "id": i} for i in range(7)], read, workers=3)
    assert [case["id"] for case in scans] == [0, 1, 3, 4, 5, 6]
    with pytest.raises(SystemExit, match="1 of 7 images could not be used"):
        scans.finish(tmp_path)
    with (tmp_path / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "reason"], ["2.png", "image is truncated"]]


def test_no_failures_leave_no_old_failures_file(tmp_path: Path) -> None:
    (tmp_path / "failures.csv").write_text("from an earlier run")
    scans = CaseStream([{"image": "0.png", "id": 0}], read)
    assert len(list(scans)) == 1
    scans.finish(tmp_path)
    assert not (tmp_path / "failures.csv").exists()


def test_a_defect_of_ours_is_not_taken_for_a_broken_scan() -> None:
    def defective(case: dict[str, object]) -> dict[str, object]:
        raise KeyError("oops")

    with pytest.raises(KeyError):
        list(CaseStream([{"image": "0.png"}], defective))


def test_equal_names_in_two_sources_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.png")
    assert [case["id"] for case in find_cases([tmp_path / "a", tmp_path / "b"])] == ["a/x", "b/x", "b/y"]


@pytest.mark.parametrize(
    "names",
    [
        ("x.jpg", "x.JPG", "x_jpg.png"),
        ("x.jpg", "X.jpg", "x_2.jpg"),
        ("caf\u00e9.png", "cafe\u0301.png"),  # as one sign and as e with an accent
        ("a/x.jpg", "A/x.jpg"),
        ("x.png", "x.jpg", "x_png.png", "x_jpg.jpg", "X_png.jpg"),
    ],
)
def test_images_whose_masks_some_disk_would_take_for_one_are_told_apart(
    names: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, *names)
    cases = find_cases(tmp_path)
    assert len(cases) == len(names)
    assert len({unicodedata.normalize("NFC", case["id"]).casefold() for case in cases}) == len(names)
    assert "another file has that name too, so its mask is called" in caplog.text
    assert find_cases(tmp_path) == cases


def test_one_name_from_two_folders_named_singly(tmp_path: Path) -> None:
    touch(tmp_path, "A/img.png", "B/img.png", "B/other.png")
    found = find_cases([tmp_path / "A" / "img.png", tmp_path / "B" / "img.png", tmp_path / "B" / "other.png"])
    assert [case["id"] for case in found] == ["A/img", "B/img", "B/other"]


@pytest.mark.parametrize("nothing", ["", []])
def test_naming_no_image_is_an_error_not_the_current_folder(nothing: str | list[str]) -> None:
    with pytest.raises(ValueError, match="name the images to segment"):
        find_cases(nothing)
