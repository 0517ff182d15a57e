"""Networks of folds as one file of weights; the rest of what folds leave is tested with their run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluations import scores_of

from medseg_monai.bundle.paths import encoder_of
from medseg_monai.bundle.trained import Trained, load_weights, write_weights
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import read_evaluation, write_evaluation
from medseg_monai.files.csv_tables import csv_records
from medseg_monai.folds.combine import combine, write_ensemble
from medseg_monai.inference.averaging import to_logits
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.transforms.decision import to_probabilities

NETWORK = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1, "features": [4, 8]}


def fold(folder: Path, *, seed: int, features: tuple[int, int] = (4, 8)) -> Path:
    torch.manual_seed(seed)
    facts = {"train_seconds": 2.0, "parameters": 10}
    trained = Trained(demo_spec(size=32), {**NETWORK, "features": list(features)}, "unet", facts)
    write_weights(folder, trained.build_network().state_dict(), trained)
    return folder


def test_the_ensemble_answers_with_the_mean_of_its_members_probabilities(tmp_path: Path) -> None:
    folds = [fold(tmp_path / str(seed), seed=seed) for seed in range(3)]
    trained = write_ensemble(tmp_path, folds, facts={"dice": 0.5})
    assert trained.training["train_seconds"] == 6
    assert trained.training["parameters"] == 30
    read = Trained.read(tmp_path)
    network = load_weights(read.build_network(), tmp_path / "model.pt").eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        members = [
            load_weights(Trained.read(place).build_network(), place / "model.pt").eval()(images) for place in folds
        ]
        mean = torch.stack([to_probabilities(logits, "binary") for logits in members]).mean(0)
        assert torch.allclose(network(images), to_logits(mean, "binary"), atol=1e-5)


def test_times_and_sizes_are_summed_as_far_as_they_are_known(tmp_path: Path) -> None:
    folds = [fold(tmp_path / str(seed), seed=seed) for seed in range(2)]
    for place, facts in zip(folds, ({"train_seconds": 2.04, "parameters": 10, "seed": 3}, {}), strict=True):
        replace(Trained.read(place), training=facts).write(place)
    training = write_ensemble(tmp_path, folds, facts={"dice": 0.5}).training
    assert training == {
        "seed": 3, "folds": 2, "out_of_fold": {"dice": 0.5}, "train_seconds": 2.0, "parameters": 10
    }  # fmt: skip


def test_scores_out_of_fold_by_hand(tmp_path: Path) -> None:
    folds = []
    for number, dices in enumerate(((0.5, 0.7), (0.9,)), 1):
        place = fold(tmp_path / f"fold{number}", seed=number)
        scores = [scores_of(f"c{number}{n}", "lesion", dice=dice) for n, dice in enumerate(dices)]
        write_evaluation(
            place / "eval", scores, summarise(scores), run={"split": "validation", "bundle": "unet", "fold": number}
        )
        folds.append(place)
    summary = combine(tmp_path / "all", folds, evaluation="eval")
    assert summary.n_cases == 3
    assert summary.overall.scores["dice"].mean == pytest.approx(0.7)
    assert Trained.read(tmp_path / "all").training["out_of_fold"] == {"dice": pytest.approx(0.7)}
    out = tmp_path / "all" / "out_of_fold"
    rows = csv_records((out / "folds.csv").read_text())
    assert [(row["fold"], row["case"], row["dice"]) for row in rows] == [
        ("1", "c10", "0.5"),
        ("1", "c11", "0.7"),
        ("2", "c20", "0.9"),
    ]
    run = read_evaluation(out).run
    assert (run["bundle"], run["split"], run["folds"]) == ("unet", "out of fold", 2)
    assert "fold" not in run
    table = [line for line in (out / "folds.md").read_text().splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in table[0].split("|")[1:-1]] == ["fold", "cases", "dice", "jaccard", "hd95 (px)"]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["1", "2", "all"]
    assert [line.split("|")[2].strip() for line in table[2:]] == ["2", "1", "3"]


def test_networks_of_other_widths_make_no_ensemble(tmp_path: Path) -> None:
    folds = [fold(tmp_path / "1", seed=0), fold(tmp_path / "2", seed=1, features=(4, 12))]
    with pytest.raises(ValueError, match="has another network than .*: train the folds with one plan"):
        write_ensemble(tmp_path, folds, facts={})
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("target", ["os.system", "torch.nn.Linear", ""])
def test_members_that_are_no_networks_of_ours_are_refused(tmp_path: Path, target: str) -> None:
    write_ensemble(tmp_path, [fold(tmp_path / str(seed), seed=seed) for seed in range(2)], facts={})
    spec = tmp_path / "spec.json"
    content = json.loads(spec.read_text())
    content["architecture"]["member"]["_target_"] = target
    spec.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="which is not a network of medseg_monai or MONAI: refused"):
        Trained.read(tmp_path).build_network()


def test_an_encoder_is_noticed_within_an_ensemble(tmp_path: Path) -> None:
    for encoder, noticed in (("plain", False), ("resnet18", True)):
        (tmp_path / "spec.json").write_text(json.dumps({"architecture": {"member": {"encoder": encoder}}}))
        assert (encoder_of(tmp_path / "model.pt") is not None) is noticed
