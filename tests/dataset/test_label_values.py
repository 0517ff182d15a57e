"""Values of classes as people write them, and tables that cannot be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset import Dataset, read_dataset, write_dataset
from medseg_monai.dataset.label_values import (
    LabelValues,
    code_of,
    parse_classes,
    read_values,
    shown,
)
from medseg_monai.dataset.spec import DatasetSpec


def spec(task="multiclass", classes=("a", "b"), **more):
    return DatasetSpec("d", task, classes=classes, channels=("grey",), **{"size": (8, 8), **more})


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_a_colour_written_in_three_ways_is_one(red, green, blue):
    code = red * 65536 + green * 256 + blue
    for text in (f"{red},{green},{blue}", f" {red}, {green} ,{blue}", f"#{code:06X}"):
        (value,) = read_values(text, "x")
        assert code_of(value) == code
        assert shown(value) == f"{red},{green},{blue}"


@pytest.mark.parametrize("value", ["", "a", "1.5", "1,2", "256,0,0", "1,2,3,4", "#12", True, None, [], {}, 99999999999])
def test_what_is_no_value(value):
    with pytest.raises(ValueError, match="label_values: a: "):
        LabelValues.from_dict({"a": value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": 1}, "label_values: no value for b"),
        ({"a": 1, "b": 2, "c": 3}, "label_values: 'c' is not one of the classes (a, b) or background"),
        ({"a": 1, "b": 1}, "label_values: 1 belongs to a and to b"),
        ({"a": 1, "b": 2, "background": [0, 2]}, "label_values: 2 belongs to b and to background"),
        ({"a": 1, "b": "#ff0000"}, "label_values: contains numbers and colours"),
        ([1, 2], "label_values: expected a mapping from class to value"),
    ],
)
def test_tables_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        spec(label_values=values)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label_values": {"a": 1, "b": 2}, "ignore": 2}, "ignore: 2 belongs to b in label_values"),
        (
            {"label_values": {"a": 1, "b": 2}, "ignore": "255,0,0"},
            "ignore: 255,0,0 is of another kind than label_values",
        ),
        ({"ignore": "x"}, "ignore: 'x' is neither a whole number nor a colour"),
        ({"ignore": "#ffffff", "spatial_dims": 3, "size": (8, 8, 8)}, "volumes contain numbers, not colours"),
    ],
)
def test_ignored_values_that_cannot_be(more, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        spec(**more)


def test_one_value_of_several_classes_is_for_classes_that_overlap():
    regions = {"whole": [1, 2, 4], "core": [1, 4]}
    assert spec("multilabel", ("whole", "core"), label_values=regions).label_values.codes("core") == (1, 4)
    with pytest.raises(ValueError, match="1 belongs to whole and to core"):
        spec("multiclass", ("whole", "core"), label_values=regions)


@pytest.mark.parametrize(
    ("values", "ignore", "background"),
    [
        ({"a": 1, "b": 2}, 255, (0,)),
        ({"a": 0, "b": 2}, (), ()),
        ({"a": 1, "b": 2}, 0, ()),
        ({"a": 1, "b": 2, "background": [0, 3]}, (), (0, 3)),
        ({"a": "#ff0000", "b": "#00ff00", "background": "#ffffff"}, (), (0xFFFFFF,)),
    ],
)
def test_background_is_0_unless_said_otherwise(values, ignore, background):
    made = spec(label_values=values, ignore=ignore)
    assert made.label_values.background(made.ignore) == background


def test_a_written_data_set_says_its_values(tmp_path):
    made = spec(label_values={"a": 2, "b": [3, 4]}, ignore=[254, 255])
    case = {"image": "i.png", "label": "m.png"}
    write_dataset(Dataset(spec=made, root=tmp_path, training=(case,)), tmp_path)
    text = (tmp_path / "dataset.json").read_text()
    assert '"label_values": {"a": 2, "b": [3, 4]}' in text
    assert '"ignore": [254, 255]' in text
    again = read_dataset(tmp_path)
    assert again.spec == made
    assert hash(again.spec) == hash(made)


def test_class_numbers_need_no_word_in_the_file():
    assert {"label_values", "ignore"}.isdisjoint(spec().to_dict())
    coded = spec(label_values={"a": 2, "b": 3}, ignore=255)
    assert coded.in_class_numbers() == spec()


def test_options_of_the_command_line():
    assert parse_classes(["a", "b"]) == (("a", "b"), {})
    names, values = parse_classes(["background=255,255,255", "vessel = 255,0,0", "vessel=#00ff00"])
    assert names == ("vessel",)
    assert values == {"background": ("#ffffff",), "vessel": ("#ff0000", "#00ff00")}
    with pytest.raises(ValueError, match="--class b: has no value although a has one; use b=VALUE"):
        parse_classes(["a=1", "b"])


def test_a_file_for_each_class_needs_no_table(tmp_path):
    made = spec("multilabel", ("whole", "core"), label_values={"whole": [1, 2], "core": 1})
    with pytest.raises(ValueError, match=r"training\[0\]: 2 mask files, but label_values are for one file"):
        Dataset(spec=made, root=tmp_path, training=({"image": "i.png", "label": ["a.png", "b.png"]},))
