"""Two folds of a small data set, from the split to one set of weights; jobs side by side end the same way."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, SMALL

from medseg_monai import Predictor
from medseg_monai.bundle.assignments import parse_assignments
from medseg_monai.dataset import Dataset, DatasetSpec, read_dataset, write_dataset
from medseg_monai.evaluation.tables import read_evaluation
from medseg_monai.folds.run import FoldRun
from medseg_monai.prepare.demo import prepare_demo

UNETPP = REPOSITORY / "bundles" / "unetpp"
SETTINGS = parse_assignments(["architecture#features=[4, 8, 8]", "batch_size=4"])
VALUES = {"size": [64, 64], "max_epochs": 4, "lr": 0.02, "device": "cpu"}


@pytest.fixture(scope="module")
def whole(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FoldRun:
    out = tmp_path_factory.mktemp("folds")
    run = FoldRun(UNETPP, demo_data, out, 2, VALUES, SETTINGS, keep_probabilities=True)
    assert run.train()
    return run


def test_every_case_is_scored_once_by_the_network_that_has_not_seen_it(whole: FoldRun, demo_data: Path) -> None:
    dataset = read_dataset(demo_data)
    pool = {case["id"] for split in ("training", "validation") for case in dataset.cases(split)}
    with (whole.folder / "out_of_fold" / "folds.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert sorted(row["case"] for row in rows) == sorted(pool)
    for row in rows:
        fold = int(row["fold"])
        data = read_dataset(whole.dataset_file(fold))
        assert row["case"] in {case["id"] for case in data.cases("validation")}
        own = read_evaluation(whole.place(fold) / "evaluation_validation").scores
        assert float(row["dice"]) == next(score.dice for score in own if score.case == row["case"])


def test_the_table_holds_each_fold_and_the_mean_of_all(whole: FoldRun) -> None:
    out = read_evaluation(whole.folder / "out_of_fold")
    mean = np.mean([score.dice for score in out.scores])
    assert out.summary.overall.scores["dice"].mean == pytest.approx(mean)
    assert (out.run["folds"], out.run["split"]) == (2, "out of fold")
    lines = (whole.folder / "out_of_fold" / "folds.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("|")] == ["fold", "---", "1", "2", "all"]
    assert f"| {len(out.scores)} | {mean:.3f} (" in lines[-1]


def test_the_folder_is_one_set_of_weights_the_mean_of_its_networks(whole: FoldRun, demo_data: Path) -> None:
    image = read_dataset(demo_data).cases("test")[0]["image"]
    together = Predictor(UNETPP, weights=whole.folder, precision="fp32")(image)
    each = [Predictor(UNETPP, weights=whole.place(fold), precision="fp32")(image).probabilities for fold in (1, 2)]
    assert not np.allclose(each[0], each[1], atol=1e-3)
    assert np.allclose(together.probabilities, np.mean(each, axis=0), atol=1e-3)


def test_commands_take_the_folder_as_weights(
    medseg: Callable[..., Any], whole: FoldRun, demo_data: Path, tmp_path: Path
) -> None:
    scored = medseg("evaluate", "unetpp", "-d", demo_data, "-w", whole.folder, "--out", tmp_path / "scores")
    assert scored.code == 0, scored.err
    images = [case["image"] for case in read_dataset(demo_data).cases("test")]
    predicted = medseg("predict", "unetpp", *images, "-w", whole.folder, "--out", tmp_path / "masks")
    assert predicted.code == 0, predicted.err
    assert f"({len(images)} masks" in predicted.out


def test_probabilities_of_the_held_out_cases_are_kept(whole: FoldRun) -> None:
    for fold in (1, 2):
        ids = {case["id"] for case in read_dataset(whole.dataset_file(fold)).cases("validation")}
        kept = (whole.place(fold) / "probabilities").glob("*_probability.png")
        assert {path.name.removesuffix("_probability.png") for path in kept} == ids


def test_folds_that_are_trained_one_by_one_end_the_same_way(whole: FoldRun, tmp_path: Path) -> None:
    alone = replace(whole, folder=tmp_path, keep_probabilities=False)
    assert not alone.train(2)
    assert not (tmp_path / "model.pt").exists()
    assert alone.train()  # what is left
    for name, tensor in torch.load(tmp_path / "model.pt", weights_only=True).items():
        assert torch.equal(tensor, torch.load(whole.folder / "model.pt", weights_only=True)[name]), name
    same = [(folder / "out_of_fold" / "folds.csv").read_bytes() for folder in (tmp_path, whole.folder)]
    assert same[0] == same[1]


def test_a_fold_that_was_stopped_is_not_scored_and_goes_on_to_the_same_weights(whole: FoldRun, tmp_path: Path) -> None:
    alone = replace(whole, folder=tmp_path, keep_probabilities=False)
    stopped = replace(alone, values={**VALUES, "stop_after": 1e-9})
    assert not stopped.train(1)
    assert not alone.is_done(1)
    assert not alone.train(1)  # the other one is left
    assert alone.is_done(1)
    weights = [torch.load(folder / "fold_1" / "model.pt", weights_only=True) for folder in (tmp_path, whole.folder)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--folds", 3), "holds 2 folds, not 3"),
        (("--folds", 2, "--fold", 3), "fold: 1 to 2, got 3"),
        (("--fold", 1), "--fold and --keep-probabilities are for a training by --folds"),
    ],
)
def test_other_folds_than_there_are_end_in_one_line(
    medseg: Callable[..., Any], whole: FoldRun, demo_data: Path, arguments: tuple[object, ...], message: str
) -> None:
    ended = medseg("train", "unetpp", "-d", demo_data, *SMALL, "--max-epochs", 1, "-o", whole.folder, *arguments)
    assert ended.code == 1
    assert message in ended.err.splitlines()[-1]


def test_a_folder_with_folds_of_other_cases_is_refused(whole: FoldRun, tmp_path: Path) -> None:
    prepare_demo(tmp_path, n=8, size=(48, 40))
    with pytest.raises(ValueError, match="folds of .* other cases than"):
        replace(whole, dataset_dir=tmp_path).train()


def test_probabilities_of_images_in_several_files_are_refused_before_training(tmp_path: Path) -> None:
    spec = DatasetSpec("made", "binary", classes=("a",), channels=("t1", "t2"), spatial_dims=3, spacing_mm=(1, 1, 1))
    case = {"image": ["1.nii.gz", "2.nii.gz"], "label": "label.nii.gz"}
    write_dataset(Dataset(spec, tmp_path / "data", training=(case,)), tmp_path / "data")
    run = FoldRun(UNETPP, tmp_path / "data", tmp_path / "out", 2, {}, {}, keep_probabilities=True)
    with pytest.raises(ValueError, match="kept of images of one file each"):
        run.train()


@pytest.mark.slow
def test_the_array_of_jobs_in_the_docs(demo_data: Path, tmp_path: Path) -> None:
    """A stand-in for SLURM: it reads the number of jobs, and runs the script once for each, at the same time."""
    page = (REPOSITORY / "docs" / "folds.md").read_text(encoding="utf-8")
    script = re.search(r"```sh\n(#!/bin/sh\n#SBATCH.*?)```", page, re.DOTALL)
    assert script
    text = script[1].replace("--folds 5", "--folds 2").replace("--array=1-5", "--array=1-2")
    text = text.replace("train unet ", f"train unetpp {' '.join(repr(each) for each in SMALL)} --max-epochs 1 ")
    (tmp_path / "folds.sh").write_text(text)
    (tmp_path / "medseg").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m medseg_monai "$@"\n')
    (tmp_path / "medseg").chmod(0o755)
    first, last = map(int, re.search(r"--array=(\d+)-(\d+)", text).groups())  # type: ignore[union-attr]
    out = tmp_path / "out"
    shared = {**os.environ, "DATA": str(demo_data), "OUT": str(out), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    jobs = [
        subprocess.Popen(
            ["sh", tmp_path / "folds.sh"], env={**shared, "SLURM_ARRAY_TASK_ID": str(number)}, cwd=REPOSITORY
        )
        for number in range(first, last + 1)
    ]
    assert [job.wait(timeout=600) for job in jobs] == [0, 0]
    assert (out / "model.pt").is_file()
    assert len(read_evaluation(out / "out_of_fold").scores) == len(
        [case for split in ("training", "validation") for case in read_dataset(demo_data).cases(split)]
    )
