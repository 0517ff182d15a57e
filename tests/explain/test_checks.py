"""Both checks of maps: stages, areas and the summary by hand."""

import math

import pytest
import torch
from torch import nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.checks import Check, Checks, CheckSettings, likenesses, summary
from medseg_monai.explain.maps import explain
from medseg_monai.networks import PSPNet, UNet


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "network",
    [UNet(1, 1, features=(4, 6, 8), deep_supervision=True), PSPNet(1, 1, features=(4, 8), width=8)],
    ids=["auxiliary heads", "auxiliary head"],
)
def test_heads_that_serve_in_training_alone_are_no_stage(network):
    """Random weights there change no map: the first stage would look as if the map did not depend on weights."""
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))
    image, region = torch.randn(1, 1, 32, 32, generator=seeded()), torch.ones(32, 32)
    options = {"channel": 0, "region": region}
    checks = Checks(network.eval(), lambda x, net: net(x), spec, CheckSettings(steps=1, random_orders=1))
    checks.examine(
        "a", "a", image=image, **options, maps={"Grad-CAM": explain(network, image, **options).values},
        explain_with=lambda other, _: explain(other, image, **options),
    )  # fmt: skip
    stages = dict.fromkeys(row.stage for row in checks.rows if row.stage)
    assert next(iter(stages)) == "head"
    assert not [stage for stage in stages if stage.startswith("auxiliary")]


@pytest.mark.parametrize(("orders", "spread"), [(1, None), (3, 0.0)])
def test_areas_by_hand(orders, spread):
    """Of one step a curve has two points, the whole image and its mean: the probability in the region is 0.9 and 0.6."""
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    high, low = math.log(9), 2 * math.log(1.5) - math.log(9)  # their mean is the logit of 0.6
    image = torch.full((1, 1, 4, 4), low)
    image[:, :, :2] = high
    region = torch.zeros(4, 4)
    region[:2] = 3.0
    checks = Checks(nn.Identity(), lambda x, _: x, spec, CheckSettings(steps=1, random_orders=orders))
    checks._removals("c", "a", image, 0, region, {"m": region})
    assert [(row.method, row.check) for row in checks.rows] == [
        ("m", "deletion"), ("region first", "deletion"), ("m", "insertion"), ("region first", "insertion")
    ]  # fmt: skip
    for row in checks.rows:
        assert (row.value, row.random_mean) == (pytest.approx(0.75, abs=1e-5), pytest.approx(0.75, abs=1e-5))
        assert row.random_sd == (None if spread is None else pytest.approx(spread, abs=1e-6))
    assert checks.curves["deletion", "m"] == [pytest.approx([0.9, 0.6], abs=1e-5)]
    assert checks.curves["insertion", "m"] == [pytest.approx([0.6, 0.9], abs=1e-5)]
    assert len(checks.curves["deletion", "random"]) == orders


ROWS = [
    Check("1", "a", "m", "deletion", "", 0.2, 0.5, 0.1),
    Check("2", "a", "m", "deletion", "", 0.4, 0.5, 0.1),  # within two standard deviations
    Check("1", "a", "m", "insertion", "", 0.8, 0.5, 0.1),
    Check("2", "a", "m", "insertion", "", 0.9, 0.6, 0.2),
    Check("1", "a", "n", "deletion", "", 0.7, 0.5, 0.1),
    Check("1", "a", "n", "insertion", "", 0.1, 0.5, 0.1),
    Check("1", "a", "m", "rank correlation", "head", 0.5),
    Check("2", "a", "m", "rank correlation", "head", 0.7),
    Check("1", "a", "m", "ssim", "head", 0.25),
    Check("1", "a", "m", "rank correlation", "encoder", -0.1),
    Check("1", "a", "m", "ssim", "encoder", 0.05),
]


def test_the_summary_by_hand():
    lines = summary(ROWS).splitlines()
    assert lines[2:5] == [
        "| m | 0.300 | 1 of 2 | 0.850 | 1 of 2 |",
        "| n | 0.700 | 0 of 1 | 0.100 | 0 of 1 |",
        "| random | 0.500 ± 0.100 |  | 0.533 ± 0.133 |  |",
    ]
    assert lines[6].endswith("| head | encoder |")
    assert lines[8:] == ["| m, rank correlation | 0.60 | -0.10 |", "| m, ssim | 0.25 | 0.05 |"]
    assert summary([]) == "No map to check.\n"


def test_rank_correlations_are_drawn_by_method_and_stage():
    assert likenesses(ROWS) == {"m": {"head": [0.5, 0.7], "encoder": [-0.1]}}


def test_a_run_without_maps_writes_that_and_removes_what_an_earlier_one_drew(tmp_path):
    (tmp_path / "checks.png").touch()
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    assert Checks(nn.Identity(), lambda x, _: x, spec).write(tmp_path) == "No map to check.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checks.csv", "checks.md"]
    assert (tmp_path / "checks.csv").read_text().splitlines() == [
        "case,class,method,check,stage,value,random_mean,random_sd"
    ]
