"""What is usual and what is not: distances by hand and by scikit-learn, thresholds by construction, what is stored."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.covariance import OAS

from medseg_monai.quality.familiarity import Familiarity, Part, learn_familiarity, shrunk_covariance

RNG = np.random.default_rng(0)
MIXED = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 3.0]])


def cases(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Descriptions of two parts: three numbers, two of which go together, and two more."""
    rng = np.random.default_rng(seed)
    return [{"a": 5 + rng.standard_normal(3) @ MIXED, "b": rng.standard_normal(2)} for _ in range(count)]


@pytest.fixture(scope="module")
def learnt() -> Familiarity:
    return learn_familiarity(cases(200, 1), cases(100, 2), share=0.05)


def test_the_distance_by_hand() -> None:
    part = Part("a", mean=(1.0, 2.0), scale=(1.0, 2.0), covariance=(1.0, 0.0, 4.0), usual=(0.0, 1.0))
    # 3 off in units of 1 and variance 1: 9; 8 off in units of 2 and variance 4: 16 / 4 = 4; the mean of the two
    assert part.distance(np.array([4.0, 10.0])) == pytest.approx(np.sqrt((9 + 4) / 2))
    assert part.unusualness(np.array([4.0, 10.0])) == pytest.approx(np.log(6.5) / 2, abs=1e-5)


@pytest.mark.parametrize("count", [5, 40, 400])
def test_the_covariance_is_scikit_learns(count: int) -> None:
    centred = RNG.standard_normal((count, 3)) @ MIXED
    centred -= centred.mean(axis=0)
    assert np.allclose(shrunk_covariance(centred), OAS(assume_centered=True).fit(centred).covariance_)


@pytest.mark.parametrize(("share", "flagged"), [(0.0, 0), (0.01, 1), (0.019, 1), (0.05, 5), (0.3, 30)])
def test_as_many_validation_cases_are_flagged_as_the_share_allows(share: float, flagged: int) -> None:
    seen = cases(100, 2)
    found = learn_familiarity(cases(200, 1), seen, share=share)
    assert flagged - 1 <= found.flagged <= flagged  # one may lie within the last digit of the threshold
    assert sum(bool(found.unlike(case)) for case in seen) == found.flagged


def test_as_many_new_ones_are_flagged_within_chance(learnt: Familiarity) -> None:
    flagged = np.mean([bool(learnt.unlike(case)) for case in cases(2000, 3)])
    assert 0.01 < flagged < 0.12


def test_what_is_off_is_named_furthest_first(learnt: Familiarity) -> None:
    usual = {"a": np.full(3, 5.0), "b": np.zeros(2)}
    assert learnt.unlike(usual) == []
    assert learnt.unlike({**usual, "b": np.array([9.0, 0.0])}) == ["b"]
    assert learnt.unlike({"a": np.array([5.0, 5.0, 905.0]), "b": np.array([9.0, 0.0])}) == ["a", "b"]
    # each number is usual, not the two together
    assert learnt.unlike({**usual, "a": np.array([7.0, 2.0, 5.0])}) == ["a"]


def test_the_order_of_cases_does_not_matter(learnt: Familiarity) -> None:
    assert learn_familiarity(cases(200, 1)[::-1], cases(100, 2)[::-1], share=0.05) == learnt


def test_units_do_not_matter(learnt: Familiarity) -> None:
    def scaled(many: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        return [{name: 1000 * numbers - 7 for name, numbers in case.items()} for case in many]

    found = learn_familiarity(scaled(cases(200, 1)), scaled(cases(100, 2)), share=0.05)
    assert found.threshold == pytest.approx(learnt.threshold, abs=0.01)


def test_a_number_that_is_always_the_same_flags_what_differs() -> None:
    same = [{"a": np.array([0.0, *case["b"]])} for case in cases(60, 4)]
    found = learn_familiarity(same, same)
    assert found.unlike({"a": np.zeros(3)}) == []
    assert found.unlike({"a": np.array([0.5, 0.0, 0.0])}) == ["a"]


def test_it_is_stored_in_json(learnt: Familiarity) -> None:
    again = Familiarity.from_dict(json.loads(json.dumps(learnt.to_dict())))
    assert again == learnt
    assert [again.unusualness(case) for case in cases(5, 6)] == [learnt.unusualness(case) for case in cases(5, 6)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.pop("threshold"),
        lambda content: content.update(treshold=1),
        lambda content: content.update(parts=[]),
        lambda content: content.update(parts=3),
        lambda content: content.update(parts=content["parts"] * 2),
        lambda content: content.update(threshold=float("nan")),
        lambda content: content.update(flagged=101),
        lambda content: content.update(cases="many"),
        lambda content: content["parts"][0].update(mean=[1.0]),
        lambda content: content["parts"][0].update(scale=[0.0, 1.0, 1.0]),
        lambda content: content["parts"][0].update(scale="abc"),
        lambda content: content["parts"][0].update(covariance=[1.0, 2.0, 1.0, 0.0, 0.0, 1.0]),
        lambda content: content["parts"][0].update(usual=[0.0, -1.0]),
        lambda content: content["parts"][0].pop("name"),
    ],
)
def test_a_wrong_entry_is_refused(learnt: Familiarity, spoil: Callable[[dict], object]) -> None:
    content = json.loads(json.dumps(learnt.to_dict()))
    spoil(content)
    with pytest.raises(ValueError, match="familiarity"):
        Familiarity.from_dict(content)


@pytest.mark.parametrize(("training", "validation", "share"), [(29, 10, 0.01), (30, 9, 0.01), (30, 10, 1.0)])
def test_too_little_to_learn_from_is_refused(training: int, validation: int, share: float) -> None:
    with pytest.raises(ValueError, match="too few|share"):
        learn_familiarity(cases(training, 1), cases(validation, 2), share=share)


def test_descriptions_of_another_kind_are_refused(learnt: Familiarity) -> None:
    learnt.check({"a": np.zeros(3), "b": np.zeros(2)})
    for other in ({"a": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(3)}):
        with pytest.raises(ValueError, match="run medseg review again"):
            learnt.check(other)
