"""Overrides: every key is checked before MONAI sees it, because MONAI ignores the ones it does not know."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from medseg_monai.bundle.workflow import check_device, check_overrides, overridden, run_bundle

CONFIG = {
    "lr": 0.1,
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": "@lr"},
    "train": {"handlers": [{"_target_": "StatsHandler"}], "dataset": {"data": []}},
}


@pytest.mark.parametrize(
    "key",
    [
        "lr",
        "optimizer#lr",
        "optimizer#betas",
        "train#handlers#0#_target_",
        "train::dataset::data",
        "train#handlers#0#name",
    ],
)
def test_known_keys_and_new_arguments_pass(key: str) -> None:
    check_overrides(CONFIG, {key: 1})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("learning_rate", "unknown config key 'learning_rate'"),
        ("trian#dataset", "unknown config key 'trian' .did you mean 'train'"),
        ("train#datset#data", "unknown config key 'datset' in 'train' .did you mean 'dataset'"),
        ("train#handlers#7", "unknown config key '7' in 'train#handlers'"),
        ("lr#x", "unknown config key 'x' in 'lr'"),
    ],
)
def test_unknown_keys_name_the_nearest(key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_overrides(CONFIG, {key: 1})


def test_an_empty_dictionary_is_there_to_be_filled() -> None:
    check_overrides({"network_options": {}}, {"network_options#inference_depth": 2})


@pytest.mark.parametrize(
    ("name", "message"), [("gpu", "unknown device 'gpu'"), ("cuda:99", "no device 'cuda:99' here")]
)
def test_a_device_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_device(name)


def test_the_cpu_is_there() -> None:
    check_device("cpu")


def test_values_are_literals_and_assignments_config() -> None:
    found = overridden(CONFIG, {"lr": "$1 + 1", "optimizer#name": "@lr"}, {"lr": "$2 + 2"})
    assert found["lr"] == "$2 + 2"
    parser = ConfigParser({**CONFIG, "optimizer": {"_target_": "builtins.dict"}})
    parser.update(found)
    assert parser.get_parsed_content("lr") == 4
    assert parser.get_parsed_content("optimizer") == {"name": "@lr"}


@pytest.mark.parametrize(("assigned", "refused"), [("cuda:99", True), ("$torch.device('cpu')", False), ("cpu", False)])
def test_an_assigned_device_is_looked_at_unless_it_is_an_expression(assigned: str, refused: bool) -> None:
    with pytest.raises(ValueError, match="no device 'cuda:99'") if refused else nullcontext():
        overridden({"device": ""}, {"device": "cuda:98"}, {"device": assigned})


def test_the_device_of_a_value_is_never_an_expression() -> None:
    with pytest.raises(ValueError, match=r"unknown device .[$]torch"):
        overridden({"device": ""}, {"device": "$torch.device('cpu')"})


@pytest.mark.parametrize(("expression", "outcome"), [("$1", nullcontext()), ("$1 / 0", pytest.raises(RuntimeError))])
def test_a_run_leaves_the_path_for_modules_as_it_was(expression: str, outcome, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text(json.dumps({"bundle_root": ".", "run": [expression]}))
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    before = sys.path[:]
    with outcome:
        run_bundle(tmp_path, "train", {})
    assert sys.path == before
