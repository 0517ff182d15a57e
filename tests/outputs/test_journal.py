"""What the journal keeps of finished cases: settings, fingerprints, and no part of a line that the disk has no room for."""

import errno
import os
from pathlib import Path

import pytest
from torch import nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import DiskFullError
from medseg_monai.outputs.journal import Fingerprint, Journal, Record, difference, made_with
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.transforms.cleaning import Cleaning


def test_replaced_lines_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.outputs.journal.SUPERSEDED", 3)
    kept = []
    for number in range(20):
        journal = Journal(tmp_path)
        journal.add("a", Record({"number": number}, None, (), {"predictions": [["a", number]]}))
        journal.close()
        kept.append(journal.file.read_bytes().count(b'{"case": '))
    # rewritten once more than 2 x 1 + 3 lines of cases are found: the latest stays, and the new one follows
    assert kept == [1, 2, 3, 4, 5, 6, *[2, 3, 4, 5, 6] * 2, 2, 3, 4, 5]
    record = Journal(tmp_path).get("a")
    assert record is not None
    assert record.tables == {"predictions": [["a", 19]]}
    assert len(journal.file.read_bytes().split()) < 200


def test_a_fingerprint_sees_every_file_of_a_volume(tmp_path: Path) -> None:
    volume = DatasetSpec("d", "binary", classes=("a",), channels=("CT",), spatial_dims=3, size=(8, 8, 8))
    (tmp_path / "scan.mhd").write_text("ElementDataFile = scan.raw\n")
    (tmp_path / "scan.raw").write_bytes(b"1")
    header = Fingerprint.of(tmp_path / "scan.mhd", volume)
    assert header.is_of(tmp_path / "scan.mhd", volume)
    (tmp_path / "scan.raw").write_bytes(b"2")
    assert not header.is_of(tmp_path / "scan.mhd", volume)
    series = tmp_path / "series"
    series.mkdir()
    (series / "1").write_bytes(b"1")
    whole = Fingerprint.of(f"{series}#1.2.3", volume)
    (series / "2").write_bytes(b"")
    assert whole.is_of(f"{series}#1.2.3", volume)  # no content more
    (series / "2").write_bytes(b"2")
    assert not whole.is_of(f"{series}#1.2.3", volume)
    assert not whole.is_of(tmp_path / "gone", volume)


def test_a_fingerprint_of_a_slice_in_a_stack_sees_its_neighbours(tmp_path: Path) -> None:
    alone = DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(8, 8))
    stack = DatasetSpec(
        "d", "binary", classes=("a",), channels=("before", "here", "after"), size=(8, 8), slice_stride=1
    )
    first, middle, last = (tmp_path / f"slice_{number:04d}_8_6_1.50_1.50.png" for number in (1, 2, 3))
    for file in (first, middle, last):
        file.write_bytes(b"1")
    one, all_three = Fingerprint.of(middle, alone), Fingerprint.of(middle, stack)
    assert all_three.is_of(middle, stack)
    last.write_bytes(b"2")
    assert not all_three.is_of(middle, stack)
    assert one.is_of(middle, alone)
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"1")
    assert Fingerprint.of(photo, stack).sha256 == one.sha256  # no slice by its name: the file alone


def test_settings_tell_weights_cleaning_and_size_apart() -> None:
    trained = Trained(dataset=demo_spec(), architecture={"_target_": "x"}, bundle="unet")
    network, other = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)
    first = made_with(trained, network, cleaning=Cleaning(), tta="none")
    assert difference(first, made_with(trained, network, cleaning=Cleaning(), tta="none")) == ""
    assert (
        difference(first, made_with(trained, other, cleaning=Cleaning(), tta="none"))
        == "they were made with other weights"
    )
    assert "another cleaning" in difference(first, made_with(trained, network, cleaning=Cleaning((0.4,)), tta="none"))
    assert "another tta (none, now flips)" in difference(
        first, made_with(trained, network, cleaning=Cleaning(), tta="flips")
    )
    depth = made_with(trained, network, cleaning=Cleaning(), tta="none", network_options={"inference_depth": 1})
    assert "another network" in difference(first, depth)


class Disk:
    """A file opened for appending that takes so many bytes at each call of ``write``, then no more."""

    def __init__(self, file: Path, takes: list[int]) -> None:
        self.stream = file.open("ab", buffering=0)
        self.takes = takes

    def tell(self) -> int:
        return self.stream.tell()

    def write(self, data: bytes) -> int | None:
        room = self.takes.pop(0) if self.takes else 0
        return self.stream.write(data[:room]) if room else None

    def truncate(self, size: int) -> int:
        return self.stream.truncate(size)

    def close(self) -> None:
        self.stream.close()


def record(number: int) -> Record:
    return Record({"number": number}, None, ("a.png",), {"predictions": [["a", number]]})


@pytest.mark.parametrize("takes", [[7, 10_000], [0, 10_000]])
def test_the_rest_of_a_line_that_was_written_in_part_follows(tmp_path: Path, takes: list[int]) -> None:
    journal = Journal(tmp_path)
    journal.add("a", record(1))
    journal.close()
    before = journal.file.stat().st_size
    journal._stream = Disk(journal.file, takes)  # type: ignore[assignment]
    journal.add("b", record(2))
    journal.close()
    assert {case: found.tables["predictions"] for case, found in Journal(tmp_path).items()} == {
        "a": [["a", 1]],
        "b": [["a", 2]],
    }
    lines = journal.file.read_bytes()[before:]
    assert lines.count(b"\n") == 2  # the settings and the case, each once


def length_of(record: Record, folder: Path) -> int:
    """Bytes that a journal writes of the first case with these settings."""
    journal = Journal(folder)
    journal.add("b", record)
    journal.close()
    return journal.file.stat().st_size


@pytest.mark.parametrize("takes", [[7, 9], [7], [], [-1]])
def test_no_part_of_a_line_stays_that_the_disk_has_no_room_for(tmp_path: Path, takes: list[int]) -> None:
    journal = Journal(tmp_path)
    journal.add("a", record(1))
    journal.close()
    before = journal.file.read_bytes()
    takes = [length_of(record(2), tmp_path / "other") + n if n < 0 else n for n in takes]  # -1: all but the last byte
    journal._stream = Disk(journal.file, takes)  # type: ignore[assignment]
    with pytest.raises(DiskFullError, match="No space left on device") as raised:
        journal.add("b", record(2))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(journal.file))
    assert journal.file.read_bytes() == before
    assert journal.get("b") is None
    journal.close()
    journal.add("b", record(2))  # there is room again: the settings are written again too
    journal.close()
    assert Journal(tmp_path).get("b") == record(2)


def test_settings_are_written_once_whatever_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("a", Record({"one": 1, "two": 2}, None))
    journal.add("b", Record({"two": 2, "one": 1}, None))
    journal.close()
    lines = journal.file.read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ['{"key"', '{"case"', '{"case"']


def test_another_picture_of_the_same_size_and_time_is_another(tmp_path: Path) -> None:
    """As an archive unpacks them; and the same content under another name is still the picture."""
    spec = demo_spec()
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1, 1))
    known = Fingerprint.of(tmp_path / "a", spec)
    assert [known.is_of(tmp_path / name, spec) for name in "abc"] == [True, False, True]


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"1")
    known = Fingerprint.of(tmp_path / "a", demo_spec())
    monkeypatch.setattr("medseg_monai.outputs.journal.sha256_of", lambda _: pytest.fail("was read"))
    assert known.is_of(tmp_path / "a", demo_spec())
