"""Zips from elsewhere: what is in them comes out as it was, or the zip is refused in one line and nothing lies outside the folder."""

import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from medseg_monai.export import unpack as unpacking
from medseg_monai.export.unpack import unpack


def zipped(file: Path, entries: list[tuple[str, bytes]], *, mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on names that are there twice
        for name, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return file


def test_files_and_folders_come_out_as_they_were(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 8192  # more than a megabyte, and repetitive
    entries = [("b/", b""), ("b/configs/x.json", b"{}"), ("b/$(x) #1.txt", b"text"), ("b/big", noise)]
    entries += [("c/d/e", b"a folder need not have an entry")]
    unpack(zipped(tmp_path / "a.zip", entries, method=zipfile.ZIP_STORED), tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*")}
    assert found.keys() == {"b", "b/configs", "b/configs/x.json", "b/$(x) #1.txt", "b/big", "c", "c/d", "c/d/e"}
    assert found["b/big"].read_bytes() == noise


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "..\\x", "a\\..\\..\\x", "\\\\host\\x", "C:/x", "c:\\x", "..", "./../x"]
)
def test_no_entry_leaves_the_folder(name: str, tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", [("good", b"1"), (name, b"2")])
    with pytest.raises(ValueError, match="leads outside the folder"):
        unpack(file, tmp_path / "in" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", [("link", b"/etc/passwd")], mode=kind | 0o777)
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        unpack(file, tmp_path / "out")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains 'x' twice"):
        unpack(zipped(tmp_path / "a.zip", [("x", b"1"), ("x", b"2")]), tmp_path / "out")


def test_a_small_zip_of_a_large_file_is_refused_early(tmp_path: Path) -> None:
    """Zeros shrink to a thousandth: 64 MB would be written, if it went on."""
    file = zipped(tmp_path / "a.zip", [("zeros", bytes(64 * 2**20))])
    assert file.stat().st_size < 10**5
    with pytest.raises(ValueError, match="unpacks to more than 100 times its size"):
        unpack(file, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) < 12 * 2**20


def test_too_much_in_all_is_refused_before_and_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 2**20)
    file = zipped(tmp_path / "a.zip", [(str(n), b"x" * 2**18) for n in range(5)], method=zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match="unpacks to more than"):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    lying = bytearray(file.read_bytes())  # the directory at the end now says that each entry holds 1 byte
    for start in [i for i in range(len(lying)) if lying[i : i + 4] == b"PK\x01\x02"]:
        lying[start + 24 : start + 28] = struct.pack("<I", 1)
    file.write_bytes(lying)
    with pytest.raises(ValueError, match=r"refused|damaged"):
        unpack(file, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 2**20


@pytest.mark.parametrize(("declared", "refused"), [(4 * 2**30, False), (4 * 2**30 + 1, True)])
def test_four_gibibytes_in_all_are_the_most(declared: int, refused: bool, tmp_path: Path) -> None:
    first, second = zipfile.ZipInfo("a"), zipfile.ZipInfo("b")
    first.file_size, second.file_size = 2**30, declared - 2**30
    if refused:
        with pytest.raises(ValueError, match="a.zip is refused: it unpacks to more than 4 GiB"):
            unpacking._check(tmp_path / "a.zip", [first, second])
    else:
        unpacking._check(tmp_path / "a.zip", [first, second])


def test_a_megabyte_may_shrink_as_it_will(tmp_path: Path) -> None:
    unpack(zipped(tmp_path / "a.zip", [("zeros", bytes(2**20))]), tmp_path / "out")
    assert (tmp_path / "out" / "zeros").read_bytes() == bytes(2**20)
    with pytest.raises(ValueError, match="more than 100 times its size"):
        unpack(zipped(tmp_path / "b.zip", [("zeros", bytes(2**20 + 1))]), tmp_path / "out")


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 3)
    with pytest.raises(ValueError, match="4 entries, more than 3"):
        unpack(zipped(tmp_path / "a.zip", [(str(n), b"") for n in range(4)]), tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packing_is_refused(method: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not compressed by deflate"):
        unpack(zipped(tmp_path / "a.zip", [("x", b"1")], method=method), tmp_path / "out")


def test_damaged_and_encrypted_zips_are_one_line(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", [("x", bytes(range(256)) * 99)]).read_bytes()
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    flipped = bytearray(whole)
    flipped[60] ^= 255
    for content in (whole[:200], bytes(encrypted), bytes(flipped), b"PK\x05\x06" + bytes(18)[:5]):
        (tmp_path / "b.zip").write_bytes(content)
        with pytest.raises(ValueError, match="cannot be unpacked") as caught:
            unpack(tmp_path / "b.zip", tmp_path / "out")
        assert "\n" not in str(caught.value)


def test_check_refuses_in_one_line(medseg: Callable[..., Outcome], tmp_path: Path) -> None:
    ended = medseg("check", zipped(tmp_path / "bomb.zip", [("configs/metadata.json", bytes(64 * 2**20))]))
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("medseg: error: ")
    assert "more than 100 times" in ended.err
