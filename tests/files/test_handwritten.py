"""JSON and YAML that people write: nothing is lost without a word."""

from pathlib import Path

import pytest

from medseg_monai.files.handwritten import read_handwritten


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"a": {"b": 1, "c": 2, "b": 3}}'),
        ("a.yaml", "a:\n  b: 1\n  c: 2\n  b: 3\n"),
        ("a.yml", "- {b: 1, c: 2, b: 1}"),
    ],
)
def test_a_key_twice_is_refused(name: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gives the key 'b' twice"):
        read_handwritten(written(tmp_path, name, content))


def test_equal_keys_of_different_mappings_are_no_repetition(tmp_path: Path) -> None:
    assert read_handwritten(written(tmp_path, "a.json", '[{"b": 1}, {"b": 2}]')) == [{"b": 1}, {"b": 2}]
    merged = "usual: &usual {b: 1, c: 2}\nother: {<<: *usual, b: 3}\n"
    assert read_handwritten(written(tmp_path, "a.yaml", merged))["other"] == {"b": 3, "c": 2}


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_a_byte_order_mark_is_passed_over(name: str, tmp_path: Path) -> None:
    assert read_handwritten(written(tmp_path, name, b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 20_000, "nested too deeply"),
        (b"\xff\xfe{\0", "is not UTF-8 text"),
        ("{", "is not valid"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_handwritten(written(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_yaml_makes_nothing_but_plain_values(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_handwritten(written(tmp_path, "a.yaml", "!!python/object/apply:os.getcwd []"))
