"""Photographs among the files of a folder."""

import logging
from pathlib import Path

import pytest

from medseg_monai.inference.folders import FoundImage
from medseg_monai.inference.pictures import find_pictures


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_pictures_are_found_below_and_what_is_none_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "b.JPG", "a/c.v2.png", "a/notes.txt")
    with caplog.at_level(logging.WARNING):
        found = list(find_pictures(tmp_path))
    assert found == [
        FoundImage(str(tmp_path / "a/c.v2.png"), Path("a/c.v2"), ".png"),
        FoundImage(str(tmp_path / "b.JPG"), Path("b"), ".JPG"),
    ]
    assert "1 file (1 .txt): a/notes.txt" in caplog.text


def test_a_file_is_taken_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "sub/picture.dat")
    (found,) = find_pictures(tmp_path / "sub/picture.dat")
    assert (found.name.as_posix(), found.ending) == ("picture", ".dat")
    with pytest.raises(FileNotFoundError, match="no such file or folder: .*nowhere"):
        next(find_pictures(tmp_path / "nowhere"))


def test_a_folder_of_volumes_alone_says_what_they_are_for(tmp_path: Path) -> None:
    touch(tmp_path, "x.nii.gz", "sub/y.nrrd")
    with pytest.raises(ValueError, match=r"no images in .*the 2 volumes there are for a 3D network; skipped"):
        next(find_pictures(tmp_path))
