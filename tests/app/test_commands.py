"""Commands that do the same as the page: the shell takes them apart as they were meant, and the program knows their options."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.app import commands
from medseg_monai.app.commands import Command, predict, shown
from medseg_monai.app.network import Choice
from medseg_monai.cli.app import app

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)
UNET = Choice("unet")
ALL = {
    "predict": predict(UNET, ["a"], "b", formats=["png"]),
    "explain": commands.explain(UNET, "a", method="cam"),
    "prepare": commands.prepare_corrections(Path("c"), ["lesion"]),
    "plan": commands.plan(UNET, Path("c"), minutes=1),
    "train": commands.train(UNET, Path("c"), out=Path("o")),
    "photographs": commands.prepare_truths(
        Path("t"), "i", "m", kind="folder", splits=Path("s"), classes=["a", "b"], out=Path("d")
    ),
    "volumes": commands.prepare_truths(
        Path("t"), "i", "m", kind="nifti", splits=Path("s"), classes=["a"], out=Path("d")
    ),
    "evaluate": commands.evaluate(UNET, Path("d"), Path("s")),
}


@given(NAMES, NAMES)
def test_any_file_name_is_one_argument(name: str, folder: str) -> None:
    text = shown(predict(Choice("unet", "my data"), [name], folder, formats=["png"]))
    assert shlex.split(text) == [
        "medseg", "predict", "unet", f"./{name}" if name.startswith("-") else name, "--weights", "my data",
        "--format", "png", "--out", folder,
    ]  # fmt: skip


@pytest.mark.parametrize("command", ALL.values(), ids=ALL)
def test_the_program_knows_their_options(command: Command) -> None:
    context, found = None, typer.main.get_command(app)
    rest = list(command)
    while hasattr(found, "commands"):
        found = found.commands[rest.pop(0)]
    context = found.make_context(found.name, rest)  # refuses what it does not know
    assert context.args == []
