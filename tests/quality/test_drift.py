"""A batch of training's kind raises no alarm, one that has changed does, and what has changed is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind_from_stats

from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.drift import draw_drift
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.quality.descriptor import describe, number_names
from medseg_monai.quality.drift import Drift, find_drift
from medseg_monai.quality.familiarity import Familiarity, learn_familiarity
from medseg_monai.quality.usual import UsualAnswers, answer_numbers

RGB = ("red", "green", "blue")
NO_PICTURE: dict[str, np.ndarray] = {}


def described(seed: int, *, gain: float = 1.0) -> dict[str, np.ndarray]:
    pixels, lesion = draw_dermoscopy(np.random.default_rng(seed), (96, 72))
    image = torch.from_numpy(pixels.astype(np.float32).transpose(2, 1, 0) / 255 * gain).clamp(0, 1)
    return describe(image, torch.from_numpy(lesion.T.astype(np.float32)))


@pytest.fixture(scope="module")
def known() -> Familiarity:
    return learn_familiarity([described(n) for n in range(80)], [described(n) for n in range(1000, 1040)], share=0.05)


def answers(rng: np.random.Generator, count: int, *, shift: float = 0.0) -> list[dict[str, float]]:
    return [
        {"uncertainty": float(rng.normal(0.3 + 0.1 * shift, 0.1)), "size of lesion": float(rng.normal(0.5, 0.1))}
        for _ in range(count)
    ]


@pytest.mark.parametrize("channels", [("grey",), ("a", "b"), RGB, tuple("abcde")])
def test_every_number_of_a_description_has_a_name(channels: tuple[str, ...]) -> None:
    found = describe(torch.rand(len(channels), 16, 16), torch.rand(16, 16))
    names = number_names(channels)
    assert {part: len(numbers) for part, numbers in found.items()} == {
        part: len(given) for part, given in names.items()
    }
    for given in names.values():
        assert len(set(given)) == len(given)


def test_names_say_what_the_numbers_are() -> None:
    image = torch.full((1, 128, 128), 0.5)
    image[:, :40, :40] = 1.0  # x and y small: top left
    found, names = describe(image, torch.zeros(128, 128)), number_names(("grey",))
    cells = dict(zip(names["layout"], found["layout"], strict=True))
    assert max(cells, key=lambda name: cells[name]) == "brightness top left"
    image = torch.full((1, 128, 128), 0.5)
    image[:, 90:, :40] = 1.0
    cells = dict(zip(names["layout"], describe(image, torch.zeros(128, 128))["layout"], strict=True))
    assert max(cells, key=lambda name: cells[name]) == "brightness top right"


def test_a_batch_of_the_same_kind_is_no_alarm_and_a_darker_one_is(known: Familiarity) -> None:
    nothing = [answer_numbers(0.3, {}, {})] * 25
    same = find_drift([described(n) for n in range(3000, 3025)], nothing, known, None, channels=RGB)
    assert not same.alarm, same.changes[0]
    darker = find_drift([described(n, gain=0.4) for n in range(3000, 3025)], nothing, known, None, channels=RGB)
    assert darker.alarm
    changed = {change.name: change for change in darker.changes if change.changed}
    assert changed["brightness"].shift < -1
    assert "brightness lower by" in str(changed["brightness"])
    assert darker.unlike is not None
    assert same.unlike is not None
    assert darker.unlike > same.unlike


def test_false_alarms_are_as_rare_as_asked() -> None:
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(500):
        usual = UsualAnswers.of(answers(rng, 60))
        found = find_drift(
            [NO_PICTURE] * 30, answers(rng, 30), None, usual, channels=(), false_alarms=0.1, least_shift=0
        )
        alarms.append(found.alarm)
    assert 0.03 < np.mean(alarms) <= 0.1 + 3 * np.sqrt(0.09 / 500)


def test_answers_that_have_changed_are_named() -> None:
    rng = np.random.default_rng(0)
    usual = UsualAnswers.of(answers(rng, 100))
    found = find_drift([NO_PICTURE] * 40, answers(rng, 40, shift=1.5), None, usual, channels=())
    assert [change.name for change in found.changes if change.changed] == ["uncertainty"]
    assert found.changes[0].shift == pytest.approx(1.5, abs=0.5)
    assert found.unlike is None


def test_the_p_value_is_scipys_with_the_larger_spread() -> None:
    usual = UsualAnswers({"uncertainty": (0.3, 0.1)}, cases=50)
    here = [{"uncertainty": value} for value in np.linspace(0.3, 0.4, 20)]
    [change] = find_drift([NO_PICTURE] * 20, here, None, usual, channels=()).changes
    narrow = np.std(np.linspace(0.3, 0.4, 20), ddof=1)
    assert narrow < 0.1
    theirs = ttest_ind_from_stats(0.35, 0.1, 20, 0.3, 0.1, 50, equal_var=False)
    assert change.p == pytest.approx(theirs.pvalue, rel=0.15)
    assert change.p >= theirs.pvalue, "with fewer degrees of freedom"
    assert change.shift == pytest.approx(0.5)


def test_a_shift_too_small_to_matter_is_none() -> None:
    usual = UsualAnswers({"uncertainty": (0.3, 0.1)}, cases=100_000)
    here = [{"uncertainty": value} for value in np.random.default_rng(0).normal(0.32, 0.1, 5000)]
    assert not find_drift([NO_PICTURE] * 5000, here, None, usual, channels=()).alarm
    assert find_drift([NO_PICTURE] * 5000, here, None, usual, channels=(), least_shift=0.1).alarm


def test_too_few_images_or_nothing_to_compare_with() -> None:
    with pytest.raises(ValueError, match="at least 10 readable images, got"):
        find_drift([NO_PICTURE] * 9, [{"uncertainty": 0.1}] * 9, None, None, channels=())
    with pytest.raises(ValueError, match="medseg review"):
        find_drift([NO_PICTURE] * 10, [{"uncertainty": 0.1}] * 10, None, None, channels=())


def test_it_is_written_as_json_and_drawn(tmp_path: Path, known: Familiarity) -> None:
    nothing = [answer_numbers(0.3, {}, {})] * 12
    found = find_drift([described(n, gain=0.5) for n in range(12)], nothing, known, None, channels=RGB)
    content = json.loads(json.dumps(found.to_dict()))
    assert content["alarm"] is True
    assert content["changes"][0]["changed"] is True
    picture = tmp_path / "strange.png"
    from PIL import Image

    Image.fromarray(draw_dermoscopy(np.random.default_rng(0), (96, 72))[0]).save(picture)
    for pictures in ([], [picture, tmp_path / "missing.png"]):
        save_figure(draw_drift(found, pictures, name="demo"), tmp_path / "drift.png")
        with Image.open(tmp_path / "drift.png") as drawn:
            assert min(drawn.size) > 300
    assert Drift(10, None, (), 0.01).alarm is False


def test_p_values_are_corrected_by_holm() -> None:
    """Of four numbers the least likely one counts four times, the next three times, the others at least as much; none exceeds 1."""
    usual = UsualAnswers(dict.fromkeys("abcd", (0.3, 0.1)), cases=50)
    highest = {"a": 0.4, "b": 0.39, "c": 0.32, "d": 0.3}
    columns = {name: np.linspace(0.3, value, 20) for name, value in highest.items()}
    here = [{name: column[number] for name, column in columns.items()} for number in range(20)]

    def p_values(of: UsualAnswers) -> dict[str, float]:
        return {change.name: change.p for change in find_drift([NO_PICTURE] * 20, here, None, of, channels=()).changes}

    alone = {name: p_values(UsualAnswers({name: (0.3, 0.1)}, 50))[name] for name in "abcd"}
    assert alone["a"] < alone["b"] < 1 / 3 < 1 / 2 < alone["c"] < alone["d"] == pytest.approx(1.0)
    assert p_values(usual) == pytest.approx({"a": 4 * alone["a"], "b": 3 * alone["b"], "c": 1.0, "d": 1.0})


def test_unusualness_moves_by_validations_own_standard_deviation(known: Familiarity) -> None:
    """Twelve times one picture: the batch has no spread, and validation's is 1 by definition."""
    one = described(4000, gain=0.7)
    found = find_drift([one] * 12, [answer_numbers(0.3, {}, {})] * 12, known, None, channels=RGB)
    shifts = {change.name: change.shift for change in found.changes}
    for name, unusualness in known.unusual_parts(one).items():
        assert shifts[f"unusualness of the {name}"] == pytest.approx(unusualness)
    assert shifts["unusualness of all numbers together"] == pytest.approx(known.unusualness(one))
