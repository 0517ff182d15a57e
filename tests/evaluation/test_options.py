"""Options of the measures: their defaults, and values that are none."""

import pytest

from medseg_monai.evaluation.options import MeasureOptions


def test_defaults_are_shares_of_a_photographs_diagonal_and_millimetres_of_a_volume():
    options = MeasureOptions()
    assert options.tolerance_of((30, 40), (1, 1)) == pytest.approx(0.5)
    assert options.tolerance_of((30, 40), (2, 2)) == pytest.approx(1)
    assert options.tolerance_of((30, 40, 12), (1, 1, 5)) == 2
    assert options.boundary_width_of((30, 40), (1, 1)) == pytest.approx(1)
    assert options.boundary_width_of((3, 4, 12), (1, 1, 1)) == pytest.approx(0.26)


def test_what_is_given_holds_for_every_image():
    options = MeasureOptions(tolerance=3, boundary_width=7)
    assert [options.tolerance_of(shape, (1,) * len(shape)) for shape in ((9, 9), (5, 5, 5))] == [3, 3]
    assert options.boundary_width_of((900, 900), (1, 1)) == 7
    assert MeasureOptions(**options.to_dict()) == options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tolerance": 0}, "tolerance is a distance above 0, or null for the default, not 0"),
        ({"tolerance": "2 mm"}, "not '2 mm'"),
        ({"boundary_width": float("nan")}, "boundary_width is a distance above 0"),
        ({"tolerance": True}, "not True"),
        ({"lesion_iou": 1}, r"lesion_iou is a number from 0 \(any overlap\) to below 1, not 1"),
        ({"lesion_iou": -0.1}, "not -0.1"),
        ({"lesion_iou": None}, "not None"),
    ],
)
def test_other_values_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        MeasureOptions(**given)
