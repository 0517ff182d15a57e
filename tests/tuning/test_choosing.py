"""`medseg tune` from cases to spec.json, with a network whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
from tuned_cases import ONE, KnownNetwork, discs, drawn_dataset

from medseg_monai.bundle.trained import Trained
from medseg_monai.tuning.choosing import tune_bundle
from medseg_monai.tuning.predicted import Learner


@pytest.mark.parametrize(("value", "thresholds"), [(0.42, 1), (0.9, None)], ids=["faint", "clear"])
def test_the_result_goes_beside_the_weights(
    value: float, thresholds: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discs that are faint need a lower threshold; clear ones need nothing, and an older cleaning is removed."""
    trained = Trained(ONE, {"_target_": "monai.networks.nets.BasicUNet"}, "unet", {"best_epoch": 3})
    trained.write(tmp_path)
    (tmp_path / "model.pt").touch()
    truths = discs()
    answers = {f"{number}.png": np.where(truth.T, value, 0.1) for number, truth in enumerate(truths)}
    asked = []

    def predictor(self: Learner, *, calibration: str) -> KnownNetwork:
        asked.append(calibration)
        return KnownNetwork(answers)

    monkeypatch.setattr(Learner, "predictor", predictor)
    found = tune_bundle(Path("unet"), drawn_dataset(tmp_path, truths), weights=tmp_path)
    assert asked == ["off"], "masks are made from the network's own probabilities"
    written = Trained.read(tmp_path)
    assert written.training == trained.training
    assert (written.cleaning and len(written.cleaning.threshold)) == thresholds
    assert found.tuning.after == {"lesion": 1}
    assert found.report == tmp_path / "tuning" / "tuning.md"
    assert "Dice on 20 cases of 20 groups: d, validation" in found.report.read_text()
