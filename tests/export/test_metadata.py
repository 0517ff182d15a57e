"""metadata.json: our check of MONAI's schema refuses what the schema refuses; the one made for weights describes them."""

import copy
import json
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.export import metadata
from medseg_monai.export.metadata import (
    metadata_for,
    metadata_mistakes,
    network_data_format,
    read_metadata,
    trust_metrics,
)

BUNDLE = REPOSITORY / "bundles" / "unetpp"
SCHEMA = REPOSITORY.parent / "shared" / "schemas" / "meta_schema_20240725.json"
INPUT = ("network_data_format", "inputs", "image")
MISSING = object()
CHANGES = [
    *[((key,), MISSING) for key in read_metadata(BUNDLE)],
    *[((key,), 3) for key in read_metadata(BUNDLE)],
    *[((*INPUT, key), MISSING) for key in read_metadata(BUNDLE)["network_data_format"]["inputs"]["image"]],
    *[((*INPUT, key), None) for key in read_metadata(BUNDLE)["network_data_format"]["inputs"]["image"]],
    (("network_data_format", "outputs"), MISSING),
    (("network_data_format", "inputs"), []),
    (INPUT, "an image"),
    (INPUT, None),
    (("network_data_format", "post_processed_outputs"), {"mask": None}),
    ((*INPUT, "num_channels"), 3.0),
    ((*INPUT, "num_channels"), 2.5),
    ((*INPUT, "num_channels"), True),
    ((*INPUT, "spatial_shape"), [32, "16*n", 2.5]),
    ((*INPUT, "value_range"), [0, 1.5]),
    ((*INPUT, "value_range"), [0, "1"]),
    (("references",), ["a", 1]),
    (("train_data_format",), {"inputs": {}}),
    (("train_data_format",), {"inputs": {}, "outputs": {"loss": 1.0}}),
    (("something else",), [1]),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_our_rules_are_the_schema_s(number):
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.is_file():
        pytest.skip("MONAI's schema is not here")
    (*parents, key), value = CHANGES[number]
    content = read_metadata(BUNDLE)
    place = content
    for parent in parents:
        place = place[parent]
    if value is MISSING:
        place.pop(key)
    else:
        place[key] = value
    theirs = list(jsonschema.validators.validator_for(read(SCHEMA))(read(SCHEMA)).iter_errors(content))
    assert bool(metadata_mistakes(content)) == bool(theirs)


def read(file):
    return json.loads(file.read_text())


def test_a_mistake_names_its_place():
    content = read_metadata(BUNDLE)
    del content["network_data_format"]["outputs"]["pred"]["dtype"]
    assert metadata_mistakes(content) == ["network_data_format: outputs: pred: dtype is missing"]


def test_of_volumes_with_exclusive_classes():
    spec = DatasetSpec(
        "ct",
        "multiclass",
        classes=("liver", "spleen"),
        channels=("ct",),
        spatial_dims=3,
        size=(16, 16, 16),
        modality="CT",
    )
    trained = Trained(spec, {"_target_": "medseg_monai.networks.UNet"}, "unetpp")
    before = copy.deepcopy(read_metadata(BUNDLE))
    made = metadata_for(BUNDLE, trained)
    assert metadata_mistakes(made) == []
    image, pred = made["network_data_format"]["inputs"]["image"], made["network_data_format"]["outputs"]["pred"]
    assert (image["num_channels"], image["spatial_shape"], image["modality"]) == (1, ["32*n"] * 3, "CT")
    assert pred["channel_def"] == {"0": "background", "1": "liver", "2": "spleen"}
    assert made["label_classes"] == "1 = liver, 2 = spleen"
    assert network_data_format(before["network_data_format"], spec) == made["network_data_format"]


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "is not a JSON object")])
def test_broken_metadata_is_named(tmp_path, text, message):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_metadata(tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ((*INPUT, "num_channels"), 3.0, None),
        ((*INPUT, "num_channels"), 2.5, "inputs: image: num_channels must be a whole number"),
        ((*INPUT, "num_channels"), True, "inputs: image: num_channels must be a whole number"),
        ((*INPUT, "num_channels"), "3", "inputs: image: num_channels must be a whole number"),
        ((*INPUT, "value_range"), [0, True], "inputs: image: value_range must be a list of numbers"),
        ((*INPUT, "is_patch_data"), "no", "inputs: image: is_patch_data must be true or false"),
        ((*INPUT, "spatial_shape"), [32, "16*n", 2.5], "inputs: image: spatial_shape must be a list of whole numbers or texts"),
        (("network_data_format", "outputs", "loss"), 1.5, None),
        (("network_data_format", "outputs", "loss"), [1.5], "outputs: loss: must be a number, a text, a bool or a tensor's description"),
    ],
)  # fmt: skip
def test_what_a_tensors_description_may_hold(place, value, said):
    content = read_metadata(BUNDLE)
    *parents, key = place
    at = content
    for parent in parents:
        at = at[parent]
    at[key] = value
    assert metadata_mistakes(content) == ([] if said is None else [f"network_data_format: {said}"])
    at.pop("is_patch_data", None)  # may be left out
    assert all("is_patch_data" not in mistake for mistake in metadata_mistakes(content))


def test_trust_is_told_as_far_as_it_was_measured(tmp_path, monkeypatch):
    assert trust_metrics(tmp_path) == {}
    found = SimpleNamespace(cases=10, flagged=2, passed_failures=1, error=0.05, aurc=0.1, aurc_uncertainty=0.25)
    monkeypatch.setattr(metadata, "read_trust", lambda folder: found)
    assert trust_metrics(tmp_path) == {
        "predicted_dice_error": 0.05, "aurc": 0.1, "aurc_uncertainty": 0.25, "flagged_share": 0.2,
        "failure_share_unflagged": 0.125,
    }  # fmt: skip
