"""What inference.json and its siblings call."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import BasicUNet

from medseg_monai.bundle.trained import Trained
from medseg_monai.inference import recipe
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.transforms.cleaning import PLAIN

ARCHITECTURE = {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 1,
                "features": [4, 4, 4, 4, 4, 4]}  # fmt: skip


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    trained = Trained(demo_spec(size=32), ARCHITECTURE, "unet")
    for name in ("first", "second"):
        trained.write(tmp_path / name)
        torch.save(trained.build_network().state_dict(), tmp_path / name / "model.pt")
    return tmp_path


def test_the_network_has_its_weights_and_those_of_its_companions(weights: Path) -> None:
    file = weights / "first" / "model.pt"
    trained = Trained.read(file.parent)
    alone = recipe.trained_network(trained.build_network(), file, trained, device="cpu")
    assert isinstance(alone, BasicUNet)
    expected = torch.load(file, weights_only=True)
    assert all(torch.equal(value, expected[name]) for name, value in alone.state_dict().items())
    several = recipe.trained_network(
        trained.build_network(), file, trained, device="cpu", ensemble=[str(weights / "second")]
    )
    assert len(several.members) == 2  # type: ignore[arg-type]


def test_the_model_card_is_in_the_bundle() -> None:
    assert Path(recipe.model_card("bundles/unet")) == Path("bundles/unet/docs/README.md")


def test_stacks_are_written_in_the_formats_of_the_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = demo_spec("mr", size=32)
    scans = [{"id": f"slice_{n:04d}", "image": str(tmp_path / f"slice_{n:04d}_8_8_1.50_1.50.png")} for n in (1, 2)]
    for scan in scans:
        Path(scan["image"]).touch()
    writer = WritePredictions(tmp_path / "out", spec=spec, formats="geojson")
    assert recipe.write_stacks(scans, writer, PLAIN) == []
    assert "made from masks in the format png" in caplog.text


def test_a_progress_bar_shows_nothing_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(recipe.progress("segmenting")(np.arange(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""
