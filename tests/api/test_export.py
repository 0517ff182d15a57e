"""Export from Python: the file runs, and the comparison with torch is in the result."""

import json
from pathlib import Path

import pytest
import torch

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.export import ExportedWeights
from medseg_monai.api.training import Training


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> ExportedWeights:
    file = tmp_path_factory.mktemp("exported") / "u.ts"
    return mm.export("unet", weights=training.folder, out=file, samples=data.test)


def test_the_file_runs_without_this_package(found: ExportedWeights) -> None:
    network = torch.jit.load(found.file)
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)
    assert found.parity.samples == "images"
    assert found.files == [found.file]


def test_it_draws_saves_and_shows_itself(found: ExportedWeights, tmp_path: Path) -> None:
    bars = found.plot().axes[0].patches
    assert bars[0].get_width() == max(found.parity.max_abs_logit_difference, 1e-9)
    assert found.save(tmp_path / "copy.ts").read_bytes() == found.file.read_bytes()
    assert json.loads(found.save(tmp_path / "p.json").read_text())["format"] == "torchscript"
    page = found._repr_html_()
    assert "u.ts" in page
    assert "says nothing about accuracy" in page


def test_mistakes_are_said(training: Training, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown format 'onx'.*did you mean 'onnx'"):
        mm.export("unet", weights=training.folder, fmt="onx")
    with pytest.raises(ValueError, match="suffix"):
        mm.export("unet", weights=training.folder, out=tmp_path / "x.doc")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mm.export("unet", weights=training.folder, samples="nowhere")
