"""What train.json calls: the handlers' order on real engines, the cases, and what several processes need."""

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.networks.nets import BasicUNet
from scripted_evaluator import BATCHES, scripted_evaluator
from torch import nn

from medseg_monai.bundle.paths import default_root, program_bundles
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import Dataset
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training import recipe
from medseg_monai.training.memory import TrainingPlan


class Run:
    """A training of a one-weight network with all handlers; what it held at the end of each epoch."""

    def __init__(
        self, folder: Path, scores: list[float], *, start: float = 1.0, decay: float = 0.0, **settings: object
    ) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, start)
        self.average = recipe.weight_average(self.network, decay)
        self.evaluator: SupervisedEvaluator = scripted_evaluator(recipe.validated(self.network, self.average), scores)
        optimizer = torch.optim.SGD(self.network.parameters(), 0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1000)
        chosen = {"clip_norm": 0.0, "val_interval": 1, "patience": 0, "rank": 0, **settings}
        chain = recipe.training_handlers(
            network=self.network, average=self.average, decay=decay, evaluator=self.evaluator,
            lr_scheduler=self.scheduler, folder=folder, spec=demo_spec(), architecture=partial(BasicUNet, spatial_dims=2),
            bundle="unetpp", facts={"seed": 7}, log=recipe.tensorboard(folder), **chosen,
        )  # fmt: skip
        self.trainer = SupervisedTrainer(
            "cpu", len(scores), BATCHES, self.network, optimizer, nn.MSELoss(), train_handlers=[chain]
        )
        self.weights: list[float] = []
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._note)
        self.trainer.run()

    def _note(self) -> None:
        kept = recipe.validated(self.network, self.average)
        self.weights.append(float(kept.weight.detach()))  # type: ignore[arg-type]


def saved(folder: Path) -> float:
    return float(torch.load(folder / "model.pt", weights_only=True)["weight"])


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_validation_comes_before_all_that_reads_its_scores(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.2, 0.8, 0.5])
    assert saved(tmp_path) == pytest.approx(run.weights[1])  # not an epoch late
    facts = Trained.read(tmp_path).training
    assert (facts["best_epoch"], facts["validation"], facts["seed"]) == (2, {"mean_dice": 0.8}, 7)
    assert [float(row["mean_dice"]) for row in history(tmp_path)] == [0.2, 0.8, 0.5]
    assert run.scheduler.last_epoch == 3 * len(BATCHES)  # a step per iteration


def test_the_last_epoch_is_validated_before_it_is_judged(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.3, 0.9, 0.0], val_interval=2)
    assert [row["mean_dice"] for row in history(tmp_path)] == ["", "0.3", "0.9"]
    assert saved(tmp_path) == pytest.approx(run.weights[2])


def test_training_stops_when_the_score_does_not_rise(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.9, 0.5, 0.4, 0.3], patience=2)
    assert len(run.weights) == 3
    assert len(history(tmp_path)) == 3  # the epoch that ended it is recorded


def test_gradients_are_clipped(tmp_path: Path) -> None:
    clipped = Run(tmp_path / "clipped", [0.1], clip_norm=0.5)
    # two steps of lr 0.01 times a gradient of norm 0.5, towards 3; unclipped it is (3 - w) * 2
    assert clipped.weights == [pytest.approx(1 + 2 * 0.01 * 0.5)]


def test_a_broken_loss_stops_before_anything_is_saved(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="the loss became nan"):
        Run(tmp_path, [0.5], start=float("nan"))
    assert not (tmp_path / "model.pt").exists()


def test_the_average_is_validated_and_saved(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.5, 0.9], decay=0.9)
    assert run.average is not None
    assert saved(tmp_path) == pytest.approx(run.weights[1])
    assert 1 < saved(tmp_path) < float(run.network.weight.detach())  # it follows the weights, which rise from 1
    assert run.evaluator.network is run.average


def test_the_curves_are_written_beside_the_weights(tmp_path: Path) -> None:
    Run(tmp_path, [0.5])
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    log = recipe.tensorboard(tmp_path)
    settings = {"log": log, "spec": demo_spec(), "count": 4, "interval": 1}
    assert len(recipe.validation_handlers(rank=0, **settings).handlers) == 3
    assert recipe.validation_handlers(rank=1, **settings).handlers == ()


def dataset(folder: Path, cases: int) -> Dataset:
    listed = [{"id": str(number), "image": f"{number}.png", "label": f"{number}_mask.png"} for number in range(cases)]
    for case in listed:
        (folder / case["image"]).touch()
        (folder / case["label"]).touch()
    return Dataset(demo_spec(), folder, training=listed, validation=listed, test=[])


def test_cases_of_a_training(tmp_path: Path) -> None:
    assert [case["id"] for case in recipe.training_cases(dataset(tmp_path, 2), 2)] == ["0", "1", "0#1", "1#1"]
    assert [case["id"] for case in recipe.validation_cases(dataset(tmp_path, 5), 1, 2)] == ["1", "3"]
    with pytest.raises(ValueError, match="no training cases"):
        recipe.training_cases(dataset(tmp_path, 0), 1)


@pytest.mark.parametrize(("cases", "left_out"), [(3, False), (4, False), (5, True)])
def test_a_smaller_last_batch_is_left_out_unless_it_is_the_only_one(cases: int, left_out: bool) -> None:
    assert recipe.leaves_a_rest(range(cases), TrainingPlan(demo_spec(), 4, 0.0)) is left_out
    assert recipe.leaves_a_rest(range(cases), TrainingPlan(demo_spec(), 2, 0.0), 2) is left_out


def test_steps_and_scaling() -> None:
    assert recipe.total_steps(3, range(5)) == 15
    assert recipe.scales_loss("bf16", "cpu") is False
    assert recipe.scales_loss("fp16", "cuda") is True


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Path(recipe.output_dir("bundles/unet", demo_spec())) == Path("bundles/unet/models/demo")
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path))
    assert recipe.cache_dir() == str(tmp_path)
    monkeypatch.delenv("MEDSEG_CACHE")
    assert Path(recipe.cache_dir()) == Path.home() / ".cache" / "medseg_monai"
    monkeypatch.chdir(tmp_path)
    assert default_root("unet") == str(program_bundles() / "unet")
    (tmp_path / "bundles" / "unet").mkdir(parents=True)
    assert (default_root("unet"), default_root("mine")) == ("bundles/unet", "bundles/mine")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").touch()
    assert default_root("unet") == "."
