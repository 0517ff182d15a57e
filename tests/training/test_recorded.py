"""What is read back from run.json: which settings count as other ones, and which of them are code."""

import json
from pathlib import Path
from typing import Any

import pytest

from medseg_monai.bundle.literals import literal
from medseg_monai.training import recorded
from medseg_monai.training.recorded import (
    differences,
    finished_run,
    read_record,
    setting,
    settings_to_repeat,
    write_record,
)

CONFIG: dict[str, Any] = {
    "lr": 0.002,
    "num_workers": 0,
    "output_dir": "a",
    "size": [64, 64],
    "train": {"handlers": [{"_target_": "x", "patience": 3}], "optimizer": {"lr": "@lr"}},
}
RUN: dict[str, Any] = {"finished": True, "config": CONFIG}


def test_what_changes_no_weights_may_differ() -> None:
    assert differences(CONFIG, {**CONFIG, "num_workers": 8, "output_dir": "b", "resume": True}) == []


def test_a_value_is_the_same_however_it_was_given() -> None:
    assert differences(CONFIG, {**CONFIG, "size": literal((64, 64))}) == []
    assert differences({"name": literal("$x")}, {"name": "$x"}) == []  # told apart by no weights


def test_settings_are_found_at_any_depth() -> None:
    changed = {
        **CONFIG,
        "train": {"handlers": [{"_target_": "x", "patience": 5}], "optimizer": {"lr": "@lr", "eps": 1}},
    }
    assert differences(CONFIG, changed) == [
        ("train#handlers#0#patience", 3, 5),
        ("train#optimizer#eps", "nothing", 1),
    ]


def test_expressions_are_told_apart_from_data() -> None:
    recorded = {"config": {**CONFIG, "lr": "$__import__('os').getpid()", "size": literal([32, 32]), "seed": 3}}
    assert settings_to_repeat(recorded, CONFIG) == (
        {"size": [32, 32], "seed": 3},
        {"lr": "$__import__('os').getpid()"},
    )


def test_it_is_read_back_and_what_is_torn_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    write_record(tmp_path, RUN)
    assert read_record(tmp_path) == RUN
    (tmp_path / "run.json").write_text('{"fin')
    assert read_record(tmp_path) is None


def test_a_setting_with_parts_is_repeated_as_a_whole() -> None:
    """The bundle has an expression where the run was given numbers by name: none of them has a place of its own."""
    run = {"config": {"augmentation": {"rotate_degrees": 10, "scale": 0.2}}}
    values, expressions = settings_to_repeat(run, {"augmentation": "$@plan.augmentation"})
    assert (values, expressions) == ({"augmentation": {"rotate_degrees": 10, "scale": 0.2}}, {})
    assert differences(run["config"], {"augmentation": literal({"scale": 0.2, "rotate_degrees": 10})}) == []


@pytest.mark.parametrize(
    "value",
    [{"_target_": "os.system"}, [1, "@x"], {"a": {"b": "$exit()"}}, "%other.json", {"x": [{"_mode_": "debug"}]}],
)
def test_what_runs_something_is_code_however_deep(value: Any) -> None:
    assert settings_to_repeat({"config": {"loss": value}}, {"loss": 1}) == ({}, {"loss": value})


def test_a_text_that_looks_like_code_is_a_value() -> None:
    run = {"config": {"bundle": literal("$x"), "dataset_dir": "$x", "seed": 3}}
    assert settings_to_repeat(run, {"bundle": "y", "seed": 3}) == ({"bundle": "$x"}, {})
    assert (setting(run, "bundle"), setting(run, "dataset_dir"), setting(run, "lr")) == (
        "$x",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**RUN, "finished": False}, "has not ended: finish it with `medseg train --resume` first"),
        ({"finished": True}, "is damaged: it does not describe a training"),
        ([], "is damaged"),
    ],
)
def test_only_a_finished_run_can_be_repeated(content: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        finished_run(tmp_path)
    write_record(tmp_path, RUN)
    assert finished_run(tmp_path) == RUN


def test_a_folder_without_a_record_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run\.json in .*, so that nothing says how it was trained: name"):
        finished_run(tmp_path)
    (tmp_path / "spec.json").touch()
    with pytest.raises(FileNotFoundError, match="an earlier version kept none"):
        finished_run(tmp_path)
    (tmp_path / "fold_1").mkdir()
    write_record(tmp_path / "fold_1", RUN)
    with pytest.raises(FileNotFoundError, match="holds folds, each a training of its own: name one, .*fold_1 say"):
        finished_run(tmp_path)


def test_of_lists_the_entries_that_differ_are_named_if_they_can_be_told_apart() -> None:
    then = {"handlers": [{"_target_": "x", "patience": 3}, {"_target_": "y"}], "size": [64, 64]}
    longer = {**then, "handlers": [*then["handlers"], {"_target_": "z"}]}
    assert list(recorded._set_otherwise(then, {**then, "size": [64, 32]})) == [("size", [64, 64])]
    other = {**then, "handlers": [{"_target_": "x", "patience": 5}, {"_target_": "y"}]}
    assert list(recorded._set_otherwise(then, other)) == [("handlers#0#patience", 3)]
    assert list(recorded._set_otherwise(then, longer)) == [("handlers", then["handlers"])]
