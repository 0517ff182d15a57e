"""The predicted Dice: what a ridge regression of scikit-learn finds, better than no regression, safe with few cases."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from medseg_monai.quality.dice_estimate import (
    FARTHEST,
    PRIOR,
    PRIOR_OFFSET,
    ClassEstimate,
    DiceEstimate,
    learn_estimate,
)
from medseg_monai.quality.mask_numbers import VECTOR, MaskNumbers, logit_of_dice


def drawn(rng: np.random.Generator, count: int) -> tuple[list[list[MaskNumbers]], np.ndarray]:
    """Masks whose Dice is what is expected, less what their raggedness tells, and noise."""
    table = rng.normal(0, 1, (count, len(VECTOR)))
    table[:, 0] += 2
    logits = table[:, 0] - 1 - 0.8 * table[:, VECTOR.index("raggedness")] + rng.normal(0, 0.1, count)
    dices = 1 / (1 + np.exp(-logits))
    return [[MaskNumbers(*row, empty=False)] for row in table.tolist()], dices[:, None]


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_it_is_scikit_learns_ridge_on_the_error_of_the_expected_dice() -> None:
    numbers, dices = drawn(np.random.default_rng(0), 300)
    estimate, _ = learn_estimate(["lesion"], numbers, dices, names(300))
    table = np.stack([one[0].vector() for one in numbers])
    places = ((table - table.mean(axis=0)) / table.std(axis=0)).clip(-FARTHEST, FARTHEST)
    errors = np.array([logit_of_dice(dice) for dice in dices[:, 0]]) - table[:, 0]
    ridge = Ridge(alpha=PRIOR, fit_intercept=False).fit(places, errors - errors.mean())
    assert estimate.classes[0].weights == pytest.approx(ridge.coef_, rel=1e-3, abs=1e-5)
    assert estimate.classes[0].offset == pytest.approx(errors.sum() / (300 + PRIOR_OFFSET), rel=1e-4)


def test_it_predicts_better_than_what_is_expected_alone() -> None:
    numbers, dices = drawn(np.random.default_rng(0), 300)
    new, truth = drawn(np.random.default_rng(1), 200)
    estimate, held_out = learn_estimate(["lesion"], numbers, dices, names(300))
    predicted = np.array([estimate.predict(one) for one in new])
    expected = np.array([[one[0].expected_dice] for one in new])
    assert np.abs(predicted - truth).mean() < 0.5 * np.abs(expected - truth).mean()
    assert estimate.error == pytest.approx(np.abs(held_out - dices).mean(), abs=1e-4)
    assert estimate.error == pytest.approx(np.abs(predicted - truth).mean(), rel=0.25), "an honest error"


def test_cases_of_one_patient_never_teach_each_other() -> None:
    """Pure noise that a patient's cases share: a fit that has seen the patient would know it, one that has not cannot."""
    rng = np.random.default_rng(0)
    numbers, _ = drawn(rng, 60)
    repeated = [one for one in numbers for _ in range(20)]
    dices = np.repeat(rng.uniform(0.05, 0.95, 60), 20)[:, None]
    by_patient = np.repeat(names(60), 20).tolist()
    _, held_out = learn_estimate(["lesion"], repeated, dices, by_patient)
    _, leaking = learn_estimate(["lesion"], repeated, dices, names(1200))
    assert np.abs(leaking - dices).mean() < np.abs(held_out - dices).mean()
    alone, _ = learn_estimate(["lesion"], repeated[20:], dices[20:], by_patient[20:])
    assert len({round(float(value), 9) for value in held_out[:20, 0]}) == 1, "all by the same fit"
    assert alone.cases == 1180


def test_few_cases_change_little_and_none_of_another_kind_is_extrapolated_to() -> None:
    numbers, dices = drawn(np.random.default_rng(0), 3)
    estimate, _ = learn_estimate(["lesion"], numbers, dices, names(3))
    assert np.abs(estimate.classes[0].weights).max() < 0.05
    learnt, _ = learn_estimate(["lesion"], *drawn(np.random.default_rng(0), 300), names(300))
    far, farther = (MaskNumbers(0.0, 0, 0, 0, 0, raggedness, 0, 0, empty=False) for raggedness in (50.0, 5000.0))
    assert learnt.predict([far]) == learnt.predict([farther])


