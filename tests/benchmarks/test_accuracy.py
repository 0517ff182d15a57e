"""What makes `benchmarks/accuracy.py` fair: equal time, pictures and masks that move together, pairs that are pairs."""

from __future__ import annotations

import importlib
import itertools
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medseg_monai.evaluation.metrics import score_case
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation
from medseg_monai.prepare.demo import prepare_demo

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("accuracy", "accuracy_ours", "accuracy_peers", "accuracy_report")
    return {name: importlib.import_module(name) for name in names}


def test_each_of_ours_with_a_peer_stands_beside_it(modules: dict[str, ModuleType]) -> None:
    accuracy = modules["accuracy"]
    found = accuracy.contenders(list(accuracy.TITLES), list(accuracy.STARTS), also_fp32=False)
    ours = {(one.network, one.start) for one in found if one.side == "ours"}
    theirs = {(one.network, one.start) for one in found if one.side == "smp"}
    assert theirs == ours
    assert len({one.key for one in found}) == len(found)


def test_every_setting_of_ours_is_a_bundle_that_its_start_fits(modules: dict[str, ModuleType]) -> None:
    for (bundle, start), settings in modules["accuracy_ours"].SETTINGS.items():
        assert (modules["accuracy_ours"].BUNDLES / bundle / "own.json").is_file()
        assert settings.get("architecture#pretrained", False) == (start == "lite0")


def test_a_mask_turns_with_its_picture(modules: dict[str, ModuleType]) -> None:
    pictures = torch.zeros(64, 3, 6, 6)
    pictures[:, :, 1, 2:5] = 1.0
    masks = pictures[:, :1].clone()
    images, labels = modules["accuracy_peers"].augmented(pictures, masks, torch.Generator().manual_seed(0))
    middle = images.amin((2, 3), keepdim=True).add(images.amax((2, 3), keepdim=True)) / 2
    assert torch.equal((images > middle)[:, :1].float(), labels)
    assert len({tuple(label.flatten().tolist()) for label in labels}) == 8  # every mirror image and turn was drawn


def test_the_rate_rises_to_its_highest_and_falls_to_nothing(modules: dict[str, ModuleType]) -> None:
    rates = [modules["accuracy_peers"]._rate(passed) for passed in np.linspace(0, 1, 101)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(1)
    assert top == 5  # of 100: the rise is a twentieth
    assert np.all(np.diff(rates[:top]) > 0)
    assert np.all(np.diff(rates[top:]) < 0)
    assert rates[-1] == pytest.approx(0)


@pytest.mark.parametrize("recipe", ["SOUND", "SOURCES"])
def test_a_peer_is_trained_for_the_time_given_and_learns(
    modules: dict[str, ModuleType], recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is looked at once before the first step and once before each: 63 steps of 1/64 of the time."""
    peers = modules["accuracy_peers"]
    torch.manual_seed(0)
    masks = (torch.rand(16, 1, 8, 8) > 0.5).byte()
    pictures = (masks * 200 + 20).expand(-1, 3, -1, -1)
    network = nn.Conv2d(3, 1, 1)
    images = peers.normalised(pictures, pretrained=False)
    before = F.binary_cross_entropy_with_logits(network(images), masks.float())
    monkeypatch.setattr(peers, "time", SimpleNamespace(process_time=partial(next, itertools.count(10, 1 / 128))))
    seen = peers.fit(network, pictures, masks, getattr(peers, recipe), seconds=0.5, pretrained=False, bf16=False)
    assert seen == 63 * getattr(peers, recipe).batch
    assert F.binary_cross_entropy_with_logits(network(images), masks.float()) < before


def test_ours_is_trained_for_about_the_time_given(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    prepare_demo(tmp_path / "data", n=12, size=(64, 64))
    settings = modules["accuracy_ours"].SETTINGS["unet", "scratch"]
    used, seen, precision, network = modules["accuracy_ours"].train(
        "unet", settings, tmp_path / "data", 32, seconds=2.0, precisions=["fp32"], out=tmp_path / "out"
    )
    assert 2.0 <= used < 6.0  # the last step is not cut short, and a slow machine's takes a while
    assert seen >= 2 * modules["accuracy_ours"].BATCH
    assert precision == "fp32"
    assert sum(parameter.numel() for parameter in network.parameters()) > 1_000_000
    masks = list(
        modules["accuracy_ours"].masks_of("unet", [str(p) for p in _photographs(tmp_path)], tmp_path / "out/weights")
    )
    assert {mask.shape for mask in masks} == {(64, 64)}


def _photographs(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "images").iterdir())[:2]


def _evaluation(folder: Path, found: list[int]) -> Path:
    """Cases of ten true pixels, of which so many are found: Jaccard found / 10."""
    truth = np.zeros((1, 4, 4), bool)
    truth.flat[:10] = True
    scores = []
    for number, count in enumerate(found):
        mask = np.zeros_like(truth)
        mask.flat[:count] = True
        scores += score_case(mask, truth, case=f"c{number}", classes=["lesion"])
    run = {"bundle": folder.name, "seconds": 1.0, "seen": 10, "precision": "fp32", "parameters": 5}
    return write_evaluation(folder, scores, summarise(scores), run=run)


def test_a_pair_is_the_mean_difference_case_by_case(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = modules["accuracy_report"]
    monkeypatch.setattr(report, "LIBRARIES", ("torch",))
    ours, theirs = _evaluation(tmp_path / "ours", [9, 6, 8] * 2), _evaluation(tmp_path / "theirs", [7, 5, 8] * 2)
    rows = [report.Row("U-Net", ours), report.Row("smp Unet", theirs, ours)]
    rows.append(report.Row("alone", _evaluation(tmp_path / "alone", [5, 5, 5] * 2), tmp_path / "not finished"))
    text = report.write_report(tmp_path, {"random weights": rows}, facts="equal")
    # twice 0.2, 0.1 and 0.0; of the 16 choices of signs of those that are not 0, 2 are as extreme
    assert re.search(r"\| U-Net \| smp Unet \| 0\.100 \([-\d.]+ to [\d.]+\) \| 0\.1250 \| 0\.1250 \|", text)
    assert text.count("| alone |") == 1  # in the table of scores: what it would be compared with is not finished
    assert (tmp_path / "accuracy_1.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_whole_benchmark_on_drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    prepare_demo(tmp_path / "data", n=16, size=(64, 64))
    options = ["--only", "unet", "--starts", "scratch", "--seconds", "2", "--size", "32"]
    command = [sys.executable, str(BENCHMARKS / "accuracy.py"), str(tmp_path / "data"), "--work", str(tmp_path / "out")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "| U-Net | smp Unet |" in done.stdout
    again = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "by the clock" in done.stdout
    assert "by the clock" not in again.stdout  # finished trainings are kept
