import pytest
import torch

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.checks import Checks, CheckSettings
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
