"""`medseg audit`, as a user calls it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from audited import disc, write_discs
from conftest import Outcome

from medseg_monai.dataset import read_dataset, write_dataset
from medseg_monai.files.csv_tables import read_records

Medseg = Callable[..., Outcome]


def test_weights_judge_the_cases_that_they_have_not_seen(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "audit"
    ended = medseg("audit", demo_data, "unetpp", "--weights", trained, "--out", out)
    assert ended.code == 0, ended.err
    dataset = read_dataset(demo_data)
    unseen = [case["id"] for split in ("validation", "test") for case in dataset.cases(split)]
    rows = read_records(out / "audit.csv")
    assert len(rows) == 20
    assert sorted(row["case"] for row in rows if row["rank"]) == sorted(unseen)
    assert f"{len(unseen)} labels judged" in ended.out
    assert f"doubtful: {20 - len(unseen)} cases not judged" in ended.out
    assert (out / "index.html").is_file()


def test_a_label_that_cannot_be_read_is_the_exit_code_and_the_others_are_judged(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_data, tmp_path / "data")
    case = read_dataset(tmp_path / "data").cases("test")[0]
    Path(case["label"]).write_bytes(b"no picture")
    ended = medseg("audit", tmp_path / "data", "unetpp", "--weights", trained, "--out", tmp_path / "audit")
    assert ended.code == 1
    assert "not judged" in ended.out
    rows = {row["case"]: row for row in read_records(tmp_path / "audit" / "audit.csv")}
    assert rows[case["id"]]["reason"].startswith("not judged: ")
    assert sum(bool(row["rank"]) for row in rows.values()) > 1


def test_quick_folds_are_trained_once_and_what_is_doubtful_can_be_left_out(
    medseg: Medseg, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw, out = tmp_path / "data", tmp_path / "audit"
    raw.mkdir()
    write_discs(raw, {4: disc(50, 40, 6)}, count=10, split=lambda n: "test" if n == 9 else "training")
    small = ("--set", "architecture#features=[4, 8]", "--set", "max_epochs=1", "--set", "size=[32, 32]")
    command = ("audit", raw, "--folds", "2", "--out", out, "--device", "cpu", "--from", "0", *small)
    first = medseg(*command)
    assert first.code == 0, first.err
    assert f"2 quick folds of unet, about 6 minutes for all -> {out / 'folds'}/" in caplog.text
    rows = read_records(out / "audit.csv")
    assert {row["case"]: row["probabilities"] for row in rows}["case09"] == "ensemble of folds"
    assert {row["probabilities"] for row in rows} == {"fold 1", "fold 2", "ensemble of folds"}
    weights = (out / "folds" / "fold_1" / "model.pt").stat().st_mtime_ns
    assert medseg(*command).code == 0
    assert (out / "folds" / "fold_1" / "model.pt").stat().st_mtime_ns == weights, "the same folds are used again"

    (out / "leave_out.csv").write_text("image_id,reason\ncase04,shifted\n")
    for folder in ("images", "masks"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for number in range(10):
        shutil.copy(raw / f"case{number:02d}.png", tmp_path / "raw" / "images")
        shutil.copy(raw / f"case{number:02d}_mask.png", tmp_path / "raw" / "masks")
    left = medseg(
        "prepare", "folder", tmp_path / "raw", "--out", tmp_path / "new", "--leave-out", out / "leave_out.csv"
    )
    assert left.code == 0, left.err
    assert "case04.png: named in leave_out.csv: shifted" in left.err
    dataset = read_dataset(tmp_path / "new")
    assert sum(len(dataset.cases(split)) for split in ("training", "validation", "test")) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no such file or folder: nowhere"),
        (
            ("{data}", "unetpp", "--probabilities", "{data}"),
            "give --probabilities, or a bundle and its weights, not both",
        ),
        (("{data}", "--weights", "x"), "--weights needs the name of their bundle"),
        (("{data}", "unetpp", "--weights", "nowhere"), "no weights 'nowhere'"),
        (("{data}", "--probabilities", "{data}"), "holds no probabilities of the cases of demo"),
    ],
)
def test_mistakes_are_one_line(medseg: Medseg, demo_data: Path, arguments: tuple[str, ...], message: str) -> None:
    ended = medseg("audit", *(text.format(data=demo_data) for text in arguments))
    assert ended.code == 1
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_weights_that_have_seen_everything_judge_nothing(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(demo_data)
    everything = [case for split in ("training", "validation", "test") for case in dataset.cases(split)]
    cases = tuple({"image": case["image"], "label": case["label"]} for case in everything)
    write_dataset(type(dataset)(dataset.spec, tmp_path, training=cases), tmp_path)
    ended = medseg("audit", tmp_path, "unetpp", "--weights", trained)
    assert ended.code == 1
    assert "has seen all cases: leave the bundle out, for quick folds" in ended.err
