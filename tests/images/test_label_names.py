"""Names of classes inside a label's file: what is written is read back, what others wrote badly is passed over."""

import colorsys
import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from medseg_monai.images.label_names import label_names, label_table, segment_keys, segment_names

CLASSES = ["left kidney", "<b> & 'c'", "Größe"]


def test_names_are_read_back_from_nifti_and_nrrd() -> None:
    expected = {1: "left kidney", 2: "<b> & 'c'", 3: "Größe"}
    assert label_names(label_table(CLASSES)) == expected
    assert label_names(label_table(CLASSES) + b"\0" * 7) == expected  # an extension is filled up to 16 bytes
    assert segment_names(segment_keys(CLASSES, np.zeros((4, 5, 6), np.uint8))) == expected


def test_neighbouring_classes_differ_in_hue() -> None:
    labels = list(ElementTree.fromstring(label_table(["a"] * 30)).iter("Label"))
    colours = [tuple(float(label.get(key, "")) for key in ("Red", "Green", "Blue")) for label in labels]
    hues = [colorsys.rgb_to_hsv(*colour)[0] for colour in colours]
    apart = [min(abs(a - b), 1 - abs(a - b)) for a, b in itertools.pairwise(hues)]
    assert min(apart) > 0.3


def test_a_segment_spans_the_whole_array() -> None:
    keys = segment_keys(["a"], np.zeros((4, 5, 6), np.uint8))
    assert (keys["Segment0_Extent"], keys["Segment0_LabelValue"]) == ("0 3 0 4 0 5", "1")


@pytest.mark.parametrize(
    "content", [b"", b"not xml", b"<CaretExtension/>", b"<a><Label Key='0'>background</Label></a>"]
)
def test_an_extension_without_classes_names_none(content: bytes) -> None:
    assert label_names(content) == {}


@pytest.mark.parametrize("number", ["", "one", "1.5", "0x1"])
def test_a_number_that_is_none_is_passed_over(number: str) -> None:
    table = f"<a><Label Key='{number}'>bad</Label><Label Key=' 2 '> good </Label><Label Key='3'/></a>"
    assert label_names(table.encode()) == {2: "good", 3: ""}
    keys = {"Segment0_LabelValue": number, "Segment0_Name": "bad", "Segment1_LabelValue": "2", "Segment1_Name": "good"}
    assert segment_names(keys) == {2: "good"}


def test_a_segment_without_a_name_is_passed_over() -> None:
    assert segment_names({"Segment0_LabelValue": "4"}) == {}
