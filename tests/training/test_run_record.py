"""What run.json says, which settings count as other ones, and which of them are code."""

from pathlib import Path
from typing import Any

import pytest

from medseg_monai.bundle.literals import literal
from medseg_monai.training.run_record import (
    changes_of_machine,
    differences,
    read_record,
    refuse_other_run,
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
RUN: dict[str, Any] = {
    "finished": False,
    "processes": 1,
    "data": {"sha256": "ab", "training": 8, "validation": 2},
    "machine": {"threads": 1, "cpu": "old"},
    "versions": {"torch": "2.8"},
    "config": CONFIG,
}


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


def test_other_settings_are_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"^a was begun with other settings \(lr was 0.002, and is 0.1\): give the same"
    ):
        refuse_other_run(Path("a"), RUN, {**RUN, "config": {**CONFIG, "lr": 0.1}})


def test_other_data_and_processes_are_refused() -> None:
    other = {"sha256": "cd", "training": 8, "validation": 2}
    with pytest.raises(ValueError, match="other data"):
        refuse_other_run(Path("a"), RUN, {**RUN, "data": other})
    with pytest.raises(ValueError, match="begun by 1 processes, not 2"):
        refuse_other_run(Path("a"), RUN, {**RUN, "processes": 2})


def test_another_machine_is_told(caplog: pytest.LogCaptureFixture) -> None:
    other = {**RUN, "machine": {"threads": 2, "cpu": "new"}, "versions": {"torch": "2.9"}}
    assert changes_of_machine(RUN, other) == ["threads 1, now 2", "torch 2.8, now 2.9"]
    refuse_other_run(Path("a"), RUN, other)
    assert "last digits" in caplog.text


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
