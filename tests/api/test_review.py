"""What a review learnt, from Python: the same lines as the command's, and the cases that it was learnt from."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.review import ReviewedWeights
from medseg_monai.api.training import Training
from medseg_monai.tuning.review import Review


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> ReviewedWeights:
    folder = tmp_path_factory.mktemp("reviewed") / "w"
    shutil.copytree(training.folder, folder)
    return mm.review("unet", data, weights=folder, split="training", failure_dice=0.99)


def test_the_command_says_the_same(found: ReviewedWeights, data: ImageDataset, medseg: Callable[..., Any]) -> None:
    options = ("-d", data.folder, "-w", found.weights.parent, "--split", "training", "--failure-dice", "0.99")
    assert medseg("review", "unet", *options).out.splitlines()[:6] == found.lines


def test_cases_stand_at_their_dice(found: ReviewedWeights, data: ImageDataset) -> None:
    seen = found.learnt.seen
    assert len(seen.dices) == len(seen.predicted) == len(data.training)
    assert found.learnt.review.failures == sum(dice < 0.99 for dice in seen.dices)
    points = [point for line in found.plot().axes[0].lines[2:] for point in zip(*line.get_data(), strict=True)]
    assert sorted(points) == sorted(zip(seen.predicted, seen.dices, strict=True))


def test_it_saves_and_shows_itself(found: ReviewedWeights, tmp_path: Path) -> None:
    assert "review" in json.loads(found.save(tmp_path / "spec.json").read_text())
    page = found._repr_html_()
    assert "Learnt from" in page
    assert page.count("data:image/png") == 1
    with pytest.raises(ValueError, match="can be saved as"):
        found.save(tmp_path / "x.md")


def test_a_handful_of_cases_is_said_to_be_too_few(found: ReviewedWeights) -> None:
    def doubts(cases: int) -> list[str]:
        review = Review(threshold=0.4, failure_dice=0.7, cases=cases, failures=1, flagged=1, caught=1)
        return replace(found, learnt=found.learnt._replace(review=review)).doubts

    assert doubts(1) == ["1 training case is too few to calibrate probabilities, or to rely on what was learnt"]
    assert doubts(4)[0].startswith("4 training cases are too few")
    assert doubts(5) == []
