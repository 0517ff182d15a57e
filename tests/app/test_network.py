"""Which weights can be chosen, and whose turn it is."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY

from medseg_monai.app.network import Choice, choices, in_turn


def test_shipped_weights_come_first_and_the_users_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # not all of the bundle: whoever works here may have trained it
    models = REPOSITORY / "bundles" / "unet" / "models"
    shutil.copytree(REPOSITORY / "bundles" / "unet" / "configs", tmp_path / "bundles" / "unet" / "configs")
    shipped = tmp_path / "bundles" / "unet" / "models"
    for place in (shipped, shipped / "mine"):
        place.mkdir()
        for name in ("model.pt", "spec.json"):
            shutil.copy(models / name, place / name)
    found = [choice for choice in choices() if choice.bundle == "unet"]
    assert found == [Choice("unet"), Choice("unet", "mine")]
    assert [choice.label for choice in found] == ["unet (shipped weights)", "unet (mine)"]
    assert found[1].file.resolve() == (shipped / "mine" / "model.pt").resolve()
    assert {"unetpp", "unet3d"} <= {choice.bundle for choice in choices()}


def test_one_at_a_time_in_the_order_they_came() -> None:
    running, log = [], []

    def work(name: str) -> None:
        running.append(name)
        assert len(running) == 1
        time.sleep(0.01)
        log.append(running.pop())

    async def all_at_once() -> None:
        await asyncio.gather(*(in_turn(lambda name=name: work(name)) for name in "abcd"))

    asyncio.run(all_at_once())
    assert log == list("abcd")
