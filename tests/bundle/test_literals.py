"""Values from outside in MONAI's ConfigParser: they come out as they went in, and nothing in them is executed, fetched or rewritten."""

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from medseg_monai.bundle.literals import inert, literal, literals


class Colour(str, Enum):
    RED = "$red"


# config: the value, a component that takes it by reference, an expression that uses it, and the component inside a list
def parsed(value: object, key: str = "given") -> list[object]:
    """What a config makes of a value: asked for by its id, by reference, in an expression, and as a component's argument."""
    content = {
        "imports": ["$import os"],
        "other": "not this",
        "given": "",
        "nested": {"given": []},
        "reference": "@given",
        "expression": "$[@given]",
        "component": {"_target_": "builtins.dict", "x": "@given", "y": ["@given"]},
    }
    parser = ConfigParser(content)
    parser.update({key: literal(value)})
    part = parser.get_parsed_content
    component = part("component")
    return [part(key), part("reference"), part("expression")[0], component["x"], component["y"][0]]


HOSTILE = (
    "$CODE",
    "$import antigravity",
    "$import",
    "$@other",
    "$(",
    "$",
    "@other",
    "@missing",
    "@",
    "%other",
    "%nowhere.json#x",
    "%",
    "#",
    "@#other",
    "@##other",
    "a@##b.jpg",
    "%##b",
    "%::",
    "a::b",
    "#1 lesion",
    "50%#1.jpg",
    "import os",
    "a\nb",
    "a\r\tb",
    "'\"\\",
    "\\",
    "\\x40",
    "\\@",
    "\\\\#",
    "\0",
    "caf\udce9.jpg",
    "é 患者 🙂",
    "",
    " $x",
    "None",
    "__local_refs['other']",
    "f'{1}'",
    "'''",
)


@pytest.fixture
def armed(tmp_path: Path) -> Callable[[str], str]:
    """Texts whose execution leaves a file behind; afterwards there is none."""
    canary = tmp_path / "canary"

    def fill(text: str) -> str:
        return text.replace("CODE", f"__import__('pathlib').Path({str(canary)!r}).touch()")

    yield fill
    assert not canary.exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_comes_out_as_it_went_in(text: str, armed: Callable[[str], str]) -> None:
    value = armed(text)
    assert parsed(value) == [value] * 5


@pytest.mark.parametrize("text", HOSTILE)
def test_so_does_a_text_in_lists_and_dictionaries(text: str, armed: Callable[[str], str]) -> None:
    call = {"_target_": "os.mkdir", "_mode_": "default", "path": "canary"}
    value = [armed(text), {"key": [armed(text), call], armed(text): None}, (armed(text), (1,))]
    assert parsed(value) == [value] * 5


def test_the_attack_is_real(armed: Callable[[str], str], tmp_path: Path) -> None:
    """Without `literal` the same text runs: a canary that never sings would prove nothing."""
    ConfigParser({"x": armed("$CODE")}).get_parsed_content("x")
    assert (tmp_path / "canary").exists()
    (tmp_path / "canary").unlink()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_any_value_comes_out_as_it_went_in(value: object) -> None:
    assert parsed(value) == [value] * 5


def test_nan_stays_nan() -> None:
    assert np.isnan(parsed([float("nan")])[0][0])


def test_paths_become_texts_and_enums_their_values() -> None:
    assert parsed(Path("$x/a#b"))[0] == str(Path("$x/a#b"))
    assert parsed([Path("%x")])[0] == ["%x"]
    assert parsed(Colour.RED)[0] == "$red"
    assert parsed(np.str_("$x"))[0] == "$x"
    assert parsed([np.float64(0.5)])[0] == [0.5]


def test_objects_stay_themselves() -> None:
    device = torch.device("cpu")
    assert parsed(device)[0] is device
    with pytest.raises(TypeError, match=r"device.*is in a list"):
        literal([device])


@pytest.mark.parametrize("value", [["$a", 1, float("inf")], {"_target_": "$x"}, "caf\udce9"])
def test_a_literal_can_be_written_to_a_file(value: object, tmp_path: Path) -> None:
    """As MONAI records the config that it ran, and hands overrides to a process of its own."""
    ConfigParser.export_config_file({"given": literal(value)}, tmp_path / "config.json")
    assert ConfigParser(json.loads((tmp_path / "config.json").read_text())).get_parsed_content("given") == value


@pytest.mark.parametrize("key", ["inferer#_target_", "inferer::_mode_", "_meta_", "a#_disabled_", "a#0#_requires_"])
def test_what_is_called_is_no_value(key: str) -> None:
    with pytest.raises(ValueError, match=rf"{key.partition('#')[0]}.*decides what a config runs"):
        literals({key: "os.system"})


def test_a_long_list_does_not_slow_the_parser_down() -> None:
    """MONAI parses each expression with the word import once more for every item, so there must be none with it."""
    assert "import" not in literal(["import"] * 3)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_inert_text_survives_in_a_config_that_is_read_as_it_stands(text: str, armed: Callable[[str], str]) -> None:
    written = inert(armed(text))
    assert written.replace(" ", "") == armed(text).replace(" ", "")
    parser = ConfigParser({"_meta_": {"0": written, "1": [written]}, "x": "$1 + 1"})
    assert parser.get_parsed_content("x") == 2
    assert parser.get_parsed_content("_meta_")["0"] == written.replace("#", "::")
