"""`scripts/gpu_check.py` on a CPU: all of it but the device."""

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", REPOSITORY / "scripts" / "gpu_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the names of types
    spec.loader.exec_module(module)
    return module


def check_of(script: ModuleType, out: Path, seconds: float) -> object:
    return script.Check(torch.device("cpu"), 2, 32, True, time.monotonic() + seconds, None, out)


def test_a_part_that_fails_is_reported_and_the_others_are_done(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(check: object) -> None:
        raise RuntimeError("no such | thing")

    def works(check: object) -> None:
        check.tables["Found"] = [["a", "b"], ["1", "2"]]  # type: ignore[attr-defined]

    def late(check: object) -> None:
        raise AssertionError("there is no time")

    monkeypatch.setattr(script, "PARTS", ((breaks, 1.0), (works, 1.0), (late, 500.0)))
    check = check_of(script, tmp_path, 100)
    script.run(check)
    page = script.report(check)
    assert "## Found\n\n| a | b |\n| --- | --- |\n| 1 | 2 |" in page
    assert "**breaks failed**: RuntimeError: no such | thing" in page
    assert "No time was left for: late." in page


def test_without_a_gpu_it_says_so(script: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert script.main(["--out", str(tmp_path / "none")]) == 2
    assert "no GPU is visible" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_data_set_that_is_not_there_is_one_line(
    script: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--device", "cpu", "--dataset", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    assert script.main(given) == 2
    assert capsys.readouterr().err == f"no dataset.json in {tmp_path / 'nowhere'}: medseg prepare writes it\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_each_precision_is_what_it_says(script: ModuleType, precision: str) -> None:
    with script.computed_in(precision, torch.device("cpu")):
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is (precision == "tf32")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with script.computed_in("bf16", torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@pytest.mark.slow
def test_every_part_runs(script: ModuleType, tmp_path: Path) -> None:
    assert script.main(["--device", "cpu", "--small", "--out", str(tmp_path), "--minutes", "8"]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["failures"], found["left_out"]) == ({}, [])
    assert found["tables"]["Two trainings with one seed"][1][1] == "0"  # tensors that differ
    assert len(found["tables"]) == 5
    assert all(len(row) == len(table[0]) for table in found["tables"].values() for row in table)
    assert (tmp_path / "gpu.md").read_text().count("## ") == 5
