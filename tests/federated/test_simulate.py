"""What a simulation refuses before it starts; `tests/journeys/test_federated_simulator.py` runs one."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Outcome

from medseg_monai.dataset import read_dataset, write_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.simulate import _ERROR, _OURS, simulate


def test_without_nvflare_it_says_what_to_install(
    demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'medseg-monai\[federated\]'"):
        simulate(tmp_path, Agreement("unet", read_dataset(demo_data).spec), {"north": demo_data})


def test_a_site_that_is_not_as_agreed_is_named_before_anything_runs(
    demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    dataset = read_dataset(demo_data)
    write_dataset(replace(dataset, spec=replace(dataset.spec, classes=("naevus",))), tmp_path / "south")
    sites = {"north": demo_data, "south": tmp_path / "south"}
    with pytest.raises(ValueError, match="south cannot take part: classes of .* is naevus, but lesion is agreed"):
        simulate(tmp_path / "out", Agreement("unet", dataset.spec), sites)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("run", ("--set", "lrr=1"), "unknown config key 'lrr'"),
        ("run", ("--from", "nowhere"), "no weights 'nowhere'"),
        ("run", ("--set", "device=cuda"), "device is for each site to decide"),
        ("job", ("--set", "lrr=1"), "unknown config key 'lrr'"),
    ],
)
def test_what_cannot_be_leaves_no_folder(
    command: str,
    given: tuple[str, ...],
    said: str,
    demo_data: Path,
    tmp_path: Path,
    medseg: Callable[..., Outcome],
) -> None:
    spec = ("--spec", demo_data / "dataset.json") if command == "job" else ()
    out = tmp_path / "out"
    ended = medseg("federate", command, "unet", "--site", f"north={demo_data}", *spec, *given, "--out", out)
    assert ended.code == 1
    assert said in ended.err
    assert not out.exists()


def test_what_the_server_says_of_rounds_is_found_among_all_that_is_said() -> None:
    said = [
        "2026-01-02 03:04:05,678 - INFO - Round 2: north, 8 cases, mean Dice before it 0.2452",
        "2026-01-02 03:04:05,678 - WARNING - Round 2 goes on without south: x.jpg is damaged",
        "2026-01-02 03:04:05,678 - INFO - Round end: north, mean Dice 0.3",
        "2026-01-02 03:04:05,678 - INFO - invoking task executor TrainAtSite",
        "2026-01-02 03:04:05,678 - INFO - Rounds of something else",
    ]
    found = [match[2] for line in said if (match := _OURS.search(line))]
    assert found == [line.split(" - ", 2)[2] for line in said[:3]]
    assert _ERROR.search("2026-01-02 - ERROR - no disk")[1] == "no disk"  # type: ignore[index]
