import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec

GOOD = {"name": "x", "task": "binary", "classes": ["lesion"], "channels": ["red", "green", "blue"], "size": [192, 128]}


@pytest.mark.parametrize(
    ("task", "classes", "out_channels", "label_channels"),
    [("binary", ["a"], 1, 1), ("multiclass", ["a", "b", "c"], 4, 1), ("multilabel", ["a", "b", "c"], 3, 3)],
)
def test_channels_of_each_task(task, classes, out_channels, label_channels):
    spec = DatasetSpec.from_dict({**GOOD, "task": task, "classes": classes})
    assert (spec.in_channels, spec.out_channels, spec.label_channels) == (3, out_channels, label_channels)


def test_lists_become_tuples_and_the_spec_is_hashable():
    spec = DatasetSpec.from_dict(GOOD)
    assert (spec.classes, spec.size) == (("lesion",), (192, 128))
    assert hash(spec) == hash(DatasetSpec.from_dict(GOOD))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "y"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clases": ["a"]}, "unknown key 'clases' .did you mean 'classes'"),
        ({"name": "a/b"}, "name: .* names a folder"),
        ({"name": ""}, "name: "),
        ({"name": 3}, "name: expected a text, got 3"),
        ({"task": "binry"}, "task: got 'binry' .did you mean 'binary'"),
        ({"classes": ["a", "b"]}, "binary data set has one class, got a, b"),
        ({"classes": ["background"]}, "leave 'background' out"),
        ({"classes": "lesion"}, "classes: expected a list of names, got 'lesion'"),
        ({"classes": []}, "classes: expected a list of names"),
        ({"channels": ["red", "red", "blue"]}, "channels: every name may occur only once"),
        ({"channels": ["red", ""]}, "channels: every name must be a text"),
        ({"size": [256]}, "size: expected 2 numbers above 0"),
        ({"size": [256, -1]}, "size: expected 2 numbers above 0"),
        ({"size": [256, 2.5]}, "size: expected whole numbers"),
        ({"size": "256"}, "size: expected a list of numbers"),
        ({"size": None}, "size: missing"),
        ({"spatial_dims": 4}, "spatial_dims: must be 2 or 3, got 4"),
        ({"spacing_mm": [1, 0]}, "spacing_mm: expected 2 numbers above 0"),
        ({"aspect": "crop"}, "aspect: got 'crop'"),
        ({"intensity": "uint"}, "intensity.kind: got 'uint' .did you mean 'uint8'"),
        ({"intensity": 5}, "intensity: expected a kind or a mapping"),
        ({"intensity": {"kind": "uint8", "men": [0]}}, "intensity: unknown key 'men' .did you mean 'mean'"),
        ({"intensity": {"mean": [0.5, 0.5]}}, "intensity.mean: 2 numbers for 3 channels"),
    ],
)
def test_each_mistake_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        DatasetSpec.from_dict({**GOOD, **change})


@pytest.mark.parametrize("key", ["name", "task", "classes", "channels"])
def test_missing_key_is_named(key):
    with pytest.raises(ValueError, match=f"the key '{key}' is missing"):
        DatasetSpec.from_dict({k: v for k, v in GOOD.items() if k != key})


def test_three_dimensions_take_a_spacing_instead_of_a_size():
    volume = {**GOOD, "channels": ["ct"], "spatial_dims": 3, "size": None, "spacing_mm": [0.8, 0.8, 2.5]}
    assert DatasetSpec.from_dict(volume).spacing_mm == (0.8, 0.8, 2.5)


@given(
    task=st.sampled_from(["multiclass", "multilabel"]),
    classes=st.lists(st.text("abc", min_size=1), min_size=1, max_size=4, unique=True),
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    aspect=st.sampled_from(["stretch", "pad"]),
    intensity=st.sampled_from(
        [Intensity(), Intensity("window", lower=-1, upper=1), Intensity("percentile", mean=0.4), Intensity("zscore")]
    ),
)
def test_a_spec_survives_the_round_trip(task, classes, size, aspect, intensity):
    spec = DatasetSpec("x", task, classes=classes, channels=["g"], size=size, aspect=aspect, intensity=intensity)
    assert DatasetSpec.from_dict(spec.to_dict()) == spec


def test_class_names_that_would_share_a_file_are_refused():
    with pytest.raises(ValueError, match=r"two of large bowel, Large_bowel would share a file name"):
        DatasetSpec("d", "multilabel", classes=("large bowel", "Large_bowel"), channels=("grey",), size=(8, 8))


@pytest.mark.parametrize(
    ("stride", "channels", "message"),
    [
        (0, 3, "expected a whole number of 1 or more, got 0"),
        (1.5, 3, "expected a whole number of 1 or more, got 1.5"),
        (1, 4, "neighbouring slices are 3, 5, … channels of a 2D data set; this has 4 and 2 dimensions"),
        (1, 1, "this has 1 and 2 dimensions"),
    ],
)
def test_stacks_of_slices_have_a_middle(stride, channels, message):
    names = tuple("abcde"[:channels])
    with pytest.raises(ValueError, match=message):
        DatasetSpec("d", "binary", classes=("a",), channels=names, size=(8, 8), slice_stride=stride)


def test_slice_stride_is_kept_in_json():
    spec = DatasetSpec("d", "binary", classes=("a",), channels=("-2", "0", "+2"), size=(8, 8), slice_stride=2)
    assert spec.to_dict()["slice_stride"] == 2
    assert DatasetSpec.from_dict(spec.to_dict()) == spec


def test_volumes_are_seen_window_by_window_pictures_whole():
    sizes = {"classes": ("a",), "channels": ("grey",)}
    assert DatasetSpec("x", "binary", size=(8, 8), **sizes).window is None
    assert DatasetSpec("x", "binary", size=(8, 8, 4), spatial_dims=3, **sizes).window == (8, 8, 4)
    assert DatasetSpec("x", "binary", spacing_mm=(1, 1, 1), spatial_dims=3, **sizes).window is None
