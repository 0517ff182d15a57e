"""The threshold for a person's look: from numbers by hand, and what is stored of it."""

from pathlib import Path

import pytest

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.tuning.review import Review, choose_review

UNCERTAINTIES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
DICES = [0.9, 0.5, 0.8, 0.6, 0.9, 0.3]  # failures below 0.7: 0.2, 0.4, 0.6


@pytest.mark.parametrize(
    ("catch", "threshold", "flagged", "caught"),
    [(1.0, 0.2, 5, 3), (0.9, 0.2, 5, 3), (0.6, 0.4, 3, 2), (0.3, 0.6, 1, 1)],
)
def test_the_highest_threshold_that_catches_enough(catch: float, threshold: float, flagged: int, caught: int) -> None:
    found = choose_review(UNCERTAINTIES, DICES, failure_dice=0.7, catch=catch)
    assert found == Review(threshold, 0.7, cases=6, failures=3, flagged=flagged, caught=caught)


def test_a_case_that_differs_in_the_last_digits_is_still_flagged() -> None:
    found = choose_review([0.12345678, 0.9], [0.5, 0.6], catch=1)
    assert found.threshold == 0.1234
    assert found.flags(0.12341)
    assert not found.flags(0.12334)


def test_a_case_at_the_threshold_is_flagged() -> None:
    found = choose_review(UNCERTAINTIES, DICES, catch=0.6)
    assert [found.flags(u) for u in (0.39, 0.4, 0.41)] == [False, True, True]


def test_without_failures_only_what_is_as_uncertain_as_the_worst_is_flagged() -> None:
    found = choose_review([0.1, 0.3], [0.9, 0.95])
    assert (found.threshold, found.failures, found.flagged) == (0.3, 0, 1)


@pytest.mark.parametrize(
    ("uncertainties", "dices", "catch"), [([], [], 0.9), ([0.1], [0.1, 0.2], 0.9), ([0.1], [0.1], 0)]
)
def test_what_cannot_be_is_refused(uncertainties: list[float], dices: list[float], catch: float) -> None:
    with pytest.raises(ValueError, match="review"):
        choose_review(uncertainties, dices, catch=catch)


def test_it_is_stored_beside_the_weights(tmp_path: Path) -> None:
    spec = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
    review = choose_review(UNCERTAINTIES, DICES)
    for known in (review, None):
        Trained(spec, {"_target_": "medseg_monai.networks.UNet"}, "unet", review=known).write(tmp_path)
        assert Trained.read(tmp_path).review == known
        assert ("review" in (tmp_path / "spec.json").read_text()) == (known is not None)


@pytest.mark.parametrize("change", [{"threshold": 2}, {"caught": 9}, {"treshold": 1}])
def test_a_wrong_entry_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="review"):
        Review.from_dict({**choose_review(UNCERTAINTIES, DICES).to_dict(), **change})
