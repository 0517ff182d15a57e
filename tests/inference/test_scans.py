"""Finding scans, reading them ahead, and what happens to the broken one among them."""

import csv
import unicodedata
from pathlib import Path

import pytest
import torch
from torch import nn

from medseg_monai.engines.precision import PrecisionInferer, placed, precision_of
from medseg_monai.inference.scans import Scans, find_scans


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_recursively_and_keep_their_shape(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a/c.png", "notes.txt", ".hidden/d.png", "out/e.png")
    found = find_scans(tmp_path, leave_out=tmp_path / "out")
    assert [case["id"] for case in found] == ["a/c", "b"]
    assert found[1]["image"] == str(tmp_path / "b.JPG")


def test_equal_stems_keep_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.png")
    assert [case["id"] for case in find_scans(tmp_path)] == ["a_jpg", "a_png", "b"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "photo.dat")
    assert [case["id"] for case in find_scans([tmp_path / "photo.dat"])] == ["photo"]


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder: .*nowhere"):
        find_scans(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(ValueError, match="no images in"):
        find_scans(tmp_path)


def test_output_must_not_be_the_input(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(ValueError, match="both input and output"):
        find_scans(tmp_path, leave_out=tmp_path)


def read(case: dict[str, object]) -> dict[str, object]:
    if case["id"] == 2:
        raise ValueError(f"{case['image']}: image is truncated\nsecond line")
    return case


def test_a_broken_scan_is_put_aside_and_the_rest_come_in_order(tmp_path: Path) -> None:
    scans = Scans([{"image": f"{i}.png", "id": i} for i in range(7)], read, workers=3)
    assert [case["id"] for case in scans] == [0, 1, 3, 4, 5, 6]
    with pytest.raises(SystemExit, match="1 of 7 scans could not be used"):
        scans.finish(tmp_path)
    with (tmp_path / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "reason"], ["2.png", "image is truncated"]]


def test_no_failures_leave_no_old_failures_file(tmp_path: Path) -> None:
    (tmp_path / "failures.csv").write_text("from an earlier run")
    scans = Scans([{"image": "0.png", "id": 0}], read)
    assert len(list(scans)) == 1
    scans.finish(tmp_path)
    assert not (tmp_path / "failures.csv").exists()


def test_a_defect_of_ours_is_not_taken_for_a_broken_scan() -> None:
    def defective(case: dict[str, object]) -> dict[str, object]:
        raise KeyError("oops")

    with pytest.raises(KeyError):
        list(Scans([{"image": "0.png"}], defective))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_precision_by_name(name: str, dtype: torch.dtype | None) -> None:
    assert precision_of(name, "cpu") is dtype


@pytest.mark.parametrize(("name", "message"), [("half", "auto, fp32, bf16 or fp16"), ("fp16", "needs a CUDA device")])
def test_wrong_precision_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        precision_of(name, "cpu")


def test_low_precision_answers_are_float32_and_close() -> None:
    torch.manual_seed(0)
    network, image = nn.Conv2d(3, 2, 3), torch.randn(1, 3, 16, 16)
    exact, rough = (PrecisionInferer(name, "cpu")(image, network) for name in ("fp32", "bf16"))
    assert isinstance(rough, torch.Tensor)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, exact, atol=0.05)
    assert not torch.equal(rough, exact)


def test_equal_names_in_two_sources_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.png")
    assert [case["id"] for case in find_scans([tmp_path / "a", tmp_path / "b"])] == ["a/x", "b/x", "b/y"]


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
    cases = find_scans(tmp_path)
    assert len(cases) == len(names)
    assert len({unicodedata.normalize("NFC", case["id"]).casefold() for case in cases}) == len(names)
    assert "another file has that name too, so its mask is called" in caplog.text
    assert find_scans(tmp_path) == cases


def test_one_name_from_two_folders_named_singly(tmp_path: Path) -> None:
    touch(tmp_path, "A/img.png", "B/img.png", "B/other.png")
    found = find_scans([tmp_path / "A" / "img.png", tmp_path / "B" / "img.png", tmp_path / "B" / "other.png"])
    assert [case["id"] for case in found] == ["A/img", "B/img", "B/other"]


@pytest.mark.parametrize("nothing", ["", []])
def test_naming_no_image_is_an_error_not_the_current_folder(nothing: str | list[str]) -> None:
    with pytest.raises(ValueError, match="name the images to segment"):
        find_scans(nothing)


@pytest.mark.parametrize(("network", "strides"), [(nn.Conv2d(4, 8, 3), (36, 1, 12, 4)), (nn.Linear(4, 8), (4, 1))])
def test_placed_lays_convolutions_channels_last(network: nn.Module, strides: tuple[int, ...]) -> None:
    assert placed(network, "cpu").weight.stride() == strides


def test_placed_takes_3d_networks() -> None:
    network = placed(nn.Conv3d(2, 3, 3), "cpu")
    assert network.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert PrecisionInferer("fp32", "cpu")(torch.zeros(1, 2, 8, 8, 8), network).shape == (1, 3, 6, 6, 6)
