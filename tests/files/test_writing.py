"""A file is there whole or not at all; a folder has one writer."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medseg_monai.files.writing import (
    DiskFullError,
    FolderInUseError,
    lock_folder,
    readable,
    refuse_full_disk,
    remove_parts,
    replacing,
    sha256_of,
    write_whole,
)

HOLD = """
import pathlib, sys, time
from medseg_monai.files.writing import lock_folder
lock = lock_folder(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a.txt", b"old")

    def full_disk(path: Path, content: bytes) -> int:
        raise OSError(number, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(
        DiskFullError, match=r"a\.txt could not be written: No space left on device\. Free some space"
    ) as raised:
        write_whole(tmp_path / "a.txt", b"new")
    assert raised.value.errno == number
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    name = "x" * 251 + ".txt"  # 255 bytes
    write_whole(tmp_path / name, b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(OSError, match="name too long") as raised:
        write_whole(tmp_path / f"x{name}", b"1")
    assert raised.value.errno == errno.ENAMETOOLONG
    assert not isinstance(raised.value, DiskFullError)


def test_folders_are_made_as_far_as_they_are_missing(tmp_path: Path) -> None:
    for content in (b"1", b"2"):
        write_whole(tmp_path / "a" / "b" / "c.txt", content)
        assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == content
    for _ in range(2):
        lock_folder(tmp_path / "d" / "e").release()


def test_a_full_disk_names_the_file_that_it_had_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one that the file was to become part of; a lock's file too."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    with pytest.raises(DiskFullError) as raised, replacing(outer):
        refuse_full_disk(OSError(errno.ENOSPC, "No space left on device"), inner)
    assert raised.value.filename == str(inner)

    def full_disk(self: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full_disk)
    with pytest.raises(DiskFullError, match=r"lock could not be written: No space left on device\. Free some space"):
        lock_folder(tmp_path)


def test_the_disk_has_a_file_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        done.append("sync")
        sync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_whole(tmp_path / "a", b"1")
    write_whole(tmp_path / "a", b"2", sync=False)
    assert done == ["sync", "replace", "replace"]
    assert (tmp_path / "a").read_bytes() == b"2"
    with replacing(tmp_path / "a") as part:
        part.write_bytes(b"3")
    assert done[3:] == ["sync", "replace"]


def test_text_with_names_that_are_not_utf8_is_written_as_utf8(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.csv", "caf\udce9.png,ü\n")  # the byte E9, é in Latin-1, as Python has it in names
    assert (tmp_path / "a.csv").read_bytes() == b"caf\\xe9.png,\xc3\xbc\n"
    assert readable("half a pair \ud83d") == "half a pair \\ud83d"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib; from medseg_monai.files.writing import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1]) / 'mask.nrrd', ending='.nrrd') as part:\n"
        "    part.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    for name in (".hidden", "scan.part", "mask.png", ".medseg"):
        (tmp_path / name).touch()
    assert remove_parts([tmp_path, tmp_path / "not there"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", ".medseg", "mask.png", "scan.part"]


def test_replacing_leaves_nothing_if_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "a") as part:
            part.write_bytes(b"half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_process_and_is_free_after_kill_9(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(
            FolderInUseError, match="is being written to by another medseg process: wait until it has finished"
        ):
            lock_folder(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    first, again = lock_folder(tmp_path), lock_folder(tmp_path)
    first.release()
    assert again.is_locked
    again.release()
    assert not again.is_locked


def test_a_lock_is_the_process_s_not_a_thread_s(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path)
    other = threading.Thread(target=lock.release)
    other.start()
    other.join()
    assert not lock.is_locked


def test_files_are_hashed_as_if_they_were_one(tmp_path: Path) -> None:
    contents = [bytes(range(256)) * 4097, b"", b"tail"]  # the first longer than a block
    files = [tmp_path / str(number) for number in range(3)]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    assert sha256_of(files) == hashlib.sha256(b"".join(contents)).hexdigest()