def test_one_case_alone_is_predicted_as_expected() -> None:
    numbers, dices = drawn(np.random.default_rng(0), 1)
    _, held_out = learn_estimate(["lesion"], numbers, dices, ["a"])
    assert held_out[0, 0] == pytest.approx(numbers[0][0].expected_dice)


def test_an_empty_mask_is_worth_what_it_was_worth() -> None:
    empty = MaskNumbers(-5, 0, 0, 0, 0, 0, 0, 0, empty=True)
    numbers, dices = drawn(np.random.default_rng(0), 20)
    seen = [*numbers, *[[empty]] * 9]
    right = np.concatenate([dices, np.ones((8, 1)), np.zeros((1, 1))])
    estimate, _ = learn_estimate(["lesion"], seen, right, names(29))
    assert estimate.predict([empty]) == (0.8,)
    never, _ = learn_estimate(["lesion"], numbers, dices, names(20))
    assert never.predict([empty]) == (0.0,)
    only, _ = learn_estimate(["lesion"], [[empty]] * 4, np.ones((4, 1)), names(4))
    assert only.predict([empty]) == (0.8,)


def test_it_is_kept_as_json_and_wrong_entries_are_refused() -> None:
    estimate, _ = learn_estimate(["lesion"], *drawn(np.random.default_rng(0), 30), names(30))
    content = estimate.to_dict()
    assert DiceEstimate.from_dict(content) == estimate
    one = content["classes"][0]
    for change in (
        {"error": 2},
        {"classes": []},
        {"clases": 1},
        {"classes": [{**one, "weights": [1.0]}]},
        {"classes": [{**one, "scale": [0.0] * len(VECTOR)}]},
        {"classes": [{**one, "weight": 1}]},
    ):
        with pytest.raises(ValueError, match="dice"):
            DiceEstimate.from_dict({**content, **change})
    with pytest.raises(ValueError, match="at least one case"):
        learn_estimate(["lesion"], [], [], [])


def test_a_prediction_by_hand() -> None:
    """What is expected, the offset, and each weight times how many deviations its number lies from the mean, held within 4."""
    numbers = MaskNumbers(2.0, 5.0, -1.0, 0, 0, 9.0, 0, 0, empty=False)
    weights = [0.0] * len(VECTOR)
    weights[0], weights[1], weights[5] = 0.1, -0.3, 0.2
    one = ClassEstimate("a", 0.5, (1.0,) * len(VECTOR), (2.0,) * len(VECTOR), tuple(weights), empty=0.25)
    places = numbers.vector()
    assert (places[0], places[1], places[5]) == (2.0, 5.0, 9.0)
    logit = 2.0 + 0.5 + 0.1 * 0.5 - 0.3 * 2.0 + 0.2 * 4.0
    assert one.predict(numbers) == pytest.approx(1 / (1 + np.exp(-logit)))
    far = replace(one, weights=(*[0.0] * 5, 0.2, *[0.0] * (len(VECTOR) - 6)), scale=(0.5,) * len(VECTOR))
    assert far.predict(numbers) == pytest.approx(1 / (1 + np.exp(-(2.5 + 0.2 * 4))))  # not 16 deviations


def test_an_offset_is_worth_five_cases_less_than_it_was_seen_in() -> None:
    numbers = [[MaskNumbers(1.0, 0, 0, 0, 0, 0, 0, 0, empty=False)]] * 3
    dices = [[1 / (1 + np.exp(-2.0))]] * 3  # one logit more than expected
    estimate, _ = learn_estimate(["a"], numbers, dices, names(3))
    assert estimate.classes[0].offset == pytest.approx(3 / (3 + 5), abs=1e-4)
    assert estimate.classes[0].weights == (0.0,) * len(VECTOR)
    assert estimate.classes[0].scale == (1.0,) * len(VECTOR)


@pytest.mark.parametrize("error", [0, 1])
def test_the_error_may_be_none_or_the_largest_that_there_is(error: int) -> None:
    content = learn_estimate(["lesion"], *drawn(np.random.default_rng(0), 5), names(5))[0].to_dict()
    assert DiceEstimate.from_dict({**content, "error": error}).error == error
