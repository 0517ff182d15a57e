"""What the rules say of bundles of which hardly anything is there; whole ones are checked in test_package.py."""

from pathlib import Path

import pytest

from medseg_monai.export import check
from medseg_monai.export.check import Rule, check_bundle


def failed(bundle: Path) -> dict[str, str]:
    return {rule.name: rule.problem for rule in check_bundle(bundle) if not rule.ok}


@pytest.mark.parametrize("lacks", ["configs/inference.json", "models/model.pt"])
def test_without_a_config_or_weights_there_is_no_network_to_script(tmp_path: Path, lacks: str) -> None:
    for name in {"configs/inference.json", "models/model.pt"} - {lacks}:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    found = failed(tmp_path)
    assert found["TorchScript"] == "configs/inference.json or models/model.pt is missing"
    assert ("inference config" in found) == (lacks == "configs/inference.json")
    if lacks == "configs/inference.json":
        without = "configs/inference.json (or .yaml) is missing"
        assert found["network's input and output as in metadata.json"] == without


def test_an_error_in_a_check_is_said_in_its_last_line_without_what_monai_wraps_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrapped(root: Path) -> str:
        raise RuntimeError("Failed to instantiate") from ValueError("many words\nno such class")

    def bare(root: Path) -> str:
        raise RuntimeError("sizes differ")

    def silent(root: Path) -> str:
        raise KeyError from OSError("who reads this")

    for rule, function in {"_licence": wrapped, "_weights": bare, "_file_sizes": silent}.items():
        monkeypatch.setattr(check, rule, function)
    found = failed(tmp_path)
    assert found["LICENSE"] == "no such class"
    assert found["models/model.pt"] == "sizes differ"
    assert found["no file over 25 MB"] == "KeyError"


def test_a_rule_says_whether_it_is_met() -> None:
    assert str(Rule("LICENSE")) == "ok      LICENSE"
    assert str(Rule("LICENSE", "it is empty")) == "failed  LICENSE: it is empty"
