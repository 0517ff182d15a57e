"""A folder as the field has it, and what a run does about it: all that can be done is done, and all else is named."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, Outcome
from PIL import Image

from medseg_monai.bundle.trained import Trained, write_weights

Medseg = Callable[..., Outcome]
HOSTILE = "$__import__('os').system('touch pwned') %a @b #1::2 \n=1+1.png"


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def photographs(demo_data: Path, tmp_path: Path) -> Path:
    """50 good ones, three of good content and hard names, and four that cannot be segmented."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    sources = sorted((demo_data / "images").iterdir())
    for number in range(50):
        shutil.copy(sources[number % len(sources)], folder / f"{number:02}{sources[0].suffix}")
    with Image.open(sources[0]) as source:
        picture = source.convert("RGB")
    for name in (HOSTILE, os.fsdecode(b"caf\xe9.png"), "n" * 240 + ".png", "m" * 246 + ".png"):
        picture.save(folder / "new.png")
        (folder / "new.png").rename(folder / name)
    picture.save(folder / "new.png")
    (folder / "new.png").rename(folder / f"{'l' * 250}.png")  # its mask's name would be too long
    (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    picture.save(folder / "pages.tif", save_all=True, append_images=[picture])
    picture.save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])
    return folder


def test_one_bad_name_or_file_spoils_nothing(medseg: Medseg, photographs: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = medseg("predict", "unetpp", photographs, "-w", trained, "--out", out, "--format", "png,rle,coco")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "3 of 57 images could not be used" in outcome.err
    assert "1 file (1 .heic): phone.HEIC" in outcome.err
    failed = {Path(row["path"]).name: row["reason"] for row in table(out / "failures.csv")}
    assert {name[:9] for name in failed} == {"cut.jpg", "pages.tif", "l" * 9}
    assert "File name too long" in failed["l" * 250 + ".png"]
    assert "2 pictures" in failed["pages.tif"]
    assert len(list(out.glob("*_mask.png"))) == 54
    for name in ("predictions.csv", "masks_rle.csv"):
        assert len({row["case"] for row in table(out / name)}) == 54, name
    assert len(json.loads((out / "masks.coco.json").read_text())["images"]) == 54
    assert (out / os.fsdecode(b"caf\xe9_mask.png")).is_file()
    assert (out / f"{'m' * 246}_mask.png").is_file()
    assert not list(out.glob(".medseg-*"))
    assert not list(tmp_path.rglob("pwned"))


def test_what_a_killed_run_left_is_completed(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    predict = ("predict", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path)
    assert medseg(*predict).code == 0
    rows, masks = table(tmp_path / "predictions.csv"), sorted(tmp_path.glob("*_mask.png"))
    contents = [mask.read_bytes() for mask in masks]
    (
        tmp_path / "predictions.csv"
    ).unlink()  # as after a kill: the last lines of the journal and some masks are not there
    journal = tmp_path / ".medseg" / "predictions.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:9]) + b'{"case": "torn')
    masks[3].unlink()
    (tmp_path / ".medseg-0123456789abcdef.part").write_bytes(b"half")
    assert medseg(*predict).code == 0
    assert table(tmp_path / "predictions.csv") == rows
    assert [mask.read_bytes() for mask in masks] == contents
    assert not list(tmp_path.glob(".medseg-*"))


def test_other_weights_another_threshold_and_another_picture_are_done_again(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    sources = sorted((demo_data / "images").iterdir())[:2]
    for name, source in zip("AB", sources, strict=True):
        (tmp_path / name).mkdir()
        with Image.open(source) as picture:
            picture.resize((60 + 20 * (name == "A"), 50)).save(tmp_path / name / "img.png")
    out, options = tmp_path / "out", ("-w", trained, "--out", tmp_path / "out")
    medseg("predict", "unetpp", tmp_path / "A", *options)
    outcome = medseg("predict", "unetpp", tmp_path / "B", *options)
    assert "1 of the masks" in outcome.err
    with Image.open(out / "img_mask.png") as mask:
        assert mask.size == (60, 50)
    assert "another cleaning" in medseg("predict", "unetpp", tmp_path / "B", *options, "--threshold", 0.9).err
    assert "already finished" in medseg("predict", "unetpp", tmp_path / "B", *options, "--threshold", 0.9).err
    described = Trained.read(trained)
    state = {name: value * 1.5 for name, value in torch.load(trained / "model.pt", weights_only=True).items()}
    write_weights(tmp_path / "weights", state, described)
    outcome = medseg("predict", "unetpp", tmp_path / "B", "-w", tmp_path / "weights", "--out", out, "--threshold", 0.9)
    assert "other weights" in outcome.err


def _with_answer(trained: Path, folder: Path, value: float) -> Path:
    """Weights that are finite and answer with the value where a picture is bright: the last layer's are as large as can be."""
    described = Trained.read(trained)
    state = torch.load(trained / "model.pt", weights_only=True)
    for name, tensor in state.items():
        if tensor.is_floating_point() and ("weight" in name or "bias" in name):
            state[name] = torch.full_like(tensor, value)
    write_weights(folder, state, described)
    return folder


def train_at(medseg: Medseg, lr: float, data: Path, out: Path) -> Outcome:
    return medseg("train", "unet", "-d", data, *SMALL, "--lr", lr, "--max-epochs", 60, "--out", out)


def test_a_learning_rate_that_is_too_high_ends_in_one_line_and_keeps_the_best_weights(
    medseg: Medseg, demo_data: Path, tmp_path: Path
) -> None:
    outcome = train_at(medseg, 1000, demo_data, tmp_path)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("medseg: error"))
    assert re.search(r"the loss (became|exploded|is still).*: training stopped.*lower `lr`", line, re.IGNORECASE)
    best = Trained.read(tmp_path).training["best_epoch"]
    assert f"{tmp_path} keeps the weights of the best epoch so far, {best}\n" in outcome.err
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_a_loss_that_is_no_number_in_the_first_epoch_names_the_cases(
    medseg: Medseg, demo_data: Path, tmp_path: Path
) -> None:
    outcome = train_at(medseg, 1e30, demo_data, tmp_path / "out")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("medseg: error"))
    assert re.search(
        r"the loss became nan in epoch 1, iteration 2 .*cases: demo_\d{4}, .*training stopped. Look at", line
    )
    assert not (tmp_path / "out" / "model.pt").exists()


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain", "tune"])
def test_answers_that_are_not_finite_are_failures(
    command: str, medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = _with_answer(trained, tmp_path / "weights", 1e38)
    data = ("-d", demo_data) if command in ("evaluate", "tune") else (demo_data / "images",)
    out = () if command == "tune" else ("--out", tmp_path / "out")
    outcome = medseg(command, "unetpp", *data, "-w", weights, *out)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "not finite" in outcome.err + caplog.text
    assert not list(tmp_path.rglob("*_mask.png"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("size", [100_000, 100_000], "one image of 100000 x 100000 needs at least 160 GB"),
        ("classes", ["lesion", "other"], "classes: a binary data set has one class"),
    ],
)
def test_a_spec_that_does_not_go_with_the_machine_or_itself_is_one_line(
    key: str, value: object, said: str, medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained / "model.pt", tmp_path / "model.pt")
    content = json.loads((trained / "spec.json").read_text())
    content["dataset"][key] = value
    (tmp_path / "spec.json").write_text(json.dumps(content))
    for command in (("predict", "unetpp", demo_data / "images"), ("evaluate", "unetpp", "-d", demo_data)):
        outcome = medseg(*command, "-w", tmp_path, "--out", tmp_path / "out")
        assert outcome.code == 1
        assert said in outcome.err
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize("features", [[4, 8, 16], [], "many", [0, 0, 0]])
def test_features_that_do_not_fit_the_weights_are_one_line(
    features: object, medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained / "model.pt", tmp_path / "model.pt")
    content = json.loads((trained / "spec.json").read_text())
    content["architecture"]["features"] = features
    (tmp_path / "spec.json").write_text(json.dumps(content))
    outcome = medseg("predict", "unetpp", demo_data / "images", "-w", tmp_path, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1, outcome.err


def test_a_network_that_sees_one_pixel_segments(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "model.pt", tmp_path / "model.pt")
    content = json.loads((trained / "spec.json").read_text())
    content["dataset"]["size"] = [1, 1]
    (tmp_path / "spec.json").write_text(json.dumps(content))
    image = sorted((demo_data / "images").iterdir())[0]
    outcome = medseg("predict", "unetpp", image, "-w", tmp_path, "--out", tmp_path / "out")
    assert "Traceback" not in outcome.err
    assert np.logical_xor(outcome.code == 0, "medseg: error" in outcome.err)
