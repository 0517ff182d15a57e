"""The rule of thumb that plans are compared by: what it grows with, and the scores that it was fitted to."""

from dataclasses import replace

import pytest
from drawn_facts import PHOTOS, facts
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.planning.candidates import photo_candidates
from medseg_monai.planning.expectation import expected_score, outline_loss

FORMS = [each for each in photo_candidates("UNet", PHOTOS) if not each.pretrained]


@given(pictures=st.floats(1, 1e7), more=st.floats(1, 10))
def test_the_expected_score_grows_with_pictures_size_and_width(pictures: float, more: float) -> None:
    narrow, wide = FORMS[0], FORMS[1]
    score = expected_score(facts(), narrow, (128, 96), pictures)
    assert expected_score(facts(), narrow, (128, 96), pictures * more) >= score
    assert expected_score(facts(), narrow, (256, 192), pictures) >= score
    assert expected_score(facts(), wide, (128, 96), pictures) >= score
    assert expected_score(facts(), replace(narrow, pretrained=True), (128, 96), pictures) >= score


def test_the_expected_scores_are_those_measured() -> None:
    """ISIC 2017 (docs/results): 0.803 after 8 epochs of 1,594 pictures at half size of 128 pixels, 0.834 after 32."""
    isic = facts(1594, thickness=0.2885, smallest=0.1423)
    eight, thirty = (expected_score(isic, FORMS[0], (128, 128), 1594 * epochs) for epochs in (8, 32))
    assert thirty - eight == pytest.approx(0.834 - 0.803, abs=0.01)


def test_an_outline_costs_more_the_fewer_cells_a_structure_has() -> None:
    one = replace(FORMS[0], stride=1)
    # 0.1 of 200 pixels: 20 cells thick in all structures, so that 0.35 / 20 are lost
    assert outline_loss(facts(thickness=0.1, smallest=0.1), one, (200, 100)) == pytest.approx(0.35 / 20)
    assert outline_loss(facts(thickness=0.1, smallest=0.1), replace(one, stride=2), (200, 100)) == pytest.approx(
        0.35 / 10
    )


def test_a_patch_of_half_the_side_costs_context_and_counts_less() -> None:
    cube = replace(facts(volumes=True), sizes=((64, 64, 64),) * 3, classes={})
    form = replace(FORMS[0], width=16)
    # an eighth is seen: 0.02 for one halving of the side, and 1.2 over the root of 400 over the root of 8
    assert expected_score(cube, form, (64, 64, 64), 400) == pytest.approx(0.87 - 1.2 / 20)
    assert expected_score(cube, form, (32, 32, 32), 400) == pytest.approx(0.87 - 1.2 / (400 / 8**0.5) ** 0.5 - 0.02)


def test_nothing_is_expected_of_no_pictures() -> None:
    assert expected_score(facts(), FORMS[0], (128, 96), 0) == 0.0


def test_a_coarser_grid_costs_outline() -> None:
    one = replace(FORMS[0], stride=1)
    thin = facts(thickness=0.1, smallest=0.1, volumes=True)  # 10 voxels
    assert outline_loss(thin, one, (64, 64, 64)) == pytest.approx(0.35 / 10)
    assert outline_loss(thin, one, (64, 64, 64), coarser=2.0) == pytest.approx(0.35 / 5)
    hidden = replace(thin.classes["lesion"], cases=0.0)
    assert outline_loss(replace(thin, classes={"lesion": hidden}), one, (64, 64, 64)) == 0.0


def test_the_outlines_of_several_classes_cost_their_mean() -> None:
    """Classes that no mask shows cost nothing."""
    form = photo_candidates("UNet", PHOTOS)[0]
    one = facts(thickness=0.3, smallest=0.1).classes["lesion"]
    thin = facts(thickness=0.1, smallest=0.05).classes["lesion"]
    alone = [outline_loss(replace(facts(), classes={"a": each}), form, (256, 192)) for each in (one, thin)]
    assert alone[0] < alone[1]
    several = replace(facts(), classes={"a": one, "b": thin, "c": replace(thin, cases=0.0)})
    assert outline_loss(several, form, (256, 192)) == pytest.approx(sum(alone) / 2)
    assert outline_loss(replace(facts(), classes={}), form, (256, 192)) == 0.0
