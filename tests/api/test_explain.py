"""Maps from Python: rows, panels, failures; layers as objects."""

from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.explain import Explanations
from medseg_monai.api.training import Training


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Explanations:
    folder = tmp_path_factory.mktemp("explained")
    (folder / "broken.png").write_bytes(b"x")
    images = [data[0].image_files[0], folder / "broken.png"]
    return mm.explain("unet", images, weights=training.folder, region="image", methods="gradcam", out=folder / "maps")


def test_rows_maps_and_failures(found: Explanations, data: ImageDataset) -> None:
    assert found.cases == [data[0].id]
    assert [row["method"] for row in found.rows] == ["gradcam"]
    assert all(file.is_file() for file in found.maps)
    assert (len(found.maps), found.images, found.checks, found.page) == (1, 2, "", None)
    assert [Path(failure.path).name for failure in found.failures] == ["broken.png"]


def test_it_draws_and_saves_itself(found: Explanations, tmp_path: Path) -> None:
    assert found.plot().axes[0].images
    assert found.save(tmp_path / "t.csv").read_bytes() == (found.folder / "explanations.csv").read_bytes()
    with pytest.raises(KeyError):
        found.plot("nosuch")
    page = found._repr_html_()
    assert page.count("data:image/jpeg") == 1
    assert "could not be used: broken.png" in page


def test_layers_are_listed(training: Training) -> None:
    layers = {layer.name: layer for layer in mm.list_layers("unet", weights=training.folder)}
    assert layers["bottleneck"].channels == 8
    assert layers["bottleneck"].stride == (4, 4)
