"""The command line from end to end on generated pictures: what it writes, and what it says when something is wrong."""

import csv
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import raw_folders
import torch
from conftest import SMALL, Outcome
from PIL import Image

from medseg_monai.inference.recipe import wants_page
from medseg_monai.program.process import IS_PROGRAM

Medseg = Callable[..., Outcome]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {path.relative_to(folder).as_posix(): pixels(path) for path in folder.rglob("*_mask.png")}


def test_prepare_says_which_layout_it_read(medseg: Medseg, tmp_path: Path) -> None:
    raw_folders.pictures(tmp_path, *(f"raw/pics/{n}.png" for n in "abcdef"))
    raw_folders.masks(tmp_path, *(f"raw/truth/{n}_x.png" for n in "abcdef"))
    pattern = "pics/{case}.png -> truth/{case}_x.png"
    outcome = medseg("prepare", "folder", tmp_path / "raw", "--out", tmp_path / "out", "--pattern", pattern)
    assert outcome.out.startswith("read as 'pattern': 6 cases, classes foreground\n")
    outcome = medseg("prepare", "folder", tmp_path / "raw", "--out", tmp_path / "out", "--layout", "coco")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "12 pictures, but nothing says which are masks. Looked for: COCO" in outcome.err


def test_prepare_demo_says_what_it_wrote(medseg: Medseg, tmp_path: Path) -> None:
    outcome = medseg("prepare", "demo", "--out", tmp_path, "--n", 12, "--size", 48)
    assert outcome.code == 0
    assert "dataset.json: demo, " in outcome.out
    assert (
        sum(
            len(json.loads((tmp_path / "dataset.json").read_text())[split])
            for split in ("training", "validation", "test")
        )
        == 12
    )


