"""Two trainings held against each other."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import Tensor

from medseg_monai.bundle.trained import Trained, describe, write_weights
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.comparison import compare_trainings

NETWORK = partial(BasicUNet, spatial_dims=2)
WEIGHTS = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([[2.0]]), "steps": torch.tensor(7)}


def _trained(folder: Path, weights: dict[str, Tensor], dice: tuple[float, ...], seconds: float = 1.0) -> Path:
    """The files of a training whose last epoch was the best."""
    folder.mkdir()
    facts = {"best_epoch": len(dice), "validation": {"mean_dice": dice[-1]}}
    write_weights(folder, weights, Trained(demo_spec(), describe(NETWORK), "unet", training=facts))
    with (folder / "history.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["epoch", "mean_dice", "seconds"])
        rows.writerows([epoch, score, seconds] for epoch, score in enumerate(dice, 1))
    return folder


def test_equal_ones_are_equal_whatever_they_took(tmp_path: Path) -> None:
    first = _trained(tmp_path / "first", WEIGHTS, (0.5, 0.625))
    compared = compare_trainings(first, _trained(tmp_path / "second", WEIGHTS, (0.5, 0.625), seconds=9))
    assert (compared.equal, compared.promised, compared.tensors, compared.first_unlike) == (True, True, 3, None)
    assert compared.lines() == [
        "weights: all 3 tensors are equal to the bit",
        "epochs: loss and scores of all 2 are equal",
        "kept: epoch 2 then, epoch 2 now; mean_dice 0.6250 then, 0.6250 now",
        "changed: nothing",
        "promised: equal weights, on a CPU with the same data, settings, versions, instruction set and threads (kept)",
    ]


@pytest.mark.parametrize("now", [torch.tensor([[2.5]]), torch.tensor([[-0.0]])])
def test_a_bit_is_a_difference(now: Tensor, tmp_path: Path) -> None:
    """Negative zero too: it is equal as a number, but another result."""
    then = torch.tensor([[2.0]]) if now != 0 else torch.tensor([[0.0]])
    first = _trained(tmp_path / "first", {**WEIGHTS, "b": then}, (0.5, 0.625))
    second = _trained(tmp_path / "second", {**WEIGHTS, "b": now}, (0.5, 0.75))
    compared = compare_trainings(first, second)
    assert (compared.equal, compared.unlike, compared.largest) == (False, 1, float(now.max()) - float(then.max()))
    assert compared.first_unlike == 2
    assert compared.scores == {"mean_dice": (0.625, 0.75)}
    assert "BROKEN" in compared.lines()[-1]


def test_what_has_changed_ends_the_promise(tmp_path: Path) -> None:
    first = _trained(tmp_path / "first", WEIGHTS, (0.5,))
    second = _trained(tmp_path / "second", {**WEIGHTS, "b": torch.tensor([[2.5]])}, (0.5,))
    compared = compare_trainings(first, second, changes=["torch 2.8, now 2.9"])
    assert compared.lines()[0] == "weights: 1 of 3 tensors differ, by 0.5 at most"
    assert compared.lines()[3:] == [
        "changed: torch 2.8, now 2.9",
        "promised: nothing to the bit, because of what has changed",
    ]
    (second / "run.json").write_text(json.dumps({"machine": {"device": "cuda"}}))
    assert "on cuda torch adds in an order" in compare_trainings(first, second).lines()[-1]


def test_other_networks_are_told(tmp_path: Path) -> None:
    first = _trained(tmp_path / "first", WEIGHTS, (0.5,))
    second = _trained(tmp_path / "second", {**WEIGHTS, "b": torch.zeros(2, 2)}, (0.5, 0.5))
    compared = compare_trainings(first, second)
    assert compared.lines()[0] == "weights: they are of two different networks"
    assert compared.first_unlike == 2  # one training had more epochs
    compared.write(second)
    assert json.loads((second / "rerun.json").read_text())["largest"] is None


def test_another_type_is_a_difference_even_of_the_same_bits(tmp_path: Path) -> None:
    first = _trained(tmp_path / "first", {**WEIGHTS, "b": torch.zeros(1, 1)}, (0.5,))
    second = _trained(tmp_path / "second", {**WEIGHTS, "b": torch.zeros(1, 1, dtype=torch.int32)}, (0.5,))
    assert compare_trainings(first, second).unlike == 1
