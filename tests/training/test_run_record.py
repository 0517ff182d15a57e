"""What run.json says of a run, and what of it must not change when the run is continued."""

from pathlib import Path
from typing import Any

import pytest

from medseg_monai.training.recorded import changes_of_machine
from medseg_monai.training.run_record import own_settings, refuse_other_run

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


def test_experiment_tracking_is_no_setting() -> None:
    """What MONAI adds for MLflow names a file by the time of the run, and changes no weights."""
    handlers = [{"_target_": "x", "patience": 3}]
    tracked = {
        **CONFIG,
        "tracking_uri": "here",
        "save_execute_config": "@output_dir + '/config_20240501_224500.json'",
        "train": {**CONFIG["train"], "handlers": [*handlers, {"_target_": "MLFlowHandler", "tag_name": "train_loss"}]},
    }
    assert own_settings({**tracked, "_note": "mine"}) == CONFIG