def test_training_writes_weights_that_describe_themselves(trained: Path) -> None:
    spec = json.loads((trained / "spec.json").read_text())
    assert spec["architecture"] == {
        "_target_": "medseg_monai.networks.UNetPlusPlus", "in_channels": 3, "out_channels": 1,
        "features": [4, 8, 8], "deep_supervision": True, "spatial_dims": 2, "input_normalisation": [[0.5], [0.25]],
    }  # fmt: skip
    assert spec["dataset"]["size"] == [64, 64]
    assert spec["training"]["best_epoch"] in (1, 2)
    assert spec["training"]["validation"].keys() == {"mean_dice", "mean_iou"}
    assert all(
        isinstance(value, torch.Tensor) for value in torch.load(trained / "model.pt", weights_only=True).values()
    )


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    medseg: Medseg, demo_data: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train = ("train", "unetpp", "-d", demo_data, "--output-dir", tmp_path / name, "--seed", seed, "--max-epochs", 1)
        assert medseg(*train, *SMALL).code == 0
    a, b, c = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_evaluation_scores_every_case_at_its_own_size(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    outcome = medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "Dice" in outcome.out
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    dataset = json.loads((demo_data / "dataset.json").read_text())
    assert len(rows) == len(dataset["test"])
    truth = pixels(demo_data / dataset["test"][0]["label"])
    assert truth.shape == (80, 96)
    assert int(rows[0]["truth_pixels"]) == np.count_nonzero(truth)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["run"]["parameters"] > 0


def test_evaluation_and_prediction_agree(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    assert medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path / "scores").code == 0
    assert medseg("predict", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path / "masks").code == 0
    with (tmp_path / "scores" / "cases.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            mask = pixels(tmp_path / "masks" / f"{row['case']}_mask.png")
            assert np.count_nonzero(mask) == int(row["predicted_pixels"])


def test_prediction_keeps_sizes_and_folders(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    (photographs / "clinic").mkdir(parents=True)
    source = Image.fromarray(pixels(sorted((demo_data / "images").iterdir())[0]))
    source.save(photographs / "clinic" / "A.JPG")
    source.resize((131, 57)).save(photographs / "b.png")
    outcome = medseg(
        "predict", "unetpp", photographs, "-w", trained, "--out", tmp_path / "out", "--overlays", "--probabilities"
    )
    assert outcome.code == 0, outcome.err
    assert {name: mask.shape for name, mask in masks(tmp_path / "out").items()} == {
        "b_mask.png": (57, 131),
        "clinic/A_mask.png": (80, 96),
    }
    assert all(set(np.unique(mask)) <= {0, 255} for mask in masks(tmp_path / "out").values())
    assert pixels(tmp_path / "out" / "b_overlay.jpg").shape == (57, 131, 3)
    probability = pixels(tmp_path / "out" / "b_probability.png")
    assert np.array_equal(probability > 127, masks(tmp_path / "out")["b_mask.png"] > 0)


def test_finished_outputs_are_skipped_unless_told(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    image = sorted((demo_data / "images").iterdir())[0]
    predict = ("predict", "unetpp", image, "-w", trained, "--out", tmp_path)
    assert medseg(*predict).code == 0
    mask = next(tmp_path.glob("*_mask.png"))
    mask.write_bytes(b"mine")
    assert medseg(*predict).code == 0
    assert mask.read_bytes() == b"mine"
    assert medseg(*predict, "--overwrite").code == 0
    assert mask.read_bytes() != b"mine"


def test_one_broken_image_is_reported_and_the_others_are_done(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    shutil.copytree(demo_data / "images", photographs)
    names = sorted(path.name for path in photographs.iterdir())
    whole = (photographs / names[3]).read_bytes()
    (photographs / names[3]).write_bytes(whole[: len(whole) // 2])
    (photographs / "text.png").write_text("not a picture")
    (photographs / "empty.png").touch()
    Image.new("RGB", (1, 1)).save(photographs / "dot.png")
    outcome = medseg("predict", "unetpp", photographs, "-w", trained, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "4 of 23 images could not be used" in outcome.err
    assert len(masks(tmp_path / "out")) == 19
    with (tmp_path / "out" / "failures.csv").open(newline="") as file:
        failed = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}
    assert failed.keys() == {names[3], "text.png", "empty.png", "dot.png"}
    assert "0 bytes" in failed["empty.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "unetp"), "no bundle 'unetp' (did you mean 'unetpp'?)"),
        (("train", "unetpp", "--set", "learning_rate=1"), "unknown config key 'learning_rate'"),
        (("train", "unetpp", "--set", "lr"), "KEY=VALUE"),
        (("train", "unetpp", "--device", "gpu"), "unknown device 'gpu'"),
        (("train", "unetpp", "-d", "nowhere"), "nowhere"),
        (("predict", "unetpp", "nowhere.png", "--out", "out"), "no such file or folder: nowhere.png"),
        (("predict", "docs"), "'docs' is a folder, not a bundle: name a bundle first (known: "),
        (("predict", "README.md", "docs"), "'README.md' is a file, not a bundle: name a bundle first"),
        (("train", "docs"), "'docs' is a folder, not a bundle: name a bundle first"),
        (("evaluate", "unetpp", "-w", "nothing"), "no weights 'nothing'"),
        (("export", "unet", "-w", "fats"), "no weights 'fats'"),
        (("export", "unet", "-w", "fats"), "(did you mean 'fast'?)"),
        (
            ("prepare", "docs"),
            "'docs' is a folder: say first what kind of data it holds, for example `medseg prepare folder docs`",
        ),
        (("prepare", "isic2017", "nowhere", "--out", "out"), "nowhere"),
        (("predict", "unetpp", ""), "the argument after 'unetpp' is empty: a shell variable that is not set, perhaps"),
        (("predict", "unetpp", "examples", "--out", ""), "the argument after '--out' is empty"),
        (("predict", "unetpp", "examples", "--out", "README.md"), "README.md is a file, and a folder is wanted there"),
        (("predict", "unetpp", "examples", "--out", "README.md/a/b"), "README.md is a file, and a folder is wanted"),
    ],
)
def test_a_mistake_is_one_clear_line(medseg: Medseg, trained: Path, arguments: tuple[str, ...], message: str) -> None:
    if arguments[0] == "predict":
        arguments = (*arguments, "-w", str(trained))
    outcome = medseg(*arguments)
    assert outcome.code == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "right"), [(("trian",), "'train'"), (("train", "unetpp", "--max-epoch", "3"), "--max-epochs")]
)
def test_typos_in_commands_and_options_name_the_right_one(
    medseg: Medseg, arguments: tuple[str, ...], right: str
) -> None:
    outcome = medseg(*arguments)
    assert outcome.code == 2
    assert right in outcome.err.split("Error")[1]


def test_a_data_set_without_validation_cases_is_refused(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    content = json.loads((demo_data / "dataset.json").read_text())
    content["validation"] = []
    for case in content["training"] + content["test"]:
        case["image"], case["label"] = (str(demo_data / case[key]) for key in ("image", "label"))
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    outcome = medseg("train", "unetpp", "-d", tmp_path, "--output-dir", tmp_path / "w", *SMALL)
    assert outcome.code == 1
    assert "data set demo has no validation cases" in outcome.err
    assert not (tmp_path / "w").exists()


def test_fast_mode_evaluates_with_the_weights_of_the_whole_network(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    evaluate = ("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--set", "network_options#inference_depth=1")
    assert medseg(*evaluate, "--out", tmp_path).code == 0
    assert (tmp_path / "cases.csv").is_file()
    run = json.loads((tmp_path / "summary.json").read_text())["run"]
    assert run["architecture"]["inference_depth"] == 1
    # two stages of the encoder (3 to 4 to 8 channels), the node of 4 + 8 to 4, its head; not what was trained
    assert run["parameters"] == 9 * (3 * 4 + 4 * 4) + 16 + 9 * (4 * 8 + 8 * 8) + 32 + 9 * (12 * 4 + 4 * 4) + 16 + 5


def test_an_argument_that_a_component_does_not_have(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    outcome = medseg(
        "train", "unetpp", "-d", demo_data, "--output-dir", tmp_path, "--set", "architecture#widths=[4, 8]"
    )
    assert outcome.code == 1
    assert "unexpected keyword argument 'widths'" in outcome.err


def test_a_loss_that_explodes_stops_training_with_a_message(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    explode = ("--set", "lr=1e30", "--set", "clip_norm=0", "--max-epochs", 3)
    outcome = medseg("train", "unetpp", "-d", demo_data, "--output-dir", tmp_path, *SMALL, *explode)
    assert outcome.code == 1
    assert "the loss became nan in epoch" in outcome.err
    assert "Traceback" not in outcome.err


def test_weights_of_another_task_are_refused(medseg: Medseg, trained: Path, tmp_path: Path) -> None:
    assert medseg("prepare", "demo", "--kind", "mr", "--n", 12, "--size", 48, "--out", tmp_path).code == 0
    outcome = medseg("evaluate", "unetpp", "-d", tmp_path, "-w", trained)
    assert outcome.code == 1
    assert "the weights were trained for the task binary, but data set demo-mr has multilabel" in outcome.err


def test_an_output_that_cannot_be_written_is_named(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    outcome = medseg("predict", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path / "file" / "out")
    assert outcome.code == 1
    assert f"{tmp_path / 'file'} is a file, and a folder is wanted there" in outcome.err


def test_overlapping_organs_train_and_predict_with_the_same_bundle(medseg: Medseg, tmp_path: Path) -> None:
    data, weights, out = (tmp_path / name for name in ("data", "weights", "out"))
    assert medseg("prepare", "demo", "--kind", "mr", "--n", 12, "--size", 48, "--out", data).code == 0
    assert medseg("train", "unetpp", "-d", data, "--output-dir", weights, "--max-epochs", 1, *SMALL).code == 0
    assert medseg("predict", "unetpp", data / "images", "-w", weights, "--out", out).code == 0
    classes = json.loads((data / "dataset.json").read_text())["classes"]
    first = sorted(out.rglob("*.png"))[: len(classes)]
    assert [path.stem.split("_mask_")[1] for path in first] == sorted(classes)
    assert medseg("evaluate", "unetpp", "-d", data, "-w", weights, "--out", out / "scores").code == 0


def test_list_and_doctor(medseg: Medseg) -> None:
    listed = [line.split() for line in medseg("list").out.splitlines()]
    assert ["unetpp", "bundles/unetpp"] in [[line[0], line[-1]] for line in listed]
    examined = medseg("doctor").out
    assert all(word in examined for word in ("torch", "monai", "GPU", "CPU", "decoded images in", "bundle unetpp"))


def wait_for(path: Path, process: subprocess.Popen[str], *, seconds: float = 300) -> None:
    """Wait until a file appears, as long as the process lives."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)


TAKES_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('medseg_monai', run_name='__main__', alter_sys=True)"
)
"""`python -m medseg_monai`, also where the tests run in the background: what a shell starts there ignores Ctrl-C."""


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-c", TAKES_CTRL_C, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_ctrl_c_stops_training_cleanly_with_usable_weights(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    arguments = ("train", "unetpp", "-d", demo_data, "--output-dir", tmp_path / "w", *SMALL, "--max-epochs", 10_000)
    with running(*arguments) as process:
        wait_for(tmp_path / "w" / "history.csv", process)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=300)[1]
    assert process.returncode in (130, -signal.SIGINT)  # a shell shows 130 for both
    assert "Stopped by Ctrl-C in epoch" in errors
    assert "--resume goes on from there" in errors
    assert "Traceback" not in errors
    for name in ("model.pt", "last.pt"):
        predict = ("predict", "unetpp", demo_data / "images", "-w", tmp_path / "w" / name, "--out", tmp_path / name)
        assert medseg(*predict).code == 0
        assert len(masks(tmp_path / name)) == 20


@pytest.mark.slow
def test_ctrl_c_during_prediction_leaves_whole_masks_and_the_rest_can_follow(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    source = Image.fromarray(pixels(sorted((demo_data / "images").iterdir())[0])).resize((2400, 2000))
    for number in range(60):
        source.save(photographs / f"{number:02}.jpg")
    arguments = ("predict", "unetpp", photographs, "-w", trained, "--out", tmp_path / "out")
    with running(*arguments) as process:
        wait_for(tmp_path / "out" / "00_mask.png", process)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=300)[1]
    assert process.returncode in (130, -signal.SIGINT)  # a shell shows 130 for both
    assert "Traceback" not in errors
    written = masks(tmp_path / "out")
    assert 0 < len(written) < 60
    assert {mask.shape for mask in written.values()} == {(2000, 2400)}
    assert not list((tmp_path / "out").rglob("*.part"))
    assert medseg(*arguments).code == 0
    assert len(masks(tmp_path / "out")) == 60


def test_prediction_ends_with_what_it_did_and_a_page(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for file in sorted((demo_data / "images").iterdir())[:3]:
        shutil.copy(file, photographs)
    (photographs / "text.png").write_text("not a picture")
    predict = ("predict", "U-Net++", photographs, "-w", trained, "--out", tmp_path / "masks")
    ended = medseg(*predict)
    assert ended.code == 1
    first, *others = ended.out.splitlines()
    assert first.startswith(f"4 images -> {tmp_path / 'masks'}/ (3 masks, ")
    assert first.endswith(f"1 failed) · look: {tmp_path / 'masks' / 'index.html'}")
    assert others[0] == f"weights: {trained / 'model.pt'}, trained on demo"
    assert others[-1] == f"doubtful: left out, see {tmp_path / 'masks' / 'failures.csv'}: text.png"
    page = (tmp_path / "masks" / "index.html").read_text()
    assert (page.count('<img src="data:image/jpeg'), page.count("text.png")) == (3, 1)
    assert "engine torch" not in ended.err
    again = medseg(*predict, "--no-report")
    assert "(3 masks, 3 of them from earlier runs" in again.out
    assert "look:" not in again.out
    assert medseg("infer", *predict[1:], "--overwrite", "--verbose").code == 1
    assert logging.getLogger("medseg_monai").level == logging.DEBUG


def test_masks_that_somebody_drew_are_not_written_over(
    medseg: Medseg, trained: Path, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = min((demo_data / "images").iterdir())
    # medseg runs in the repository; in its package the name is the function's
    monkeypatch.setattr("medseg_monai.api.predict.DEFAULT_OUT", tmp_path / "masks")
    for _ in range(2):  # its own folder is taken again
        assert f"-> {tmp_path / 'masks'}/ (1 mask" in medseg("predict", "unetpp", image, "-w", trained).out
    shutil.rmtree(tmp_path / "masks")
    drawn = tmp_path / "masks" / f"{image.stem}_mask.png"
    drawn.parent.mkdir()
    drawn.write_text("drawn")
    refused = medseg("predict", "unetpp", image, "-w", trained)
    assert (refused.code, drawn.read_text()) == (1, "drawn")
    assert "was not written by medseg predict: name another folder with --out" in refused.err


def test_a_page_is_made_of_up_to_200_images_unless_told_otherwise() -> None:
    few, many = [{"id": "a"}] * 200, [{"id": "a"}] * 201
    assert [wants_page("auto", few), wants_page("auto", many), wants_page(True, many)] == [True, False, True]
    assert not wants_page(False, few)
    with pytest.raises(ValueError, match="report must be true, false or auto, not 'yes'"):
        wants_page("yes", few)


def test_training_ends_with_where_weights_are_and_what_comes_next(
    medseg: Medseg, demo_data: Path, tmp_path: Path
) -> None:
    knobs = (
        "--epochs",
        1,
        "--lr",
        0.01,
        "--workers",
        0,
        "--precision",
        "fp32",
        "--weight-decay",
        0.5,
        "--augmentation",
        0,
    )
    ended = medseg("train", "unet++", "-d", demo_data, "--out", tmp_path, *knobs, *SMALL)
    assert ended.code == 0, ended.err
    done, doubt, following = ended.out.splitlines()
    assert done.startswith(f"unetpp trained on demo -> {tmp_path}/ (model.pt: epoch 1 of 1, validation mean_dice 0.")
    dice = json.loads((tmp_path / "spec.json").read_text())["training"]["validation"]["mean_dice"]
    assert doubt.startswith("doubtful: the last epoch was the best" if dice else "doubtful: the validation Dice is 0")
    assert (
        following
        == f"next: medseg evaluate unetpp -w {tmp_path} -d {demo_data}; medseg predict unetpp -w {tmp_path} IMAGES"
    )
    facts = json.loads((tmp_path / "spec.json").read_text())["training"]
    assert (facts["lr"], facts["precision"], facts["batch_size"]) == (0.01, "fp32", 4)


def test_a_program_that_called_the_command_line_is_not_it_afterwards(medseg: Callable[..., Outcome]) -> None:
    """Else a bundle's logging.conf would take the handlers of a program that runs a bundle later."""
    for arguments in (["list"], ["train", "nothing"]):
        medseg(*arguments)
        assert not IS_PROGRAM.get()


def test_a_library_that_memory_has_no_room_for_is_said_in_one_line(
    medseg: Medseg, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise ImportError("libtorch_cpu.so: failed to map segment from shared object")  # what `ulimit -v` leads to

    monkeypatch.setattr("medseg_monai.bundle.paths.find_bundle", no_room)
    outcome = medseg("export", "unet")
    assert outcome.code == 1
    assert outcome.err.startswith(
        "medseg: error: not enough memory to load the program's libraries: raise the limit (ulimit -v)"
    )
