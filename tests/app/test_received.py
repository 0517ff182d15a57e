"""Files that a browser sends: safe names, bounds, zips."""

from __future__ import annotations

import asyncio
import io
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.app import received
from medseg_monai.app.received import LONGEST_NAME, Received, free_path, safe_name


@pytest.fixture
def files() -> Iterator[Received]:
    files = Received()
    yield files
    files.close()


def store(files: Received, name: str, *chunks: bytes) -> Path:
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(files.store(name, pieces()))


def zipped(entries: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    return content.getvalue()


@given(st.text(max_size=60))
def test_any_name_stays_inside_and_can_be_written(name: str) -> None:
    path = safe_name(name)
    assert not path.is_absolute()
    assert path.parts
    assert all(part not in ("..", ".") and not part.startswith(".") for part in path.parts)
    assert all(part.isprintable() or ord(max(part)) > 127 for part in path.parts)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=40, max_size=300))
def test_long_names_fit_on_a_disk_and_keep_their_end(name: str) -> None:
    *_, last = safe_name(f"{name}.png").parts
    assert len(last.encode()) <= LONGEST_NAME + 1
    assert not last.startswith(".")  # hidden files are not searched
    assert last.endswith(".png")


def test_a_long_name_is_not_cut_into_one_that_is_hidden() -> None:
    assert str(safe_name("x" * 50 + "." + "y" * (LONGEST_NAME - 1))) == "_" + "y" * (LONGEST_NAME - 1)
    assert str(safe_name("影" * 100)) == "影" * (LONGEST_NAME // 3)


def test_the_last_eight_folders_are_kept() -> None:
    assert str(safe_name("1/2/3/4/5/6/7/8/9/10.png")) == "3/4/5/6/7/8/9/10.png"


def test_so_many_files_and_no_more(files: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "MOST_FILES", 2)
    for name in ("a.jpg", "b.jpg"):
        store(files, name, b"1")
    with pytest.raises(ValueError, match="more than 2 files"):
        store(files, "c.jpg", b"1")
    files.close()
    files.close()  # a tab that is closed twice is closed
    assert not files.folder.exists()


@pytest.mark.parametrize("name", ["CON.png", "nul", "com1.jpg", "LPT9"])
def test_names_that_windows_reserves_are_changed(name: str) -> None:
    assert str(safe_name(name)) == f"_{name}"


def test_content_and_folders_are_kept(files: Received) -> None:
    file = store(files, "scan 1/a.jpg", b"ab", b"c")
    assert file.read_bytes() == b"abc"
    assert file.relative_to(files.folder / "images").as_posix() == "scan 1/a.jpg"


def test_a_second_file_of_the_same_name_does_not_replace_the_first(files: Received) -> None:
    first, second = store(files, "a.jpg", b"1"), store(files, "a.jpg", b"2")
    assert (first.read_bytes(), second.read_bytes(), second.name) == (b"1", b"2", "a (2).jpg")


def test_a_zip_is_unpacked(files: Received) -> None:
    folder = store(files, "study.zip", zipped({"s/1.dcm": b"one", "s/2.dcm": b"two"}))
    assert (folder / "s" / "2.dcm").read_bytes() == b"two"
    assert not (folder.parent / "study.zip").exists()


@pytest.mark.parametrize("entries", [{"../out.jpg": b"x"}, {"/etc/x.jpg": b"x"}])
def test_a_zip_that_leads_outside_leaves_nothing(files: Received, entries: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="leads outside"):
        store(files, "bad.zip", zipped(entries))
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []


def test_more_than_fits_is_refused_and_removed(files: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "MOST_BYTES", 10)
    store(files, "a.jpg", b"12345678")
    with pytest.raises(ValueError, match="in all"):
        store(files, "b.jpg", b"1234")
    store(files, "c.jpg", b"12")  # the refused one does not count
    assert sorted(path.name for path in (files.folder / "images").iterdir()) == ["a.jpg", "c.jpg"]
    monkeypatch.setattr(received, "MOST_FILES", 3)
    with pytest.raises(ValueError, match="more than 3 files"):
        store(files, "d.jpg", b"")


def test_a_sender_that_goes_away_leaves_nothing(files: Received) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(files.store("a.jpg", cut()))
    assert list((files.folder / "images").iterdir()) == []


def test_closing_removes_all() -> None:
    files = Received()
    store(files, "a.jpg", b"1")
    files.close()
    assert not files.folder.exists()


def test_free_path(tmp_path: Path) -> None:
    (tmp_path / "a.b.jpg").touch()
    assert free_path(tmp_path / "a.b.jpg").name == "a.b (2).jpg"
    assert free_path(tmp_path / "new").name == "new"


def test_files_are_removed_after_who_writes_there_has_ended(files: Received) -> None:
    store(files, "a.jpg", b"x")
    ended = threading.Event()
    files.close(after=[ended.wait])
    assert files.folder.is_dir()
    ended.set()
    for thread in threading.enumerate():
        if thread.name == "remove":
            thread.join(300)
    assert not files.folder.exists()
