"""What is said of masks beside what they are: numbers by hand, files, the summary and the page's part of it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import CaseScores
from medseg_monai.evaluation.trust import TRUST_FILE, TRUST_PICTURE, MeasureTrust, read_trust
from medseg_monai.inference.recipe import measures_trust
from medseg_monai.quality.conformal import Promise
from medseg_monai.quality.dice_estimate import DiceEstimate
from medseg_monai.quality.learnt import Quality
from medseg_monai.report.evaluation import _trust_content
from medseg_monai.tuning.review import Review

SPEC = DatasetSpec("d", "multilabel", classes=("a", "b"), channels=("grey",), size=(4, 4))
ARCHITECTURE = {"_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 2}
PROMISE = Promise(0.6, dice=0.7, risk=0.02, confidence=None, cases=100, failures=5, passed=90, failures_passed=0)
TRAINED = Trained(SPEC, ARCHITECTURE, "unet", quality=Quality(promise=PROMISE))
# of each case: predicted Dice and Dice of both classes, uncertainty, reason
CASES: dict[str, tuple[tuple[float, float], tuple[float, float], float, str]] = {
    "good": ((0.9, 0.8), (1.0, 0.9), 0.1, ""),
    "poor": ((0.5, 0.9), (0.4, 0.9), 0.2, "its mask may be poor: predicted Dice of a 0.50"),
    "missed": ((0.8, 0.7), (0.8, 0.6), 0.4, ""),
    "strange": ((0.9, 0.9), (0.9, 0.9), 0.3, "unlike the training images: colours"),
}


def score(case: str, name: str, dice: float) -> CaseScores:
    return CaseScores(case, name, dice, dice, 0, 0, 1, 1, 9, 9, "ok")


def said(case: str) -> dict[str, Any]:
    predicted, _, uncertainty, reason = CASES[case]
    known = dict(zip(SPEC.classes, predicted, strict=True))
    return {"predicted_dice": known, "uncertainty": uncertainty, "flagged": bool(reason), "reason": reason}


def measured(folder: Path, trained: Trained = TRAINED, *, enabled: bool = True) -> list[str]:
    """The lines of the summary; one case could not be read, and of another there are no scores."""
    trust = MeasureTrust(trained=trained, enabled=enabled)

    def step(engine: Engine, batch: object) -> object:
        engine.state.batch = [{"id": "broken"}, {"id": "unscored"}, *({"id": case} for case in CASES)]
        return [{"pred": None}, {"pred": 1, **said("good")}, *({"pred": 1, **said(case)} for case in CASES)]

    engine = Engine(step)
    trust.attach(engine)
    engine.run([0])
    scores = [score(case, *one) for case, row in CASES.items() for one in zip(SPEC.classes, row[1], strict=True)]
    return trust.write(scores, folder)


def test_all_numbers_by_hand(tmp_path: Path) -> None:
    lines = measured(tmp_path)
    found = read_trust(tmp_path)
    assert found is not None
    assert (found.cases, found.flagged, found.unlike) == (4, 2, 1)
    # failures are the cases whose lowest Dice is below 0.7: poor, which is flagged, and missed, which is not
    assert (found.failures, found.failures_flagged, found.passed_failures) == (2, 1, 1)
    assert (found.failure_dice, found.risk) == (0.7, 0.02)
    assert found.error == pytest.approx((0.1 + 0.1 + 0.1 + 0 + 0 + 0.1 + 0 + 0) / 8)
    # lowest Dice, by predicted Dice: strange 0.9, good 0.9, missed 0.6, poor 0.4
    assert found.aurc == pytest.approx((0.1 + 0.1 + 0.2 + 0.3) / 4)
    # by certainty: good 0.9, poor 0.4, strange 0.9, missed 0.6
    assert found.aurc_uncertainty == pytest.approx((0.1 + 0.35 + 0.8 / 3 + 0.3) / 4, abs=1e-4)
    assert found.aurc_least == found.aurc
    assert "1 of the 2 others lie below Dice 0.7 (promised: at most 2.0% on average)" in "\n".join(lines)
    content = _trust_content(tmp_path)
    assert content is not None
    assert content["picture"].startswith("data:image/png")
    assert "AURC 0.175" in content["text"]


def test_without_a_promise_failures_are_those_of_the_review(tmp_path: Path) -> None:
    review = Review(threshold=0.4, failure_dice=0.5, cases=10, failures=2, flagged=3, caught=2)
    none = replace(PROMISE, threshold=None, dice=0.5)
    measured(tmp_path, replace(TRAINED, review=review, quality=Quality(promise=none)))
    found = read_trust(tmp_path)
    assert found is not None
    assert (found.failure_dice, found.failures, found.risk) == (0.5, 1, None)
    measured(tmp_path, replace(TRAINED, review=review, quality=None))
    again = read_trust(tmp_path)
    assert again is not None
    assert again.failure_dice == 0.5


def test_files_of_an_earlier_evaluation_go_and_nothing_is_said_if_nothing_was_learnt(tmp_path: Path) -> None:
    measured(tmp_path)
    assert {TRUST_FILE, TRUST_PICTURE} <= {file.name for file in tmp_path.iterdir()}
    assert measured(tmp_path, enabled=False) == []
    assert list(tmp_path.iterdir()) == []
    assert read_trust(tmp_path) is None
    assert _trust_content(tmp_path) is None


def test_it_is_measured_if_a_predicted_dice_was_learnt() -> None:
    known = SimpleNamespace(quality=Quality(dice=DiceEstimate.__new__(DiceEstimate)))
    assert measures_trust(known)  # type: ignore[arg-type]
    assert not measures_trust(TRAINED)
    assert not measures_trust(replace(TRAINED, quality=None))


@pytest.mark.parametrize("content", ["[]", "{}", '{"cases": 3}', "no JSON"])
def test_another_file_of_that_name_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / TRUST_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"trust.json does not say how far masks can be trusted"):
        read_trust(tmp_path)


def test_what_is_written_is_json(tmp_path: Path) -> None:
    measured(tmp_path)
    assert json.loads((tmp_path / TRUST_FILE).read_text())["cases"] == 4


def test_no_failure_is_said_as_such(tmp_path: Path) -> None:
    none = replace(PROMISE, dice=0.3)
    assert "2 of 4 masks flagged, none of all masks lies below Dice 0.3" in "\n".join(
        measured(tmp_path, replace(TRAINED, quality=Quality(promise=none)))
    )
