"""Folders looked through: every file is found or named."""

import os
from pathlib import Path

import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.inference.cases import find_cases
from medseg_monai.inference.folders import PassedOver, walk

VOLUMES = DatasetSpec("d", "binary", classes=("a",), channels=("CT",), spatial_dims=3, size=(8, 8, 8))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_is_passed_over_is_named_in_one_line_with_its_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a.png", "b.HEIC", "c.heic", "clinic/scan", "clinic/x.hdr", "line\nbreak.txt", ".hidden")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    assert [case["id"] for case in find_cases(tmp_path)] == ["a"]
    [record] = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert "7 files" not in line
    assert "6 files (2 .heic, 1 .hdr, 1 .txt, 1 broken link, 1 without a suffix)" in line
    for name in ("b.HEIC", "c.heic", "clinic/scan", "clinic/x.hdr", "line break.txt", "broken.png"):
        assert name in line


def test_a_folder_without_images_names_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.heic")
    with pytest.raises(
        ValueError, match=r"no images in .*looked for \.bmp.*skipped in .*: 1 file \(1 \.heic\): a\.heic"
    ):
        find_cases(tmp_path)
    with pytest.raises(ValueError, match=r"no volumes in .*: 1 file \(1 \.heic\): a\.heic"):
        find_cases(tmp_path, spec=VOLUMES)


def test_many_are_counted_and_the_first_named(tmp_path: Path) -> None:
    passed = PassedOver(tmp_path)
    for number in range(60):
        passed.add(tmp_path / f"{number:02}.txt")
    assert str(passed).endswith("48.txt, 49.txt and 10 more")
    assert ": 60 files (60 .txt): 00.txt, " in str(passed)


def test_volumes_name_what_is_not_one_and_no_half_of_a_pair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "a.nii.gz", "b.hdr", "b.img", "c.img", "notes.txt")
    find_cases(tmp_path, spec=VOLUMES)
    [record] = caplog.records
    assert record.getMessage().endswith("2 files (1 .img, 1 .txt): c.img, notes.txt")


def test_linked_folders_are_looked_into_once(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.png")
    touch(tmp_path / "other", "b.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    assert [case["id"] for case in find_cases(tmp_path / "in")] == ["a", "link/b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "a.png", "secret/b.png")
    (tmp_path / "secret").chmod(0)
    try:
        find_cases(tmp_path)
    finally:
        (tmp_path / "secret").chmod(0o700)
    assert "1 file (1 folder without read permission): secret" in caplog.text


def test_a_folder_that_cannot_be_listed_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png", "secret/b.png")
    scan = os.scandir

    def denied(path: str) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    passed = PassedOver(tmp_path)
    assert [names for _, names in walk(tmp_path, None, passed)] == [["a.png"]]
    assert passed.names == ["secret"]
