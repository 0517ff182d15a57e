"""What is usual and what is not: thresholds by construction, what is unusual by name, what is stored."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from medseg_monai.quality.familiarity import (
    ENOUGH_VALIDATION,
    FIRST,
    Familiarity,
    is_of_another_descriptor,
    learn_familiarity,
)

MIXED = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 3.0]])


def cases(count: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Descriptions of two parts: three numbers, two of which go together, and two more."""
    rng = np.random.default_rng(seed)
    return [{"a": 5 + rng.standard_normal(3) @ MIXED, "b": rng.standard_normal(2)} for _ in range(count)]


@pytest.fixture(scope="module")
def learnt() -> Familiarity:
    return learn_familiarity(cases(200, 1), cases(100, 2), share=0.05)


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


def test_numbers_that_are_usual_alone_but_not_together_are_unlike() -> None:
    """Each part follows the other in training: a case in which it does not is unlike, though neither part is unusual."""
    rng = np.random.default_rng(7)

    def linked(count: int, sign: int) -> list[dict[str, np.ndarray]]:
        both = rng.standard_normal((count, 3))
        return [{"a": row, "b": sign * row + 0.1 * rng.standard_normal(3)} for row in both]

    learnt = learn_familiarity(linked(200, 1), linked(100, 1))
    strange = linked(20, -1)
    assert sum(bool(learnt.unlike(case)) for case in strange) >= 18
    usual = [case for case in strange if max(learnt.unusual_parts(case).values()) < 2]
    assert len(usual) >= 15
    # no part is unusual by itself: the most unusual one is named all the same
    assert all(len(learnt.unlike(case)) == 1 for case in usual if learnt.unlike(case))


@pytest.mark.parametrize("validation", [0, 3, ENOUGH_VALIDATION - 1])
def test_few_validation_cases_are_joined_by_trainings_that_others_judge(validation: int) -> None:
    found = learn_familiarity(cases(120, 1), cases(validation, 2), share=0.05)
    assert found.cases == 120 + validation
    assert 0.03 < found.flagged / found.cases <= 0.05
    # judged by a fit that knows them, training's cases would look more usual than new ones are
    assert np.mean([bool(found.unlike(case)) for case in cases(2000, 3)]) < 0.09
    enough = learn_familiarity(cases(120, 1), cases(ENOUGH_VALIDATION, 2), share=0.05)
    assert enough.cases == ENOUGH_VALIDATION


def test_cases_of_a_group_are_not_judged_by_each_other() -> None:
    """Thirty patients with ten nearly equal pictures each: new patients are flagged about as often as is allowed."""
    rng = np.random.default_rng(7)

    def patients(count: int) -> list[dict[str, np.ndarray]]:
        return [
            {"a": centre + rng.normal(0, 0.01, 60)} for centre in rng.standard_normal((count, 60)) for _ in range(10)
        ]

    groups = [str(number // 10) for number in range(300)]
    known, new = patients(30), patients(50)
    kept, careless = (learn_familiarity(known, [], share=0.1, groups=each) for each in (groups, None))
    assert np.mean([bool(kept.unlike(case)) for case in new]) < 0.2
    assert (
        np.mean([bool(careless.unlike(case)) for case in new]) > 0.9
    )  # judged by their own twins, known ones look far too usual
    shuffled = rng.permutation(300)
    again = learn_familiarity([known[i] for i in shuffled], [], share=0.1, groups=[groups[i] for i in shuffled])
    assert again == kept
    with pytest.raises(ValueError, match="one group"):
        learn_familiarity(known, [], groups=["a"] * 300)


def test_the_smallest_data_set_that_is_learnt_from_flags_what_is_far_off() -> None:
    """Thirty cases, more numbers than cases: shrinkage keeps the covariance invertible."""
    rng = np.random.default_rng(5)
    many = [{"a": rng.standard_normal(40)} for _ in range(30)]
    found = learn_familiarity(many, [])
    assert np.mean([bool(found.unlike({"a": rng.standard_normal(40)})) for _ in range(200)]) < 0.15
    assert all(found.unlike({"a": 4 * rng.standard_normal(40)}) for _ in range(20))


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
        lambda content: content.update(covariance=[1.0, 2.0, 1.0, *[0.0, 0.0, 1.0], *[0.0] * 3, 1.0, *[0.0] * 4, 1.0]),
        lambda content: content.update(covariance=content["covariance"][1:]),
        lambda content: content.update(usual=[0.0, 0.0]),
        lambda content: content["parts"][0].update(usual=[0.0, -1.0]),
        lambda content: content["parts"][0].pop("name"),
    ],
)
def test_a_wrong_entry_is_refused(learnt: Familiarity, spoil: Callable[[dict], object]) -> None:
    content = json.loads(json.dumps(learnt.to_dict()))
    spoil(content)
    with pytest.raises(ValueError, match="familiarity"):
        Familiarity.from_dict(content)


@pytest.mark.parametrize(("training", "validation", "share"), [(29, 10, 0.01), (30, 10, 1.0)])
def test_too_little_to_learn_from_is_refused(training: int, validation: int, share: float) -> None:
    with pytest.raises(ValueError, match="too few|share"):
        learn_familiarity(cases(training, 1), cases(validation, 2), share=share)


def test_descriptions_of_another_kind_are_refused(learnt: Familiarity) -> None:
    learnt.check({"a": np.zeros(3), "b": np.zeros(2)})
    for other in ({"a": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(3)}):
        with pytest.raises(ValueError, match="run medseg review again"):
            learnt.check(other)


def test_what_earlier_versions_stored_is_recognised(learnt: Familiarity) -> None:
    part = {"name": "light", "mean": [0.5], "scale": [0.1], "covariance": [1.0], "usual": [0.0, 1.0]}
    assert is_of_another_descriptor(
        {"parts": [part], "threshold": 3.3, "training": 400, "cases": 200, "flagged": 2}, FIRST
    )
    for other in (
        learnt.to_dict(),
        json.loads(json.dumps(learnt.to_dict())),
        {},
        {"parts": 3},
        {"parts": [4]},
        None,
        3,
    ):
        assert not is_of_another_descriptor(other, FIRST)


def test_what_was_learnt_of_another_descriptor_is_recognised_either_way(learnt: Familiarity) -> None:
    later = learn_familiarity(cases(200, 1), cases(100, 2), version=FIRST + 1).to_dict()
    assert is_of_another_descriptor(later, FIRST)
    assert not is_of_another_descriptor(later, FIRST + 1)
    without = learnt.to_dict()
    del without["descriptor"]  # as the first version wrote it
    assert Familiarity.from_dict(without) == learnt
    assert is_of_another_descriptor(without, FIRST + 1)
