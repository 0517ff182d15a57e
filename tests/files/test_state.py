import os
import shutil
from pathlib import Path

import pytest

from medseg_monai.files.state import state_of


def test_a_file_that_nobody_touched_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "mask.bmp"
    file.write_bytes(b"first")
    before = state_of(file)
    file.read_bytes()
    assert state_of(file) == state_of(str(file)) == before


def test_another_file_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    """As after unpacking a second version, or `rsync --archive`: these set the time of the content."""
    for name, content in (("mask.bmp", b"first"), ("unpacked", b"other")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    before = state_of(tmp_path / "mask.bmp")
    (tmp_path / "unpacked").replace(tmp_path / "mask.bmp")
    assert state_of(tmp_path / "mask.bmp") != before


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert state_of(tmp_path / "link") == state_of(tmp_path / "file")
    shutil.copy2(tmp_path / "file", tmp_path / "copy")
    assert state_of(tmp_path / "copy") != state_of(tmp_path / "file")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        state_of(tmp_path / "nowhere")
