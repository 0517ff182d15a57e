"""Which prediction a person should look at first, by hand."""

import pytest

from medseg_monai.outputs.order import EMPTY, FINE, FLAGGED, PredictedCase

ROW = {"class": "liver", "pixels": "5", "uncertainty": "0.25", "flagged": "no", "reason": "", "predicted_dice": "0.8"}


def of(*rows: dict[str, str]) -> PredictedCase:
    return PredictedCase.of("a", [ROW | row for row in rows])


def test_a_case_from_its_rows() -> None:
    two = of({}, {"class": "tumour", "pixels": "0", "predicted_dice": "0.5"})
    assert two == PredictedCase(
        "a", {"liver": 5, "tumour": 0}, 0.25, flagged=False, predicted_dice={"liver": 0.8, "tumour": 0.5}
    )
    assert (two.lowest_dice, two.mark) == (0.5, FINE)
    unknown = of({"uncertainty": "", "flagged": "", "predicted_dice": ""})
    assert (unknown.uncertainty, unknown.flagged, unknown.lowest_dice) == (None, None, None)
    older = PredictedCase.of("a", [{"class": "a", "pixels": "0", "uncertainty": "", "flagged": ""}])
    assert (older.reason, older.predicted_dice, older.mark) == ("", {}, EMPTY)
    assert of({"flagged": "yes", "pixels": "0"}).mark == FLAGGED


def case(
    name: str, pixels: int = 9, dice: float | None = None, *, reason: str = "", unsure: float | None = None
) -> PredictedCase:
    return PredictedCase(name, {"a": pixels}, unsure, bool(reason), reason, {} if dice is None else {"a": dice})


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_by_hand(backwards: bool) -> None:
    cases = [
        case("unlike, good", dice=0.9, reason="unlike the training images: colours"),
        case("poor", dice=0.2, reason="its mask may be poor", unsure=0.1),
        case("poor, less so", dice=0.3, reason="its mask may be poor", unsure=0.9),
        case("flagged, unknown Dice", reason="uncertain outline", unsure=0.9),
        case("empty", 0, 0.95),
        case("fine, 0.8", dice=0.8),
        case("fine, 0.99", dice=0.99),
        case("unknown, unsure", unsure=0.6),  # as good as perfect
        case("perfect, unsure", dice=1.0, unsure=0.5),
        case("unknown, less unsure", unsure=0.4),
        case("a", unsure=None),
        case("b", unsure=0.0),
    ]
    names = [one.case for one in cases]
    found = sorted(reversed(cases) if backwards else cases, key=lambda one: one.urgency)
    assert [one.case for one in found] == names
