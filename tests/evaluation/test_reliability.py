"""Calibration measured while the evaluator runs: numbers by hand, files and the page's part of them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.reliability import MeasureCalibration, read_calibration
from medseg_monai.figures.plots import reliability_diagram
from medseg_monai.inference.cases import CaseStream
from medseg_monai.inference.recipe import measures_reliability
from medseg_monai.quality.calibration import Calibration, Reliability
from medseg_monai.quality.learnt import Quality
from medseg_monai.report.evaluation import _calibration_content

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(4, 4))
ARCHITECTURE = {"_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 1}
CALIBRATION = Calibration((2.0,), cases=9, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)


def evaluated(folder: Path, trained: Trained, *, enabled: bool = True) -> None:
    """Run an evaluator over one picture of 4 x 4 pixels: 12 of them said to be 0.9, of which 9 are true, the others 0."""
    truth = np.zeros((4, 4), np.uint8)
    truth.flat[:9] = 255
    for name in ("image", "label"):
        Image.fromarray(truth).save(folder / f"{name}.png")
    case = {"id": "a", "image": str(folder / "image.png"), "label": str(folder / "label.png")}
    probability = torch.zeros(16)
    probability[:12] = 0.9
    item = {"id": "a", "image_meta_dict": {"filename_or_obj": case["image"], "spatial_shape": torch.tensor([4, 4])}}
    answers = [{"pred": None}, {"pred": 1, "probability": probability.view(1, 4, 4).transpose(1, 2)}]

    def step(engine: Engine, batch: object) -> list[dict]:
        engine.state.batch = [{"id": "broken"}, item]
        return answers

    engine = Engine(step)
    MeasureCalibration(
        CaseStream([case], lambda one: dict(one)), trained=trained, folder=folder, enabled=enabled
    ).attach(engine)
    engine.run([0])


def test_both_errors_by_hand(tmp_path: Path) -> None:
    evaluated(tmp_path, Trained(SPEC, ARCHITECTURE, "unet", quality=Quality(calibration=CALIBRATION)))
    found = read_calibration(tmp_path)
    assert found is not None
    assert found["cases"] == 1
    # 12 of 16 pixels are off by 0.9 - 0.75; calibrated, logit(0.9) / 2 is 0.75 exactly
    assert found["before"]["lesion"]["ece"] == pytest.approx(0.75 * 0.15, abs=1e-5)
    assert found["before"]["lesion"]["brier"] == pytest.approx((9 * 0.01 + 3 * 0.81) / 16, abs=1e-5)
    assert found["after"]["lesion"]["ece"] == pytest.approx(0, abs=1e-5)
    part = _calibration_content(tmp_path)
    assert part is not None
    assert part["picture"].startswith("data:image/png")
    assert "calibration error 0.1125 before, 0.0000 after" in part["text"]


def test_without_a_temperature_there_is_one_curve(tmp_path: Path) -> None:
    evaluated(tmp_path, Trained(SPEC, ARCHITECTURE, "unet"))
    found = read_calibration(tmp_path)
    assert found is not None
    assert "after" not in found
    part = _calibration_content(tmp_path)
    assert part is not None
    assert "medseg review learns it" in part["text"]


def test_no_file_is_written_if_no_case_could_be_measured(tmp_path: Path) -> None:
    engine = Engine(lambda *_: [{"pred": None}])
    engine.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "batch", [{"id": "broken"}])
    )
    MeasureCalibration(
        CaseStream([], lambda one: dict(one)),
        trained=Trained(SPEC, ARCHITECTURE, "unet"),
        folder=tmp_path,
        enabled=True,
    ).attach(engine)
    engine.run([0])
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_evaluations_files_do_not_stay(tmp_path: Path) -> None:
    trained = Trained(SPEC, ARCHITECTURE, "unet")
    evaluated(tmp_path, trained)
    evaluated(tmp_path, trained, enabled=False)
    assert read_calibration(tmp_path) is None
    assert _calibration_content(tmp_path) is None
    (tmp_path / "calibration.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="is not a measured calibration"):
        read_calibration(tmp_path)


def test_classes_have_a_panel_each() -> None:
    rng = np.random.default_rng(0)
    found = Reliability(("a", "b", "c", "d"))
    found.add(rng.random((4, 50)), rng.random((4, 50)) < 0.5)
    figure = reliability_diagram({"as the network says": found, "calibrated": found})
    assert [axes.get_title() for axes in figure.axes[:4]] == ["a", "b", "c", "d"]


def test_volumes_are_measured_if_asked_for() -> None:
    photographs = Trained(SPEC, ARCHITECTURE, "unet")
    volumes = SimpleNamespace(dataset=SimpleNamespace(spatial_dims=3))
    assert [measures_reliability(photographs, wanted) for wanted in ("auto", True, False)] == [True, True, False]
    assert [measures_reliability(volumes, wanted) for wanted in ("auto", True)] == [False, True]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="true, false or auto"):
        measures_reliability(replace(photographs), "yes")
