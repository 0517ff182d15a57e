"""Files of a data set that are missing or broken: what looks at one case after the other does all others, what trains refuses."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL
from untrained import untrained

from medseg_monai.dataset import read_dataset

CASES = 6


@pytest.fixture(scope="module")
def incomplete(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases, the same in all splits but for their files: one without image, one without label, one whose label is torn."""
    folder = tmp_path_factory.mktemp("incomplete")
    shutil.copytree(demo_data, folder, dirs_exist_ok=True)
    content = json.loads((folder / "dataset.json").read_text())
    cases = [case for split in ("training", "validation", "test") for case in content.pop(split)]
    content |= {"training": cases[:8], "validation": cases[8 : 8 + CASES]}
    (folder / "dataset.json").write_text(json.dumps(content))
    gone, unlabelled, torn = read_dataset(folder).cases("validation")[:3]
    Path(gone["image"]).unlink()
    Path(unlabelled["label"]).unlink()
    Path(torn["label"]).write_bytes(Path(torn["label"]).read_bytes()[:60])
    return folder


@pytest.fixture(scope="module")
def network(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that have learnt nothing."""
    return untrained(tmp_path_factory.mktemp("weights"), read_dataset(demo_data).spec, seed=0)


def failed(folder: Path) -> list[str]:
    return [case["id"] for case in read_dataset(folder).cases("validation")[:3]]


def test_evaluate_scores_all_others(
    incomplete: Path, network: Path, tmp_path: Path, medseg: Callable[..., Any]
) -> None:
    ended = medseg("evaluate", "unet", "-d", incomplete, "-w", network, "--split", "validation", "-o", tmp_path)
    assert ended.code == 1
    assert "3 of 6 images could not be used" in ended.err
    assert "3 of 6 validation cases scored" in ended.out
    with (tmp_path / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(Path(row["path"]).stem for row in rows) == sorted(failed(incomplete))
    assert sum("no such file" in row["reason"] for row in rows) == 2
    assert len((tmp_path / "cases.csv").read_text().splitlines()) == 1 + 3
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["n_cases"], summary["run"]["failed"]) == (3, 3)
    assert "3 of 6 cases could not be used" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize("command", ["tune", "review"])
def test_what_is_learnt_beside_weights_comes_from_all_others(
    command: str,
    incomplete: Path,
    network: Path,
    tmp_path: Path,
    medseg: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(network, weights)
    ended = medseg(command, "unet", "-d", incomplete, "-w", weights)
    assert ended.code == 1
    assert "3 images could not be used" in ended.err
    told = [line.split(": ")[1] for line in caplog.messages if line.startswith("left out: ")]
    assert [name for name in told if name in failed(incomplete)] == failed(incomplete)
    spec = json.loads((weights / "spec.json").read_text())
    if command == "review":
        assert spec["review"]["cases"] == 3
    else:
        assert json.loads((weights / "tuning" / "tuning.json").read_text())["cases"] == 3


@pytest.mark.parametrize(
    "command", [("train", "unet", *SMALL, "--epochs", "1"), ("train", "unet", "--quick"), ("plan", "unet")]
)
def test_what_trains_refuses_before_the_first_step(
    command: tuple[str, ...], incomplete: Path, tmp_path: Path, medseg: Callable[..., Any]
) -> None:
    verb, bundle, *options = command
    data = (incomplete, bundle) if verb == "plan" else (bundle, "-d", incomplete)
    ended = medseg(verb, *data, *options, "-o", tmp_path / "new")
    assert ended.code == 1
    assert "2 of 28 files are missing" in ended.err
    assert ended.err.count("\n") <= 1
    assert not (tmp_path / "new").exists()


def test_if_no_case_is_left_the_first_reason_is_told(
    demo_data: Path, network: Path, tmp_path: Path, medseg: Callable[..., Any]
) -> None:
    shutil.copy(demo_data / "dataset.json", tmp_path)
    for command, options in (("evaluate", ("-o", tmp_path / "scores", "--split", "validation")), ("tune", ())):
        ended = medseg(command, "unet", "-d", tmp_path, "-w", network, *options)
        assert ended.code == 1
        assert "none of the 3 cases could be" in ended.err.splitlines()[-1]
        assert "no such file" in ended.err.splitlines()[-1]


def test_a_training_does_without_what_only_the_test_needs(
    demo_data: Path, tmp_path: Path, medseg: Callable[..., Any]
) -> None:
    shutil.copytree(demo_data, tmp_path / "data")
    Path(read_dataset(tmp_path / "data").cases("test")[0]["image"]).unlink()
    ended = medseg("train", "unet", "-d", tmp_path / "data", *SMALL, "--epochs", "1", "-o", tmp_path / "weights")
    assert ended.code == 0
    ended = medseg("evaluate", "unet", "-d", tmp_path / "data", "-w", tmp_path / "weights", "-o", tmp_path / "scores")
    assert ended.code == 1
    assert "1 of 3 images could not be used" in ended.err
