"""What the page of predictions explains depends on what is known of the weights."""

from dataclasses import replace

from predictions import TRAINED

from medseg_monai.quality.conformal import Margins, Promise
from medseg_monai.quality.learnt import Quality
from medseg_monai.report.legend import how_to_read


def explained(**quality: object) -> dict[str, str]:
    trained = replace(TRAINED, quality=Quality(**quality) if quality else None)
    return dict(how_to_read(trained, lines_drawn=True))


def test_weights_that_nothing_is_known_of_flag_nothing() -> None:
    terms = dict(how_to_read(replace(TRAINED, review=None), lines_drawn=False))
    assert terms["Flagged"].startswith("nothing is, because it is not known")
    assert list(terms) == ["Flagged", "Uncertainty"]


def test_the_threshold_of_uncertainty_is_explained_if_there_is_no_promise() -> None:
    assert explained()["Flagged"].startswith("a person should look at masks with an uncertainty of 0.400 or more.")


def test_a_promise_takes_its_place_and_a_broken_one_says_why() -> None:
    kept = Promise(0.8, dice=0.7, risk=0.02, confidence=None, cases=100, failures=5, passed=90, failures_passed=0)
    words = explained(promise=kept)["Flagged"]
    assert words.startswith("a person should look at masks with a predicted Dice of 0.80 or less. Then at most 2.0% of")
    assert "uncertainty" not in words
    words = explained(promise=replace(kept, threshold=None, cases=8, failures=1, passed=0))["Flagged"]
    assert words.startswith("there is no promise that at most 2.0% of the masks")
    assert "and at least 49 are needed. A person should look at masks with an uncertainty of 0.400 or more." in words


def test_lines_are_explained_only_if_they_are_drawn_and_known() -> None:
    count = len(TRAINED.dataset.classes)
    known = Margins((0.1,) * count, (0.9,) * count, rate=0.9, cover=0.95, cases=30)
    trained = replace(TRAINED, quality=Quality(margins=known))
    assert "Thin lines" in dict(how_to_read(trained, lines_drawn=True))
    assert "Thin lines" not in dict(how_to_read(trained, lines_drawn=False))
    unknown = replace(known, inner=(None,) * count, outer=(None,) * count)
    assert "Thin lines" not in explained(margins=unknown)
