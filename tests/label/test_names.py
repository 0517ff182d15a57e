"""Names, file names and JSON that requests bring: what is a name, what is one line, what can be kept and sent back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.label.names import (
    MAX_JSON_BYTES,
    MAX_NAME_BYTES,
    check_name,
    parse_object,
    shortened,
    split_file_name,
)

SUFFIXES = (".png", ".nii", ".nii.gz", ".gz")


@pytest.mark.parametrize(
    "name", ["a", "$x", "%x", "@lr", "50% #1", "a::b", "läsion", "名前", "b.png", "a..b", "~", "-rf", "3: T1 axial"]
)
def test_names_in_any_language_with_any_sign_are_names(name):
    assert check_name(name, "image") == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "slash") for name in ("../x", "a/b", "/x", "x/", "a\\b", "C:\\x")),
        *((name, "dot") for name in (".", "..", ".x", "..x")),
        *((name, "control") for name in ("a\nb", "a\rb", "a\0b", "\x7fa", "a\x1b[0m", "a\u2028b", "a\ud800")),
        *((name, "empty") for name in ("", " ", " a", "a ", "a\t")),
        *((name, f"{MAX_NAME_BYTES} bytes") for name in ("x" * 181, "é" * 91, "名" * 61)),
    ],
)
def test_what_would_lead_elsewhere_is_no_name(name, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        check_name(name, "image")
    assert str(refused.value).isprintable(), "one line, whatever the name holds"


@given(st.text(max_size=300))
def test_a_name_stays_in_its_folder_and_is_written(tmp_path_factory, name):
    try:
        check_name(name, "image")
    except ValueError:
        return
    folder = tmp_path_factory.getbasetemp()
    file = folder / f"{name}.seg.nrrd"
    assert file.resolve().parent == folder.resolve()
    file.touch()
    file.unlink()


@pytest.mark.parametrize(
    ("path", "stem", "suffix"),
    [
        ("a.png", "a", ".png"),
        ("a.png.PNG", "a.png", ".PNG"),
        ("1.2.840.nii.gz", "1.2.840", ".nii.gz"),
        ("/tmp/x/a.Nii", "a", ".Nii"),
        ("C:\\x\\a.png", "a", ".png"),
        ("../..png", ".", ".png"),
        (".png", ".png", ""),
        ("a.png/../b", "b", ""),
        ("a.exe", "a.exe", ""),
        ("", "", ""),
    ],
)
def test_a_clients_file_name_in_parts(path, stem, suffix):
    assert split_file_name(path, SUFFIXES) == (stem, suffix)


@pytest.mark.parametrize("text", ["", " ", "{}", "null"])
def test_nothing_said_is_an_empty_object(text):
    assert parse_object(text, "params") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "object"),
        ("5", "object"),
        ('"x"', "object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ('{"a": [[' + '{"b": "\\ud800"}' + "]]}", "surrogate"),
        ('{"a": ' + "[" * 30 + "]" * 30 + "}", "deeper"),
        ("[" * 60_000, "not JSON"),
        ('{"a": "' + "x" * MAX_JSON_BYTES + '"}', "64 KiB"),
    ],
)
def test_what_cannot_be_kept_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        parse_object(text, "params")
    assert len(str(refused.value)) < 200


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_what_is_kept_can_be_sent_back(content):
    """As servers send JSON: UTF-8, with finite numbers."""
    kept = parse_object(json.dumps(content), "params")
    assert kept == content
    assert json.loads(json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()) == content


def test_a_long_or_strange_text_is_one_short_line():
    assert shortened("x" * 200) == "x" * 79 + "…"
    assert shortened("a\nb\0c\ud800") == "a\\nb\\x00c\\ud800"
    assert shortened("läsion") == "läsion"
