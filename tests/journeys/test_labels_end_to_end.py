"""Numbers with gaps, ignored pixels and several files from `prepare` to the scores; files of several pages wherever pictures are read."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, Outcome
from PIL import Image

from medseg_monai import Predictor

Medseg = Callable[..., Outcome]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of two squares; values 2 and 4, and below row 24 what nobody drew: 255."""
    folder = tmp_path_factory.mktemp("gaps")
    for number in range(10):
        rng = np.random.default_rng(number)
        photo, label = rng.integers(0, 60, (32, 40, 3), dtype=np.uint8), np.zeros((32, 40), np.uint8)
        x = 2 + number
        photo[4:16, x : x + 10, 0], label[4:16, x : x + 10] = 250, 2
        photo[6:14, 28:38, 2], label[6:14, 28:38] = 250, 4
        label[24:] = 255
        for kind, pixels in (("images", photo), ("masks", label)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")
    return folder


def test_values_and_ignored_pixels_from_prepare_to_scores(raw: Path, tmp_path: Path, medseg: Medseg) -> None:
    data, weights = tmp_path / "data", tmp_path / "weights"
    values = ("--class", "skin=2", "--class", "mole=4", "--ignore", 255)
    assert medseg("prepare", "folder", raw, "--out", data, *values).code == 0
    trained = medseg("train", "unetpp", "-d", data, "--output-dir", weights, "--max-epochs", 1, *SMALL)
    assert trained.code == 0, trained.err
    dataset = json.loads((weights / "spec.json").read_text())["dataset"]
    assert dataset["classes"] == ["skin", "mole"]
    assert {"label_values", "ignore"}.isdisjoint(dataset)  # masks are written as class numbers
    assert medseg("evaluate", "unetpp", "-d", data, "--weights", weights, "--split", "test").code == 0
    with (weights / "evaluation_test" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class_name"]: row["truth_pixels"] for row in rows} == {"skin": "120", "mole": "80"}
    # 24 of 32 rows count: no more can have been predicted
    assert all(int(row["predicted_pixels"]) <= 24 * 40 for row in rows)


def test_a_file_of_several_pages_is_named_by_predict_explain_and_predictor(
    raw: Path, trained: Path, tmp_path: Path, medseg: Medseg
) -> None:
    images = [raw / "images" / "0.png", tmp_path / "stack.tif"]
    pages = [Image.open(path) for path in sorted((raw / "images").iterdir())[:5]]
    pages[0].save(images[1], save_all=True, append_images=pages[1:])
    reason = "contains 5 pictures (pages or frames); save each as a separate file"
    for command in ("predict", "explain"):
        out = tmp_path / command
        assert medseg(command, "unetpp", *images, "--weights", trained, "--out", out).code == 1
        with (out / "failures.csv").open(newline="") as file:
            assert [row["reason"] for row in csv.DictReader(file)] == [reason]
    with pytest.raises(ValueError, match="contains 5 pictures"):
        Predictor("bundles/unetpp", weights=trained)(images[1])
