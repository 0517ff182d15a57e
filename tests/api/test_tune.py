"""Tuning from Python: what was chosen is in spec.json, and the result shows scores before and after."""

import json
import shutil
from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.training import Training
from medseg_monai.api.tune import TunedWeights


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> TunedWeights:
    folder = tmp_path_factory.mktemp("tuned") / "<i>weights"
    shutil.copytree(training.folder, folder)
    return mm.tune("unet", data, weights=folder, split="training")


def test_what_was_chosen_is_beside_the_weights(found: TunedWeights) -> None:
    written = json.loads(found.weights.with_name("spec.json").read_text()).get("cleaning")
    assert written == (dict(found.cleaning) if found.changed else None)
    assert found.markdown == found.report.read_text()
    assert set(found.tuning.before) == {"lesion"}


def test_it_draws_saves_and_shows_itself(found: TunedWeights, tmp_path: Path) -> None:
    before = found.tuning.before["lesion"]
    assert before in found.plot().axes[0].lines[0].get_xdata()
    assert found.save(tmp_path / "t.md").read_text() == found.markdown
    assert json.loads(found.save(tmp_path / "t.json").read_text())["before"] == found.tuning.before
    page = found._repr_html_()
    assert "&lt;i&gt;weights" in page
    assert "<i>" not in page
    assert page.count("data:image/png") == 1
