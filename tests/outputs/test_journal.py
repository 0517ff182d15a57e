from pathlib import Path

import pytest
from torch import nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.outputs.journal import Fingerprint, Journal, Record, difference, made_with
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.transforms.cleaning import Cleaning


def test_replaced_lines_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg_monai.outputs.journal.SUPERSEDED", 3)
    for number in range(20):
        journal = Journal(tmp_path)
        journal.add("a", Record({"number": number}, None, (), {"predictions": [["a", number]]}))
        journal.close()
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
