"""What all sites must have in common is compared; what each decides itself is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.label_values import LabelValues
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.federated.agreement import AGREEMENT_FILE, Agreement

SPEC = DatasetSpec(
    "organs", "multiclass", classes=("liver", "spleen"), channels=("ct",), spatial_dims=3, size=(32, 32, 16),
    spacing_mm=(2.0, 2.0, 4.0),
)  # fmt: skip
AGREED = Agreement("unet3d", SPEC, {"lr": 0.001, "architecture#features": [4, 8]}, rounds=3, epochs=2)


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"name": "our_hospital", "description": "ours", "licence": "none", "modality": "CT"},
        {"label_values": LabelValues.from_dict({"background": 0, "liver": 7, "spleen": 9})},
    ],
)
def test_a_site_may_have_names_and_numbers_of_its_own(own: dict[str, Any]) -> None:
    AGREED.check(replace(SPEC, **own))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"classes": ("spleen", "liver")}, "classes of organs is spleen, liver, but liver, spleen is agreed"),
        ({"classes": ("liver",)}, "classes of organs is liver, but liver, spleen is agreed"),
        ({"task": "multilabel"}, "task of organs is multilabel, but multiclass is agreed"),
        ({"channels": ("mr",)}, "channels of organs is mr, but ct is agreed"),
        ({"size": (32, 32, 32)}, "size of organs is 32, 32, 32, but 32, 32, 16 is agreed"),
        ({"spacing_mm": None}, "spacing_mm of organs is nothing, but 2.0, 2.0, 4.0 is agreed"),
        ({"intensity": Intensity("zscore")}, "intensity of organs is .*zscore.* is agreed"),
    ],
)
def test_a_site_that_the_network_does_not_fit_is_refused(own: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AGREED.check(replace(SPEC, **own))


def test_a_size_that_is_set_for_all_need_not_be_in_every_data_set() -> None:
    settings = {"size": [16, 16, 16], "spacing_mm": [3, 3, 3]}
    Agreement("unet3d", SPEC, settings).check(replace(SPEC, size=(64, 64, 64), spacing_mm=(1.0, 1.0, 1.0)))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    AGREED.write(tmp_path)
    assert Agreement.read(tmp_path) == AGREED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bundle": "unet", "spec": {"name": 1}}', '{"bundle": "unet"}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / AGREEMENT_FILE).write_text(text)
    with pytest.raises(ValueError, match="does not say what the sites agree on"):
        Agreement.read(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rounds": 0}, "rounds: expected a whole number of 1 or more, got 0"),
        ({"epochs": 1.5}, "epochs: expected a whole number"),
        ({"rounds": True}, "rounds: expected a whole number"),
        ({"settings": {"dataset_dir": "data"}}, "dataset_dir is for each site to decide"),
    ],
)
def test_what_cannot_be_agreed(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Agreement(**{"bundle": "unet3d", "spec": SPEC, **wrong})
