"""What best weights are chosen by, and the competition's score as an evaluator's metric."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from conftest import REPOSITORY
from ignite.engine import Engine

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.dataset import Dataset, read_dataset, write_dataset
from medseg_monai.evaluation.scan_scores import competition_score, score_scan
from medseg_monai.prepare.demo import demo_spec, prepare_demo
from medseg_monai.training.selection import ScanMetric, chosen_metric, other_metrics

SMALL = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [32, 32], "max_epochs": 1}


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated slices of six patients, with ids as a competition would give them."""
    folder = tmp_path_factory.mktemp("slices")
    prepare_demo(folder, kind="mr", n=24, size=32)
    dataset = read_dataset(folder)
    named = {}
    for split in ("training", "validation", "test"):
        cases = sorted(dataset.cases(split), key=lambda case: case["id"])
        named[split] = [{**c, "id": f"{c['group']}_day0_slice_{n % 4 + 1:04d}"} for n, c in enumerate(cases)]
    write_dataset(Dataset(dataset.spec, dataset.root, **named), folder)
    return folder


def test_one_metric_decides_and_the_others_are_kept():
    metrics = {"mean_dice": 1, "mean_iou": 2}
    assert chosen_metric(metrics, "mean_iou") == {"mean_iou": 2}
    assert other_metrics(metrics, "mean_iou") == {"mean_dice": 1}
    with pytest.raises(ValueError, match=r"selection: unknown validation metric 'mean_dise' .did you mean 'mean_dice'"):
        chosen_metric(metrics, "mean_dise")


def test_the_metric_is_the_score_of_the_scans():
    spec = demo_spec("mr", size=32)
    pred, truth = np.random.default_rng(0).random((2, 6, 3, 8, 9)) < 0.3
    metric = ScanMetric(spec)

    def step(engine, batch):
        answers = [{"pred": torch.as_tensor(pred[n]), "label": torch.as_tensor(truth[n])} for n in batch]
        engine.state.batch = [{"id": f"a_slice_{n}"} for n in batch]
        return answers

    engine = Engine(step)
    metric.attach(engine, "competition_score")
    expected = competition_score(score_scan(pred, truth, scan="a", classes=spec.classes)).score
    for order in ([[0, 1, 2], [3, 4, 5]], [[5, 2], [1, 0], [3, 4]]):  # twice: nothing is left of the first run
        found = engine.run(order, max_epochs=1).metrics["competition_score"]
        assert found == pytest.approx(expected)


def score_half(rank: int, folder: str) -> None:
    """One of two processes: it holds every other slice of a scan, and the last one has one that the first has too."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    pred, truth = np.random.default_rng(0).random((2, 6, 3, 8, 9)) < 0.3
    metric = ScanMetric(demo_spec("mr", size=32))
    for number in {0: [0, 2, 4], 1: [1, 3, 5, 0]}[rank]:
        metric.masks.add(f"a_slice_{number}", pred[number], truth[number])
    Path(folder, f"{rank}.txt").write_text(str(metric.compute()))
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_put_their_slices_together(tmp_path):
    torch.multiprocessing.spawn(score_half, args=(str(tmp_path),), nprocs=2)
    pred, truth = np.random.default_rng(0).random((2, 6, 3, 8, 9)) < 0.3
    expected = competition_score(score_scan(pred, truth, scan="a", classes=["a", "b", "c"])).score
    for rank in range(2):
        assert float((tmp_path / f"{rank}.txt").read_text()) == pytest.approx(expected)


def test_training_selects_by_the_competition_score_where_told(slices, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    overrides = {**SMALL, "dataset_dir": str(slices), "output_dir": str(tmp_path), "selection": "competition_score"}
    workflow = run_bundle(find_bundle("unetpp"), "train", overrides)
    assert workflow.parser.get_parsed_content("validate#evaluator").state.key_metric_name == "competition_score"
    validation = json.loads((tmp_path / "spec.json").read_text())["training"]["validation"]
    assert validation.keys() == {"competition_score", "mean_dice", "mean_iou"}
    assert 0 <= validation["competition_score"] <= 1

    run_bundle(find_bundle("unetpp"), "evaluate", {"dataset_dir": str(slices), "weights": str(tmp_path)})
    evaluated = tmp_path / "evaluation_test"
    summary = json.loads((evaluated / "summary.json").read_text())
    rows = (evaluated / "scans.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * summary["scans"]["n_scans"]
    assert summary["n_cases"] == 4 * summary["scans"]["n_scans"]
    assert summary["scans"]["per_class"].keys() == set(demo_spec("mr").classes)
    assert "UW-Madison competition score" in (evaluated / "summary.md").read_text()
    assert (evaluated / "cases.jpg").is_file()
