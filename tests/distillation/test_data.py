"""A data set with soft labels: what is in it, what is left out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audited import SPEC, write_discs
from PIL import Image
from untrained import untrained

from medseg_monai.dataset import (
    TRAINED_ON,
    Dataset,
    DatasetSpec,
    check_dataset,
    check_files,
    read_dataset,
    write_dataset,
)
from medseg_monai.distillation.data import find_material, write_distilled
from medseg_monai.inference.cases import Failure


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six pictures, one of them for validation, one for the test."""
    folder = tmp_path / "discs"
    folder.mkdir()
    write_discs(folder, count=6, split=lambda number: {4: "validation", 5: "test"}.get(number, "training"))
    return folder


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return untrained(tmp_path / "teacher", SPEC, seed=1)


def distilled(
    data: str | Path, folder: str | Path, teacher: str | Path, *unlabelled: Path, unchanged: bool = False
) -> tuple[Path, list[Failure]]:
    return write_distilled(find_material(data, folder, [teacher], unlabelled=unlabelled), folder, unchanged=unchanged)


def test_training_and_validation_cases_get_soft_labels_and_the_others_none(
    tmp_path: Path, data: Path, teacher: Path
) -> None:
    file, failures = distilled(data, tmp_path / "out", teacher)
    assert failures == []
    written, before = read_dataset(file), read_dataset(data)
    check_dataset(written)
    assert written.spec == before.spec
    for split in ("training", "validation", "test"):
        cases, own = written.cases(split), before.cases(split)
        assert [(case["id"], case["image"], case["label"]) for case in cases] == [
            (case["id"], case["image"], case["label"]) for case in own
        ]
        assert all(("soft_label" in case) == (split != "test") for case in cases)
    with Image.open(written.cases("training")[0]["soft_label"]) as picture:
        assert (picture.size, picture.mode) == ((60, 48), "L")


