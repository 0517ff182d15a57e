"""A function of the Python face takes what its command takes, by the same names and with the same defaults; what differs is listed."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import medseg_monai as mm
from medseg_monai.cli import (
    audit,
    correct,
    distill,
    drift,
    evaluate,
    explain,
    export,
    plan,
    predict,
    prepare,
    rerun,
    review,
    train,
    tune,
)  # fmt: skip

ONLY_THE_COMMANDS = {
    "explain": {"list_layers": "a function of its own, medseg_monai.list_layers"},
}
ONLY_THE_FUNCTIONS = {
    "prepare": {"verbose": "the command says all it has to say", "source": "the name of the command"},
}
OTHER_DEFAULTS = {
    "plan": {"out": "a plan that is returned need not be written"},
    "compare": {"out": "a comparison that is returned need not be written"},
    "prepare amos": {"modality": "ct, as the function fills in"},
}
REQUIRED_BY_THE_COMMAND = {
    "prepare": {"raw": "a folder alone is enough for the function, and the demo has none"},
}
COMMANDS: dict[str, Callable[..., Any]] = {
    "train": train.train,
    "distill": distill.distill,
    "evaluate": evaluate.evaluate,
    "compare": evaluate.compare,
    "explain": explain.explain,
    "plan": plan.plan,
    "predict": predict.predict,
    "tune": tune.tune,
    "review": review.review,
    "drift": drift.drift,
    "audit": audit.audit,
    "correct": correct.correct,
    "export": export.export,
    "rerun": rerun.rerun,
    **{f"prepare {one.name}": one.callback for one in prepare.prepare_app.registered_commands},
}


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_function_and_command_take_the_same(name: str) -> None:
    function = name.split()[0]
    theirs, ours = parameters(COMMANDS[name]), parameters(getattr(mm, function))
    assert set(theirs) - set(ours) == set(ONLY_THE_COMMANDS.get(function, {}))
    if function != "prepare":  # whose function takes what all the commands together take
        assert set(ours) - set(theirs) == set(ONLY_THE_FUNCTIONS.get(function, {}))
    both = set(theirs) & set(ours) - set(REQUIRED_BY_THE_COMMAND.get(function, {}))
    filled_in = {"out": Path("data") / name.removeprefix("prepare ")}  # by the function, if nothing is given
    other = {key for key in both if theirs[key] != ours[key] and theirs[key] != filled_in.get(key, ...)}
    assert other == set(OTHER_DEFAULTS.get(name, {}))


WITHOUT_A_FUNCTION = {"app", "check", "doctor", "federate", "infer", "init", "label", "list", "package"}
"""Commands that are about this machine and its files, and a second name."""


def test_every_other_command_has_a_function() -> None:
    import typer

    from medseg_monai.cli.app import app

    command = typer.main.get_command(app)
    names = set(command.commands)
    assert names - WITHOUT_A_FUNCTION == {name.split()[0] for name in COMMANDS}


def test_preparing_takes_what_one_of_its_commands_takes() -> None:
    taken = {key for name, command in COMMANDS.items() if name.startswith("prepare") for key in parameters(command)}
    assert set(parameters(mm.prepare)) - taken == set(ONLY_THE_FUNCTIONS["prepare"])


def test_each_source_takes_the_options_of_its_command() -> None:
    from medseg_monai.api.prepare import SOURCES, TAKES

    assert {name.split()[1] for name in COMMANDS if name.startswith("prepare")} == set(SOURCES)
    for source in SOURCES:
        command = set(parameters(COMMANDS[f"prepare {source}"])) - {"raw", "out", "seed"}
        assert set(TAKES[source]) == command, source
