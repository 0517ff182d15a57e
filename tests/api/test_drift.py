"""Drift from Python: an alarm is a property, a broken image is left out with its reason."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import medseg_monai as mm
from medseg_monai.api.drift import ImageDrift


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> ImageDrift:
    """Of pictures that are nothing like dermoscopy, against the shipped weights."""
    folder = tmp_path_factory.mktemp("batch")
    random = np.random.default_rng(0)
    for number in range(10):
        Image.fromarray(random.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "<b>broken.png").write_bytes(b"no picture")
    return mm.drift("unet", folder, out=folder / "found")


def test_noise_is_an_alarm(found: ImageDrift) -> None:
    assert found.alarm
    assert found.changed
    assert all(change.changed for change in found.changed)
    assert found.found.images == 10
    assert [Path(image).name for image in found.left_out] == ["<b>broken.png"]


def test_it_draws_saves_and_shows_itself(found: ImageDrift, tmp_path: Path) -> None:
    assert found.plot().axes[0].images
    assert json.loads(found.save(tmp_path / "d.json").read_text())["alarm"] is True
    page = found._repr_html_()
    assert "changed: " in page
    assert "could not be used: &lt;b&gt;broken.png" in page
    assert "<b>" not in page


def test_what_is_not_there_is_said_at_once() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mm.drift("unet", "nowhere")
