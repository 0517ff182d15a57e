"""From images to drift.json and drift.png: what was learnt decides what is compared. `tests/test_predictor.py` runs the command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.predictor import Predictor
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.quality.drift_run import _strangest, compare_images
from medseg_monai.quality.familiarity import learn_familiarity
from medseg_monai.quality.learnt import Quality
from medseg_monai.quality.usual import UsualAnswers

UNET = REPOSITORY / "bundles" / "unet"


PLAIN = {"engine": "plain", "precision": "fp32"}  # nothing to choose for a network of a few weights


@pytest.fixture(scope="module")
def pictures(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """As few of the demo's pictures as can be compared."""
    folder = tmp_path_factory.mktemp("pictures")
    return [Path(shutil.copy(file, folder)) for file in sorted((demo_data / "images").iterdir())[:10]]


@pytest.fixture(scope="module")
def weights(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """Weights that know nothing, and what is usual in the demo's pictures as they answer."""
    torch.manual_seed(0)
    network = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1, "features": [2, 2]}
    trained = Trained(demo_spec(size=32), network, "unet")
    folder = tmp_path_factory.mktemp("weights")
    trained.write(folder)
    torch.save(trained.build_network().state_dict(), folder / "model.pt")
    predict = Predictor(UNET, weights=folder / "model.pt", **PLAIN)
    described = [predict(file).description for file in pictures]
    return folder, replace(trained, familiarity=learn_familiarity(described * 3, described, share=0.1))


def compared(folder: Path, pictures: list[Path], out: Path) -> dict[str, object]:
    compare_images(UNET, pictures, out, weights=folder, false_alarms=0.01, least_shift=0.4, **PLAIN)
    content: dict[str, object] = json.loads((out / "drift.json").read_text())
    assert (out / "drift.png").stat().st_size > 1000
    return content


def test_pictures_are_compared_with_what_was_learnt_of_pictures_alone(
    weights: tuple[Path, Trained], pictures: list[Path], tmp_path: Path
) -> None:
    """No quality was learnt, so that of the answers nothing is compared; and the other way round."""
    folder, known = weights
    known.write(folder)
    content = compared(folder, pictures, tmp_path / "familiarity")
    assert (content["images"], content["trained on"], content["weights"]) == (10, "demo", str(folder / "model.pt"))
    assert isinstance(content["unlike"], int)
    names = {change["name"] for change in content["changes"]}  # type: ignore[attr-defined]
    assert "brightness" in names
    assert "uncertainty" not in names
    replace(known, familiarity=None, quality=Quality(usual=UsualAnswers({"uncertainty": (0.3, 0.1)}, 30))).write(folder)
    content = compared(folder, pictures, tmp_path / "usual")
    assert content["unlike"] is None
    assert [change["name"] for change in content["changes"]] == ["uncertainty"]  # type: ignore[attr-defined]
    for nothing in (None, Quality()):
        replace(known, familiarity=None, quality=nothing).write(folder)
        with pytest.raises(ValueError, match="says nothing of what is usual: run medseg review first"):
            compared(folder, pictures, tmp_path / "nothing")


def test_the_strangest_picture_stands_first(
    weights: tuple[Path, Trained], pictures: list[Path], tmp_path: Path
) -> None:
    folder, known = weights
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(noise)
    files = [str(file) for file in (*pictures[:3], noise)]
    predict = Predictor(UNET, weights=folder / "model.pt", **PLAIN)
    descriptions = [predict(file).description for file in files]
    found = _strangest(files, descriptions, known)
    assert (found[0], sorted(found)) == (str(noise), sorted(files))
    volumes = replace(known, dataset=demo_spec("volumes"))
    assert _strangest(files, descriptions, volumes) == [], "of volumes there is no small picture"
    assert _strangest(files, descriptions, replace(known, familiarity=None)) == []
