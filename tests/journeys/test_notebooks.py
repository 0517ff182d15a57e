"""The notebooks: text that runs as a script, and in a real kernel without an error."""

import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

import medseg_monai as mm

FOLDER = REPOSITORY / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
QUICK = {"MINUTES": "0.1", "CASES": "20", "NOTEBOOKS": str(FOLDER)}


def run_as_script(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    for key, value in QUICK.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_there_are_three() -> None:
    assert NAMES == ["networks", "photographs", "volume"]


def test_photographs_as_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = run_as_script("photographs", monkeypatch, tmp_path)
    assert isinstance(left["found"], mm.Prediction)
    assert left["found"].mask.any()
    assert [Path(failure.path).name for failure in left["masks"].failures] == ["broken.jpg"]
    assert len(left["masks"]) == 3
    assert list(tmp_path.iterdir()) == [], "nothing is written where it runs"


@pytest.mark.slow
def test_networks_as_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = run_as_script("networks", monkeypatch, tmp_path)
    assert [evaluation.summary.n_cases for evaluation in left["evaluations"]] == 2 * [len(left["data"].test)]
    assert [evaluation.weights.parent.name for evaluation in left["evaluations"]] == 2 * ["models"], "the shipped ones"
    assert [len(predictions) for predictions in left["found"].values()] == [5, 5]
    assert left["best"] in ("unet", "unetpp")


@pytest.mark.slow
def test_a_volume_as_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = run_as_script("volume", monkeypatch, tmp_path)
    assert left["found"].mask.shape == left["data"]["test"][0].mask.shape
    assert left["mask_file"].is_file()


@pytest.mark.notebook
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_in_a_kernel_and_shows_pictures(name: str) -> None:
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.read(FOLDER / f"{name}.py")
    environment = {**os.environ, **QUICK, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the kernel's own packages
        client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(FOLDER)}})
        client.execute(env=environment)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output.data for output in outputs if "data" in output]
    pictures = [data for data in shown if "image/png" in data or "data:image" in data.get("text/html", "")]
    assert len(pictures) >= 2


def test_log_lines_are_not_among_what_it_says(tmp_path: Path) -> None:
    program = (
        "import medseg_monai as mm, sys; mm.predict('unet', sys.argv[1], out=sys.argv[2], report=False, batch_size=1)"
    )
    image = REPOSITORY / "examples" / "ISIC_0000253.jpg"
    command = [sys.executable, "-W", "error", "-c", program, str(image), str(tmp_path / "masks")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REPOSITORY)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
