"""`medseg plan` and `medseg train --plan`, as a user calls them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome

from medseg_monai.bundle.trained import Trained
from medseg_monai.planning.plan import read_plan

Medseg = Callable[..., Outcome]


def test_a_plan_is_written_changed_and_followed(medseg: Medseg, demo_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    small = ("--set", "architecture#features=[4, 8]", "--set", "size=[48, 32]")
    # minutes enough for two epochs on a machine that does something else as well
    planned = medseg("plan", demo_data, "--minutes", "5", "--out", file, "--device", "cpu", *small)
    assert planned.code == 0, planned.err
    assert f"plan -> {file}" in planned.out
    plan = read_plan(file)
    assert (plan.bundle, plan.dataset_dir, plan.size) == ("unet", str(demo_data), (48, 32))
    assert "# as you said\nsize: [48, 32]" in file.read_text()
    assert re.search(r"lesion: in 100% of the cases, \d", file.read_text())
    file.write_text(file.read_text().replace(f"max_epochs: {plan.max_epochs}\n", "max_epochs: 2\n"))
    trained = medseg(
        "train", "--plan", file, "--out", tmp_path / "out", "--lr", "0.01", "--set", "architecture#features=[4, 8]"
    )
    assert trained.code == 0, trained.err
    assert "unet trained on demo" in trained.out
    facts = Trained.read(tmp_path / "out").training
    assert (facts["epochs"], facts["lr"], facts["batch_size"]) == (2, 0.01, plan.batch_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "DATA", "--minutes", "1", "--hours", "1"), "give --minutes or --hours, not both"),
        (("plan", "DATA", "--hours", "0"), "the time must be above 0, got 0 minutes"),
        (("plan", "DATA", "--quick", "--best"), "give --quick or --best, not both"),
        (("plan", "nowhere"), "no such file or folder: nowhere"),
        (("plan", "DATA", "unett"), "no bundle 'unett' (did you mean 'unet'?)"),
        (("train", "--plan", "nowhere.yaml"), "no such file or folder: nowhere.yaml"),
        (
            ("train", "unetpp", "--plan", "PLAN"),
            "is a plan for unet, not for unetpp: leave the bundle out, or plan anew",
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], message: str, medseg: Medseg, demo_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "plan.yaml").write_text("bundle: unet\n")
    places = {"DATA": demo_data, "PLAN": tmp_path / "plan.yaml"}
    outcome = medseg(*[places.get(argument, argument) for argument in arguments])
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_volumes_are_trained_by_their_own_bundle_if_none_is_named(demo_data: Path, demo_volumes: Path) -> None:
    from medseg_monai.api.train import bundle_and_data

    assert bundle_and_data(None, demo_volumes)[0].name == "unet3d"
    assert bundle_and_data(None, demo_data)[0].name == "unet"
    assert bundle_and_data(None, None)[0].name == "unet"
    assert bundle_and_data("pspnet", demo_volumes)[0].name == "pspnet"


def test_the_demo_needs_no_shell(medseg: Medseg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its steps are arguments of this Python; each is a command that exists, with options that it has."""
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    import demo

    called: list[list[str]] = []
    monkeypatch.setattr(demo.subprocess, "run", lambda command, check: called.append(command))
    demo.main(tmp_path)
    assert [command[3] for command in called] == ["predict", "explain", "prepare", "train", "evaluate", "predict"]
    for command in called:
        assert command[:3] == [sys.executable, "-m", "medseg_monai"]
        helped = medseg(*command[3:4], *(["demo"] if command[3] == "prepare" else []), "--help").out
        assert all(option in helped for option in command if option.startswith("--"))


@pytest.mark.slow
def test_the_exact_command_is_done_in_minutes_on_two_cores(tmp_path: Path) -> None:
    """`python -m monai.bundle run training --config_file …` with no data set named, on a processor without bfloat16."""
    config = str(REPOSITORY / "bundles" / "unetpp" / "configs" / "train.json")
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", config]
    avx2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    environment = {**os.environ, **avx2, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    assert "Planned for this machine" in ended.stderr
    facts = Trained.read(tmp_path / "models" / "unetpp" / "demo").training
    assert facts["validation"]["mean_dice"] >= 0.85
    assert facts["train_seconds"] < 240
