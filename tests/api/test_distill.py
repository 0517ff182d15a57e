"""A student trained through the Python face: by its teachers as well as by labels, again, and with what cannot be."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome
from untrained import untrained

import medseg_monai as mm
from medseg_monai.dataset import read_dataset

QUICK = {
    "assignments": {"architecture#features": [4, 8], "val_interval": 5},
    "size": 32,
    "max_epochs": 1,
    "batch_size": 8,
}


def test_a_student_and_a_second_call_that_asks_nobody(
    demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = untrained(tmp_path / "teacher", read_dataset(demo_data).spec, seed=1, bundle="resunetpp")
    first = mm.distill("unet", demo_data, teacher=teacher, out=tmp_path / "student", **QUICK)  # type: ignore[arg-type]
    assert first.finished
    assert first.trained.bundle == "unet"
    data = read_dataset(tmp_path / "student" / "data")
    assert all("soft_label" in case for case in data.training)
    monkeypatch.setattr("medseg_monai.distillation.teachers.Teachers.__call__", None)
    again = mm.distill("unet", demo_data, teacher=teacher, out=tmp_path / "student", **QUICK)  # type: ignore[arg-type]
    assert again.trained.training["validation"] == first.trained.training["validation"]
    losses = [float(row["loss"]) for row in (again.history[0], first.history[0])]
    assert losses[0] == losses[1]


def test_the_teachers_weight_decides_what_is_learnt(demo_data: Path, tmp_path: Path) -> None:
    teacher = untrained(tmp_path / "teacher", read_dataset(demo_data).spec, seed=1)
    losses = {}
    for weight in (0.0, 1.0):
        out = tmp_path / str(weight)
        done = mm.distill("unet", demo_data, teacher=[teacher], soft_weight=weight, out=out, **QUICK)  # type: ignore[arg-type]
        losses[weight] = float(done.history[0]["loss"])
    plain = mm.train("unet", demo_data, out=tmp_path / "plain", **QUICK)  # type: ignore[arg-type]
    assert losses[0.0] == float(plain.history[0]["loss"])
    assert losses[1.0] != losses[0.0]


def test_volumes(demo_volumes: Path, tmp_path: Path) -> None:
    spec = read_dataset(demo_volumes).spec
    teacher = untrained(tmp_path / "teacher", spec, seed=1, bundle="unet3d")
    settings = {"architecture#features": [4, 8], "size": [16, 16, 16], "patches_per_case": 1}
    done = mm.distill(
        "unet3d",
        demo_volumes,
        teacher=teacher,
        max_epochs=1,
        batch_size=2,
        out=tmp_path / "student",
        assignments=settings,
    )
    assert done.finished
    case = read_dataset(tmp_path / "student" / "data").cases("training")[0]
    maps = case["soft_label"] if isinstance(case["soft_label"], list) else [case["soft_label"]]
    assert len(maps) == len(spec.classes)
    assert all(file.endswith(".nii.gz") for file in maps)


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("nowhere", {"teacher": "nowhere"}),
        ("name at least one teacher", {"teacher": []}),
        ("was trained for other data than demo", {"teacher": "unet3d"}),
        ("unknown config key 'lrr'", {"assignments": {"lrr": 1}}),
        ("no such file or folder: .*nowhere", {"unlabelled": "nowhere"}),
        ("empty", {"unlabelled": "empty"}),
        ("nowhere", {"start_from": "nowhere"}),
        ("no such file or folder: .*nowhere.yaml", {"plan": "nowhere.yaml"}),
        ("not both", {"minutes": 1, "hours": 1}),
        ("unknown device", {"device": "gpu9"}),
    ],
)
def test_what_cannot_be_leaves_no_folder(
    said: str, given: dict[str, Any], demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody has been asked."""
    teacher = untrained(tmp_path / "teacher", read_dataset(demo_data).spec, seed=1)
    monkeypatch.setattr("medseg_monai.distillation.teachers.Teachers.__call__", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=said):
        mm.distill("unet", demo_data, **{"teacher": teacher, "out": tmp_path / "student", **given})
    assert sorted(place.name for place in tmp_path.iterdir()) == ["empty", "teacher"]


def test_what_is_wrong_with_a_teacher_is_no_fault_of_the_images(demo_data: Path, tmp_path: Path) -> None:
    teacher = untrained(tmp_path / "teacher", read_dataset(demo_data).spec, seed=1)
    with pytest.raises(ValueError, match="tta: got 'flipz'"):
        mm.distill("unet", demo_data, teacher=teacher, tta="flipz", out=tmp_path / "student")


def test_the_command(demo_data: Path, tmp_path: Path, medseg: Callable[..., Outcome]) -> None:
    teacher = untrained(tmp_path / "teacher", read_dataset(demo_data).spec, seed=1)
    (tmp_path / "torn.jpg").write_bytes(b"torn")
    settings = ("--epochs", 1, "--size", 32, "--batch-size", 8, "--set", "architecture#features=[4, 8]")
    ended = medseg(
        "distill", "unet", "-t", teacher, "-d", demo_data, "-o", tmp_path / "out", *settings,
        "--unlabelled", tmp_path / "torn.jpg",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "unet trained on demo" in ended.out
    assert re.search(r"doubtful: could not be used: .*torn\.jpg", ended.out)
    content = json.loads((tmp_path / "out" / "data" / "dataset.json").read_text())
    assert "torn" not in json.dumps(content)
    assert "torn.jpg" in (tmp_path / "out" / "data" / "failures.csv").read_text()
