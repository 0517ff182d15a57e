"""A key that nothing uses is refused by the bundle itself, however it was given; MONAI alone would take it in silence."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from monai.bundle import ConfigParser, ConfigWorkflow, run

from medseg_monai.bundle.config_keys import refuse_unknown

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
RUNNABLE = [("train",), ("evaluate",), ("inference",), ("explain",), ("train", "evaluate")]


def started(bundle: Path, names: tuple[str, ...], **overrides: Any) -> ConfigWorkflow:
    """A config whose `initialize` has been run, as MONAI does before anything else."""
    files = [str(bundle / "configs" / f"{name}.json") for name in names]
    workflow = ConfigWorkflow(files, logging_file=False, **{"bundle_root": str(bundle), **overrides})
    workflow.initialize()
    return workflow


@pytest.mark.parametrize("names", RUNNABLE, ids="+".join)
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_each_config_starts(bundle: Path, names: tuple[str, ...]) -> None:
    started(bundle, names)


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        (("train",), {"max_epoch": 1}, r"unknown config key 'max_epoch'.* .did you mean 'max_epochs'"),
        (("train",), {"optimiser": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()"}}, "'optimizer'"),
        (("train",), {"train#dataloder": {"num_workers": 2}}, "'dataloder' in 'train'.* .did you mean 'dataloader'"),
        (("train",), {"validate#evaluater": 2}, "'evaluater' in 'validate'"),
        (("train",), {"weights": "isic2017"}, "'weights'"),
        (("evaluate",), {"splitt": "validation"}, "did you mean 'split'"),
        (("evaluate",), {"splt": "test"}, "did you mean 'split'"),
        (("inference",), {"split": "test"}, "unknown config key 'split'"),
        (("inference",), {"format": ["png"]}, "did you mean 'formats'"),
        (("explain",), {"method": "gradcam"}, "did you mean 'methods'"),
        (("train", "evaluate"), {"wieghts": "x"}, "did you mean 'weights'"),
        (("train", "multi_gpu_train"), {"max_epoch": 1}, "did you mean 'max_epochs'"),
    ],
)
def test_a_mistyped_key_names_the_right_one(names: tuple[str, ...], overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeError) as failure:
        started(REPOSITORY / "bundles" / "unetpp", names, **overrides)
    assert isinstance(failure.value.__cause__, ValueError)
    assert failure.match("check_keys")
    with pytest.raises(ValueError, match=message):
        raise failure.value.__cause__


@pytest.mark.parametrize(
    "overrides",
    [
        {"run_name": "site-1"},  # MONAI's federated client
        {"train#trainer#max_epochs": 1},  # which leaves max_epochs without use
        {"optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()"}},  # and lr, weight_decay
        {"loss": {"_target_": "DiceLoss", "sigmoid": True}},
        {"train#dataset#data": [], "validate#dataset#data": [], "spec": None},  # MONAI Label
        {"_note": "what this run is for"},
        {"momentum": 0.9, "optimizer#momentum": "@momentum"},
        {"print_it": ["$print(@spec)"], "validate#metrics#hausdorff": {"_target_": "SurfaceDistanceMetric"}},
    ],
    ids=lambda overrides: "+".join(overrides),
)
def test_what_has_an_effect_is_welcome(overrides: dict[str, Any]) -> None:
    started(REPOSITORY / "bundles" / "unetpp", ("train",), **overrides)


def test_settings_of_monais_tracking_are_known(tmp_path: Path) -> None:
    config = REPOSITORY / "bundles" / "unetpp" / "configs" / "train.json"
    given = {"output_dir": str(tmp_path), "run_name": "a", "experiment_name": "b", "save_execute_config": False}
    ConfigWorkflow(str(config), logging_file=False, tracking="mlflow", **given).initialize()


def test_an_overlay_file_is_checked_as_overrides_are(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.json"
    overlay.write_text(json.dumps({"max_epoch": 3}))
    files = [str(REPOSITORY / "bundles" / "unetpp" / "configs" / "train.json"), str(overlay)]
    with pytest.raises(RuntimeError, match="check_keys"):
        ConfigWorkflow(files, logging_file=False).initialize()


def test_arguments_from_a_file_are_checked(tmp_path: Path) -> None:
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"output_dir": str(tmp_path / "out"), "max_epoch": 3}))
    with pytest.raises(RuntimeError, match="check_keys"):
        run("training", config_file=str(BUNDLES[0] / "configs" / "train.json"), args_file=str(arguments))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_from_the_command_line_nothing_is_trained(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "monai.bundle", "run", "training", "--config_file")
    options = ("bundles/unetpp/configs/train.json", "--output_dir", str(tmp_path), "--max_epoch", "1")
    ended = subprocess.run(
        [*command, *options], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "did you mean 'max_epochs'?" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_use_is_followed_into_sections() -> None:
    config = ConfigParser({"a": {"b": 1, "c": 2}, "run": ["$print(@a#b)"]}).config
    with pytest.raises(ValueError, match="unknown config key 'c' in 'a': nothing uses it .known: b."):
        refuse_unknown(config, known=set())
    refuse_unknown(config, known={"a::c"})
    refuse_unknown({**config, "initialize": ["$print(@a)"]}, known=set())  # as a whole, so all of it is used
