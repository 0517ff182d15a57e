"""Scores of scans by hand, and the competition's average."""

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from medseg_monai.evaluation.metrics import score_case
from medseg_monai.evaluation.scan_scores import (
    ScanMasks,
    ScanScores,
    are_slices,
    competition_score,
    score_scan,
    slice_of,
    summarise_scans,
)

ORGANS = ("large_bowel", "stomach")


def volume(places, shape=(4, 5, 10)):
    """(slices, 1, W, H) with these voxels set."""
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask[:, None]


def one(pred, truth, **options):
    (row,) = score_scan(pred, truth, scan="case1_day2", classes=["stomach"], **options)
    return row


def test_a_scan_by_hand():
    # slice 0: half found (Dice 2/3); slice 1: missed (0); slice 2: invented (0); slice 3: nothing, leaves no trace
    truth = volume([(0, 0, 0), (0, 0, 1), (1, 0, 0)])
    pred = volume([(0, 0, 0), (2, 0, 0)])
    row = one(pred, truth)
    assert (row.slices, row.slices_with_class, row.outcome) == (4, 3, "ok")
    assert row.slice_dice == pytest.approx(2 / 9)
    assert (row.dice, row.jaccard) == pytest.approx((2 / 5, 1 / 4))
    assert row.hausdorff == pytest.approx(1 / 4 / 3**0.5)  # from slice 2 to slice 1, of 4 slices
    assert (row.truth_voxels, row.predicted_voxels) == (3, 2)
    score = competition_score([row])
    assert score.score == pytest.approx(0.4 * 2 / 9 + 0.6 * (1 - 1 / 4 / 3**0.5))


def test_classes_missing_from_the_whole_scan():
    some, none = volume([(0, 0, 0)]), volume([])
    outcomes = {
        "absent": (one(none, none), (1, 1, 0)),
        "missed": (one(none, some), (0, 0, 1)),
        "spurious": (one(some, none), (0, 0, 1)),
    }
    for outcome, (row, (dice, slice_dice, hausdorff)) in outcomes.items():
        assert (row.outcome, row.dice, row.slice_dice, row.hausdorff) == (outcome, dice, slice_dice, hausdorff)


def test_slices_and_cases_are_scored_alike():
    generator = np.random.default_rng(1)
    pred, truth = generator.random((2, 6, 2, 7, 8)) < 0.4
    rows = score_scan(pred, truth, scan="a", classes=ORGANS)
    for number, row in enumerate(rows):
        cases = [score_case(p, t, case="s", classes=ORGANS)[number] for p, t in zip(pred, truth, strict=True)]
        assert row.slice_dice == pytest.approx(np.mean([case.dice for case in cases]))
        places = [np.argwhere(mask[:, number]) / (6, 7, 8) for mask in (pred, truth)]
        far = max(directed_hausdorff(*places)[0], directed_hausdorff(*places[::-1])[0])
        assert row.hausdorff == pytest.approx(far / 3**0.5)


def test_missing_slices_keep_their_place():
    truth, pred = volume([(0, 0, 0)]), volume([(1, 0, 0)])
    row = one(pred[:2], truth[:2], numbers=[3, 12])
    assert row.hausdorff == pytest.approx(9 / 10 / 3**0.5)
    assert row.slices == 2


def scores(scan, organ, slices, counted, slice_dice, hausdorff, outcome="ok"):
    return ScanScores(scan, organ, slices, 0.5, 0.5, hausdorff, counted, slice_dice, 1, 1, outcome)


def test_the_competition_averages_rows():
    rows = [
        scores("a", "stomach", 100, 30, 0.9, 0.1),
        scores("a", "large_bowel", 100, 10, 0.5, 0.3),
        scores("b", "stomach", 80, 40, 0.8, 0.2),
        scores("b", "large_bowel", 80, 0, 1.0, 0.0, "absent"),  # counts nowhere
    ]
    dice = (30 * 0.9 + 10 * 0.5 + 40 * 0.8) / 80
    found = competition_score(rows)
    assert (found.dice, found.hausdorff) == pytest.approx((dice, 0.2))
    assert found.score == pytest.approx(0.4 * dice + 0.6 * 0.8)
    assert (found.slices, found.scans) == (80, 3)
    assert competition_score(rows, empty_dice=0).dice == pytest.approx(dice * 80 / 360)
    assert competition_score(rows, empty_dice=1).dice == pytest.approx((dice * 80 + 280) / 360)
    summary = summarise_scans(rows)
    assert summary["n_scans"] == 2
    assert summary["per_class"]["large_bowel"]["score"] == pytest.approx(0.4 * 0.5 + 0.6 * 0.7)
    assert summary["overall"]["score"] == pytest.approx(found.score)


def test_nothing_there_and_nothing_found_is_right():
    assert competition_score([]).score == 1
    assert competition_score([scores("a", "x", 9, 0, 1, 0, "absent")]).score == 1


def test_masks_are_kept_by_scan_in_the_order_of_their_numbers():
    generator = np.random.default_rng(0)
    slices = {number: generator.random((2, 2, 5, 3)) < 0.5 for number in (10, 2, 7)}
    kept, other = ScanMasks(), ScanMasks()
    for number, (pred, truth) in slices.items():
        kept.add(f"case1_day0_slice_{number:04d}", pred, truth)
    other.add("case2_day0_slice_0001", *slices[2])
    kept.merge(other)
    first, second = kept.scans()
    assert (first.name, first.numbers, second.name) == ("case1_day0", [2, 7, 10], "case2_day0")
    assert first.cases == ["case1_day0_slice_0002", "case1_day0_slice_0007", "case1_day0_slice_0010"]
    for place, number in enumerate(first.numbers):
        assert np.array_equal(np.stack([first.pred[place], first.truth[place]]), slices[number])
    assert len(kept.scores(ORGANS)) == 4
    kept.clear()
    assert len(kept) == 0


def test_what_is_no_scan_is_named():
    kept = ScanMasks()
    with pytest.raises(ValueError, match="'ISIC_1' is not a slice of a scan"):
        kept.add("ISIC_1", np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), bool))
    for number, side in enumerate((2, 3)):
        kept.add(f"a_slice_{number}", *np.zeros((2, 1, side, 2), bool))
    with pytest.raises(ValueError, match=r"scan a differ in size \(2x2, 3x2\)"):
        list(kept.scans())
    with pytest.raises(ValueError, match="scan s: pred has shape"):
        score_scan(np.zeros((2, 1, 2, 2), bool), np.zeros((1, 1, 2, 2), bool), scan="s", classes=["a"])


def test_slices_are_known_by_their_ids():
    assert slice_of("ward_3/case7_day0_slice_0012") == ("ward_3/case7_day0", 12)
    assert slice_of("case7_slice_x") is None
    assert are_slices(["a_slice_1", "b_slice_2"])
    assert not are_slices(["a_slice_1", "b"])
    assert not are_slices([])


@pytest.mark.parametrize("shift", [0, 3])
def test_a_whole_scan_takes_about_a_second(shift):
    grid = np.ogrid[0:144, 0:266, 0:266]
    organ = sum(((x - c) / r) ** 2 for x, c, r in zip(grid, (70, 130, 120), (40, 60, 50), strict=True)) < 1
    truth = np.stack([organ] * 3, axis=1)
    rows = score_scan(np.roll(truth, shift, axis=2), truth, scan="a", classes=["a", "b", "c"])
    assert rows[0].hausdorff == pytest.approx(shift / 266 / 3**0.5)
