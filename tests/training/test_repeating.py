"""`medseg rerun`: a recorded training, repeated and compared; what is gone or has changed is said in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Outcome

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.trained import Trained
from medseg_monai.planning.plan import Plan
from medseg_monai.training import repeating
from medseg_monai.training.recorded import read_record

Medseg = Callable[..., Outcome]


@pytest.fixture
def recorded(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished training's folder, which a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "first"))


def _change(folder: Path, **changes: Any) -> None:
    content = read_record(folder)
    assert content is not None
    parts = {key: {**content[key], **value} if isinstance(value, dict) else value for key, value in changes.items()}
    (folder / "run.json").write_text(json.dumps({**content, **parts}))


def test_it_ends_with_the_same_weights(medseg: Medseg, recorded: Path) -> None:
    """With the threads of the first one, although this process has another number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        outcome = medseg("rerun", recorded, "--workers", "0")
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert outcome.code == 0, outcome.err
    assert "tensors are equal to the bit" in outcome.out
    assert "changed: nothing" in outcome.out
    compared = json.loads((recorded.with_name("first_rerun") / "rerun.json").read_text())
    assert (compared["equal"], compared["promised"], compared["epochs"]) == (True, True, 2)
    again = medseg("rerun", recorded, "--resume")  # it has ended: only compared
    assert (again.code, "nothing to continue" in again.err) == (0, True)


def test_a_planned_training_is_repeated_by_its_plan(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    """Also where it was shortened, and where the network's own arguments were given beside the plan."""
    planned = Plan(
        "unet", size=(48, 32), batch_size=3, max_epochs=3, lr=0.01, most_minutes=60.0, changed_epochs=((1, 2),)
    )
    planned.write(tmp_path / "plan.yaml")
    named = ("--plan", tmp_path / "plan.yaml", "--out", tmp_path / "first")
    first = medseg("train", "-d", demo_data, *named, "--set", "architecture#features=[4, 8]")
    assert first.code == 0, first.err
    (tmp_path / "plan.yaml").unlink()
    outcome = medseg("rerun", tmp_path / "first")
    assert outcome.code == 0, outcome.err
    assert "tensors are equal to the bit" in outcome.out
    facts = [Trained.read(tmp_path / name).training for name in ("first", "first_rerun")]
    assert [(fact["epochs"], fact["batch_size"], fact["lr"]) for fact in facts] == [(2, 3, 0.01)] * 2
    first_run, again = (read_record(tmp_path / name) for name in ("first", "first_rerun"))
    assert first_run is not None
    assert again is not None
    assert again["config"].keys() == first_run["config"].keys()


def test_other_settings_are_said_and_only_trained_if_wanted(medseg: Medseg, recorded: Path) -> None:
    _change(recorded, data={"sha256": "0" * 64, "training": 99}, versions={"torch": "1.0"})
    refused = medseg("rerun", recorded)
    assert refused.code == 1
    assert refused.err.splitlines()[-1].startswith(
        f"medseg: error: {recorded} cannot be repeated: the data have changed (99 training"
    )
    _change(recorded, config={"seed": 5})
    outcome = medseg("rerun", recorded, "--anyway", "--set", "max_epochs=1")
    assert outcome.code == 1, outcome.err
    assert "tensors differ" in outcome.out
    assert "max_epochs was 2, is 1" in outcome.out
    assert "torch 1.0, now" in outcome.out
    assert "promised: nothing to the bit" in outcome.out


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        (
            {"config": {"dataset_dir": "nowhere"}},
            (),
            "the data set nowhere is not there: say where it is now with --dataset-dir",
        ),
        ({"finished": False}, (), "has not ended: finish it with `medseg train --resume` first"),
        ({"config": {"bundle_root": "/gone", "bundle": "gone"}}, (), "no bundle 'gone'"),
        (
            {"config": {"loss": {"_target_": "os.system"}}},
            (),
            "settings that are expressions or that this version does not have: loss#_target_",
        ),
        ({"config": {"lr": "$1/500", "knob": 3}}, (), "does not have: lr, knob. Restore them"),
        ({"processes": 2}, (), "2 processes trained together, now 1"),
        ({"config": {"start_from": "/gone/model.pt"}}, (), "no weights '/gone/model.pt'"),
        ({}, ("--out", "FOLDER"), "is the training to repeat: name another folder with --out"),
    ],
)
def test_what_is_gone_or_other_is_one_line(
    changes: dict[str, Any], arguments: tuple[str, ...], message: str, medseg: Medseg, recorded: Path
) -> None:
    _change(recorded, **changes)
    outcome = medseg("rerun", recorded, *[recorded if each == "FOLDER" else each for each in arguments])
    assert outcome.code == 1
    assert message in outcome.err.splitlines()[-1]
    assert not recorded.with_name("first_rerun").exists()


def test_a_bundle_of_another_place_is_run_only_if_the_user_names_it(
    medseg: Medseg, recorded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = recorded.parent / "unetpp"
    shutil.copytree(find_bundle("unetpp") / "configs", stranger / "configs")
    ran, train = recorded.parent / "ran", stranger / "configs" / "train.json"
    content = json.loads(train.read_text())
    content["initialize"] = [*content["initialize"], f"$__import__('pathlib').Path({str(ran)!r}).touch()"]
    train.write_text(json.dumps(content))
    _change(recorded, config={"bundle_root": str(stranger)})
    outcome = medseg("rerun", recorded)
    assert outcome.code == 0, outcome.err
    assert f"trained with the bundle in {stranger}, repeated with the one in" in caplog.text
    assert not ran.exists()
    named = medseg("rerun", recorded, "--bundle", stranger, "--anyway", "--out", recorded.parent / "again")
    assert named.code == 0, named.err
    assert "train.json has changed since: what was recorded decides" in named.err
    assert ran.exists()


def test_a_folder_without_a_record_is_one_line(medseg: Medseg, tmp_path: Path) -> None:
    outcome = medseg("rerun", tmp_path)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "nothing says how it was trained" in outcome.err


@pytest.mark.parametrize(
    ("threads", "found"), [(4, 4), (1, 1), (0, None), (-2, None), (True, None), ("4", None), (2.5, None), (None, None)]
)
def test_threads_are_a_number_of_threads_or_unknown(threads: object, found: int | None) -> None:
    assert repeating.recorded_threads({"machine": {"threads": threads}}) == found
    assert repeating.recorded_threads({}) is None


def test_files_are_found_from_where_the_training_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "then" / "data").mkdir(parents=True)
    (tmp_path / "now").mkdir()
    monkeypatch.chdir(tmp_path / "now")
    recorded = {"directory": str(tmp_path / "then")}
    assert repeating._as_it_was_named(recorded, "data") == str(tmp_path / "then" / "data")
    assert repeating._as_it_was_named(recorded, "unet") == "unet"  # a name, not a path
    (tmp_path / "now" / "here").mkdir()
    assert Path(repeating._as_it_was_named({}, "here")).resolve() == tmp_path / "now" / "here"


def test_a_repetition_that_was_stopped_is_not_compared(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SimpleNamespace(initialize=list, run=list, finalize=list)
    again = repeating.Repetition(recorded, tmp_path / "again")
    monkeypatch.setattr(repeating.Repetition, "_workflow", lambda self, recorded: nothing)
    monkeypatch.setattr(repeating, "_describe", lambda workflow: read_record(recorded))
    with pytest.raises(ValueError, match="stopped before its end; kept in .*again: the same command with --resume"):
        again.run()