def test_unlabelled_images_join_training_with_the_teachers_masks(tmp_path: Path, data: Path, teacher: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    noise = np.random.default_rng(9).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(more / "new.png")
    (more / "seen.png").write_bytes((data / "case05.png").read_bytes())  # of the test split, under another name
    (more / "twice.png").write_bytes((more / "new.png").read_bytes())
    (more / "torn.png").write_bytes(b"\x89PNG torn")
    file, failures = distilled(data, tmp_path / "out", teacher, more)
    training = read_dataset(file).cases("training")
    assert [case["id"] for case in training][4:] == ["unlabelled/new"]
    soft = np.asarray(Image.open(training[-1]["soft_label"]))
    np.testing.assert_array_equal(np.asarray(Image.open(training[-1]["label"])) > 0, soft > 127)
    assert [Path(failure.path).name for failure in failures] == ["torn.png"]
    assert "torn.png" in (tmp_path / "out" / "failures.csv").read_text()


def test_a_broken_training_image_is_left_out(tmp_path: Path, data: Path, teacher: Path) -> None:
    (data / "case01.png").write_bytes(b"no picture")
    file, failures = distilled(data, tmp_path / "out", teacher)
    assert [case["id"] for case in read_dataset(file).cases("training")] == ["case00", "case02", "case03"]
    assert len(failures) == 1


def test_a_data_set_of_which_nothing_can_be_used(tmp_path: Path, data: Path, teacher: Path) -> None:
    for number in range(4):
        (data / f"case0{number}.png").write_bytes(f"no picture {number}".encode())
    with pytest.raises(ValueError, match=r"none of the 4 training cases could be used, see .*failures\.csv"):
        distilled(data, tmp_path / "out", teacher)


def test_labels_with_values_of_their_own_take_no_unlabelled_images(tmp_path: Path, data: Path, teacher: Path) -> None:
    content: dict[str, Any] = json.loads((data / "dataset.json").read_text())
    content["label_values"] = {"disc": 255}
    (data / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="labels with values of its own"):
        distilled(data, tmp_path / "out", teacher, data)


def test_paths_in_the_file_follow_the_folder(tmp_path: Path, data: Path, teacher: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    file, _ = distilled("discs", "out", "teacher")
    check_dataset(read_dataset(file))
    content = json.loads(Path(file).read_text())
    assert content["training"][0]["image"] == "../discs/case00.png"
    assert not Path(content["training"][0]["soft_label"]).is_absolute()
    copied = write_dataset(read_dataset(file), tmp_path / "elsewhere")
    check_dataset(read_dataset(copied))


def test_slices_with_neighbours_take_no_unlabelled_images(tmp_path: Path) -> None:
    """Before anybody is asked: they would join one by one, and a test slice would not be recognised in a stack."""
    spec = DatasetSpec("s", "binary", classes=("a",), channels=("below", "here", "above"), size=(8, 8), slice_stride=1)
    for number in (1, 2, 3):
        Image.new("L", (8, 8), 20 * number).save(tmp_path / f"slice_{number:04d}_8_8_1.50_1.50.png")
    files = [f"slice_{number:04d}_8_8_1.50_1.50.png" for number in (1, 2, 3)]
    write_dataset(Dataset(spec, tmp_path, training=({"image": files, "label": files[0]},)), tmp_path)
    teacher = untrained(tmp_path / "teacher", spec, seed=0)
    with pytest.raises(ValueError, match="neighbouring slices as channels"):
        distilled(tmp_path, tmp_path / "out", teacher, tmp_path / files[0])
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_stacks_sees_the_slices_that_the_case_lists(tmp_path: Path) -> None:
    """Whatever their names say: the student sees these."""
    spec = DatasetSpec("s", "binary", classes=("a",), channels=("below", "here", "above"), size=(8, 8), slice_stride=1)
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    cases = [
        {"image": list(order), "label": "mask.png", "id": "".join(order)}
        for order in (["a.png", "b.png", "c.png"], ["c.png", "b.png", "a.png"])
    ]
    write_dataset(Dataset(spec, tmp_path, training=tuple(cases)), tmp_path)
    teacher = untrained(tmp_path / "teacher", spec, seed=0)
    file, failures = distilled(tmp_path, tmp_path / "out", teacher)
    assert failures == []
    first, turned = (np.asarray(Image.open(case["soft_label"])) for case in read_dataset(file).cases("training"))
    assert not np.array_equal(first, turned)


def test_a_folder_of_dicom_is_named_with_what_to_do(
    tmp_path: Path, data: Path, teacher: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        "medseg_monai.distillation.data.find_cases", lambda *_, **__: [{"image": str(data), "id": "series"}]
    )
    _, failures = distilled(data, tmp_path / "out", teacher, data)
    assert [(failure.path, "convert DICOM series to NIfTI" in failure.reason) for failure in failures] == [
        (str(data), True)
    ]


def test_a_data_set_that_a_training_began_with_is_not_replaced(tmp_path: Path, data: Path, teacher: Path) -> None:
    file, _ = distilled(data, tmp_path / "out", teacher)
    before = file.read_bytes()
    distilled(data, tmp_path / "out", teacher, unchanged=True)
    other = untrained(tmp_path / "other", SPEC, seed=2)
    with pytest.raises(ValueError, match="began with other teachers"):
        distilled(data, tmp_path / "out", other, unchanged=True)
    assert file.read_bytes() == before
    distilled(data, tmp_path / "out", other)
    assert file.read_bytes() != before
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["dataset.json"]


def test_labelled_cases_that_cannot_be_used_are_left_out_too(tmp_path: Path, data: Path, teacher: Path) -> None:
    torn, gone, unlabelled, _ = read_dataset(data).cases("training")
    Path(torn["label"]).write_bytes(b"\x89PNG torn")
    Path(gone["image"]).unlink()
    Path(unlabelled["label"]).unlink()
    file, failures = distilled(data, tmp_path / "out", teacher)
    assert [case["id"] for case in read_dataset(file).cases("training")] == ["case03"]
    assert [Path(failure.path).stem for failure in failures] == [torn["id"], gone["id"], unlabelled["id"]]
    check_files(read_dataset(file), TRAINED_ON)
