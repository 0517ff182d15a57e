"""Commands that do the same as the page: the shell takes them apart as they were meant."""

from __future__ import annotations

import shlex

import typer
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.app.commands import explain_command, predict_command
from medseg_monai.app.network import Choice
from medseg_monai.cli.app import app

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(NAMES, NAMES)
def test_any_file_name_is_one_argument(name: str, folder: str) -> None:
    text = predict_command(Choice("unet", "my data"), [name], folder, formats=["png"])
    assert shlex.split(text) == [
        "medseg", "predict", "unet", name, "--weights", "my data", "--format", "png", "--out", folder,
    ]  # fmt: skip


def test_the_program_knows_their_options() -> None:
    group = typer.main.get_command(app)
    predicting = predict_command(Choice("unet", "x"), ["a"], "b", formats=["png"])
    for text in (predicting, explain_command(Choice("unet", "x"), "a", method="cam")):
        _, command, *arguments = shlex.split(text)
        parameters = group.commands[command].params  # type: ignore[attr-defined]
        known = {option for parameter in parameters for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known
