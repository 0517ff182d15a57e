"""Training on corrections: a plan, new weights beside the old ones, turns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.app import trainings
from medseg_monai.app.commands import Command
from medseg_monai.app.network import Choice, choices
from medseg_monai.app.trainings import Trainings

PHOTO = REPOSITORY / "examples" / "ISIC_0000253.jpg"
UNET = Choice("unet")


@pytest.fixture
def corrections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs with a square each, in a folder from which a program would be started."""
    monkeypatch.chdir(tmp_path)
    folder = Path("corrections")
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(3):
        picture = np.array(Image.open(PHOTO).resize((96, 80)))
        mask = np.zeros((80, 96), np.uint8)
        mask[20:50, 30:60] = 255
        picture[mask > 0] = (picture[mask > 0] * 0.5).astype(np.uint8)
        picture[number] = 255  # no two are equal
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainings]:
    """Plans nothing: two epochs of small pictures."""
    plan = trainings.commands.plan
    quick = ["--set", "max_epochs=2", "--set", "size=[64, 64]", "--set", "batch_size=1"]
    monkeypatch.setattr(trainings.commands, "plan", lambda *args, **kwargs: [*plan(*args, **kwargs), *quick])
    made = Trainings()
    yield made
    made.close()


def finish(server: Trainings, folder: Path) -> trainings.CorrectionsTraining:
    one = server.plan(folder, UNET, ["lesion"], minutes=5)
    assert one.planning is not None
    assert one.planning.wait(300)
    assert one.plan is not None, list(one.planning.lines)
    server.train(one)
    assert one.training is not None
    assert one.training.wait(300)
    return one


@pytest.mark.slow
def test_new_weights_stand_beside_the_old_ones(server: Trainings, corrections: Path) -> None:
    first = finish(server, corrections)
    assert first.status() == "new weights: unet (corrections)", list((first.training or first.planning).lines)  # type: ignore[union-attr]
    assert first.finished
    assert first.made in choices()
    assert [epoch["epoch"] for epoch in first.history if "loss" in epoch] == [1, 2]
    before = (first.out / "model.pt").read_bytes()
    second = finish(server, corrections)
    assert second.out != first.out
    assert (first.out / "model.pt").read_bytes() == before
    assert {first.made, second.made, UNET} <= set(choices())


def test_the_commands_that_run_are_those_that_are_shown(corrections: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Command] = []

    class Told:
        state, ended, lines = "done", True, ()

        def __init__(self, commands: list[Command], **_: object) -> None:
            ran.extend(commands)

        def start(self) -> Told:
            return self

    monkeypatch.setattr(trainings, "Job", Told)
    monkeypatch.setattr(trainings, "read_plan", lambda _: trainings.Plan())
    server = Trainings()
    one = server.plan(corrections, UNET, ["lesion"], minutes=5)
    server.train(one)
    assert ran == one.commands
    assert one.out == Path("models/unet/corrections")
    learnt = json.loads(UNET.file.with_name("spec.json").read_text())["dataset"]["size"]
    assert ran[1][ran[1].index("--set") + 1] == f"size={learnt}", "what the shipped weights have learnt to see"
    assert server.plan(corrections, UNET, ["lesion"], minutes=5).out == Path("models/unet/corrections_2")
    with pytest.raises(ValueError, match="already"):
        server.train(one)


def test_what_cannot_be_trained_on_is_said(corrections: Path) -> None:
    server = Trainings()
    for minutes in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match="minutes"):
            server.plan(corrections, UNET, ["lesion"], minutes=minutes)
    shutil.rmtree(corrections / "masks")
    with pytest.raises(ValueError, match="at least 2 corrected"):
        server.plan(corrections, UNET, ["lesion"], minutes=1)
    assert list(server) == []


def test_a_failed_plan_says_why_and_the_server_can_end(corrections: Path) -> None:
    for mask in (corrections / "masks").glob("*.png"):
        mask.write_bytes(b"no picture")
    server = Trainings()
    one = server.plan(corrections, UNET, ["lesion"], minutes=1)
    assert one.planning is not None
    assert one.planning.wait(300)
    assert one.status().startswith("planning failed: ")
    assert "no image with a usable mask" in one.status()
    with pytest.raises(ValueError, match="plan first"):
        server.train(one)
    server.close()
