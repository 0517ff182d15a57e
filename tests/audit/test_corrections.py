"""What is wrong with labels that are wrong in one way, by networks that see the truth."""

import math

import numpy as np
import pytest
from audited import disc, sure
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.audit.corrections import WEIGHTS, Correction, best_shift, corrections_of, shifted, smoothed
from medseg_monai.audit.evidence import MOST_NATS, Evidence, evidence_of

NATS = math.log(0.98 / 0.02)
TWO = ("front", "back")


def found(
    label: np.ndarray, truth: np.ndarray, classes: tuple[str, ...] = ("disc",), task: str = "binary"
) -> dict[str, Correction]:
    """The correction of each kind of most evidence."""
    shares = sure(truth) if task != "multiclass" else np.where(truth, 0.98, 0.02 / len(truth)).astype(np.float32)
    corrections = corrections_of(evidence_of(label, shares, task=task), classes)  # type: ignore[arg-type]
    return {one.kind: one for one in sorted(corrections, key=lambda one: one.evidence)}


def best(corrections: dict[str, Correction]) -> str:
    return max(corrections.values(), key=lambda one: one.explained).kind


def test_a_right_label_needs_no_correction() -> None:
    truth = disc(30, 24, 10)[None]
    assert found(truth, truth) == {}


def test_a_shift_is_found_with_its_length() -> None:
    truth = disc(30, 24, 10)[None]
    corrections = found(shifted(truth, (6, -8)), truth)
    assert corrections["shifted"].words == "fits better when moved by 10 pixels"
    assert best(corrections) == "shifted"
    # every pixel that it changes is right afterwards, so each is worth all that the network says
    one = corrections["shifted"]
    assert one.gain / one.changed == pytest.approx(NATS, rel=1e-4)


def test_a_part_that_is_missing_is_its_share_of_the_structure() -> None:
    truth = disc(30, 24, 10)[None]
    label = truth.copy()
    label[:, 30:] = False
    corrections = found(label, truth)
    assert best(corrections) == "missing part"
    one = corrections["missing part"]
    changed = np.count_nonzero(truth) - np.count_nonzero(label)
    size = (np.count_nonzero(truth) + np.count_nonzero(label)) / 2
    assert (one.changed, one.size, one.gain) == (changed, size, pytest.approx(changed * NATS, rel=1e-4))
    assert one.words == f"lacks a part of disc ({100 * changed / size:.0f} % of its size)"


def test_a_part_of_which_the_network_is_unsure_is_worth_little() -> None:
    truth = disc(30, 24, 10)[None]
    label = truth.copy()
    label[:, 30:] = False
    shares = np.where(label, 0.98, np.where(truth, 0.6, 0.02)).astype(np.float32)
    corrections = corrections_of(evidence_of(label, shares, task="binary"), ("disc",))
    (part,) = (one for one in corrections if one.kind == "missing part")
    changed = np.count_nonzero(truth & ~label)
    assert (part.changed, part.gain) == (changed, pytest.approx(changed * math.log(1.5), rel=1e-4))


def test_no_label_is_moved_by_more_than_half_of_its_extent() -> None:
    mask = np.zeros((1, 3, 20), bool)
    mask[0, :, 4:8] = True
    odds = np.full(mask.shape, -2, np.float32)
    odds[0, :, 7:11] = 2  # three to the right
    shift, likelihood = best_shift(mask, odds)
    assert shift == (0, 2)
    assert likelihood == pytest.approx(3 * (3 * 2 - 2), abs=1e-3)


def test_a_part_too_much_need_not_touch_the_rest() -> None:
    truth = disc(20, 24, 8)[None]
    label = truth | disc(45, 24, 4)
    corrections = found(label, truth)
    assert best(corrections) == "extra part"
    assert corrections["extra part"].changed == np.count_nonzero(disc(45, 24, 4))


def test_an_empty_label_is_empty_by_mistake_only_if_the_network_sees_something() -> None:
    truth = disc(30, 24, 10)[None]
    empty = np.zeros_like(truth)
    corrections = found(empty, truth)
    assert set(corrections) == {"empty by mistake"}
    assert corrections["empty by mistake"].words == "has no disc, and the network sees some"
    assert found(empty, empty) == {}


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_two_classes_exchanged(task: str) -> None:
    truth = np.stack([disc(18, 24, 8), disc(42, 20, 6)])
    corrections = found(truth[::-1].copy(), truth, TWO, task)
    assert best(corrections) == "swapped classes"
    assert corrections["swapped classes"].classes == (0, 1)


def test_a_part_of_another_class_is_named_by_both() -> None:
    truth = np.zeros((2, 40, 20), bool)
    truth[0, 5:20, 5:15], truth[1, 20:35, 5:15] = True, True
    label = truth.copy()
    label[0, 20:27, 5:15], label[1, 20:27, 5:15] = True, False
    one = found(label, truth, TWO, "multiclass")["swapped classes"]
    assert one.classes == (0, 1)
    assert one.words.startswith("names a part front where the network sees back")
    assert one.changed == 7 * 10


def test_classes_that_may_overlap_are_shifted_one_by_one() -> None:
    truth = np.stack([disc(25, 24, 9), disc(30, 24, 9)])
    label = np.stack([truth[0], shifted(truth[1:], (0, 7))[0]])
    one = found(label, truth, TWO, "multilabel")["shifted"]
    assert (one.classes, one.words) == ((1,), "fits better when moved by 7 pixels")


def test_a_jagged_outline_is_better_smooth() -> None:
    truth = disc(30, 24, 14)[None]
    label = truth.copy()
    outline = truth & ~smoothed(truth) | (disc(30, 24, 16)[None] & ~truth)
    label ^= outline & (np.indices(truth.shape).sum(axis=0) % 3 == 0)
    corrections = found(label, truth)
    assert corrections["jagged outline"].gain > 0
    assert "jagged outline" not in found(truth, truth)


def test_evidence_is_per_pixel_less_for_small_changes_and_never_above_the_most() -> None:
    assert Correction("missing part", (0,), gain=300, changed=100, size=1000).evidence == pytest.approx(3 * 100 / 134)
    assert Correction("missing part", (0,), gain=3, changed=1, size=1000).evidence == pytest.approx(3 / 35)
    weight = WEIGHTS["jagged outline"]
    assert Correction("jagged outline", (0,), 300, 100, 1000).evidence == pytest.approx(weight * 3 * 100 / 134)
    assert Correction("jagged outline", (0,), 600, 100, 0).evidence == MOST_NATS
    assert Correction("missing part", (0,), gain=-1, changed=5, size=10).evidence == 0


@given(
    by=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    seed=st.integers(0, 20),
)
def test_the_best_shift_is_that_of_trying_all(by: tuple[int, int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    mask = np.zeros((1, 24, 22), bool)
    mask[0, 8:15, 7:14] = chance.random((7, 7)) < 0.8
    odds = np.where(shifted(mask, by), 2, -2).astype(np.float32) + chance.normal(0, 0.3, mask.shape).astype(np.float32)
    tried = {
        (i, j): float(odds[shifted(mask, (i, j))].sum(dtype=np.float64)) for i in range(-4, 5) for j in range(-4, 5)
    }
    shift, likelihood = best_shift(mask, odds)
    assert shift == max(tried, key=lambda one: tried[one]) == by
    assert likelihood == pytest.approx(tried[by], abs=1e-3)


def test_moving_a_label_out_of_the_picture_gains_nothing() -> None:
    mask = np.zeros((1, 12, 12), bool)
    mask[0, 0:4, 4:8] = True  # at the edge, and nothing is there
    odds = np.full(mask.shape, -MOST_NATS, np.float32)
    assert [one.kind for one in corrections_of(Evidence(mask, odds, exclusive=False), ("disc",))] == ["extra part"]


def test_volumes_are_corrected_in_voxels() -> None:
    truth = np.zeros((1, 20, 22, 18), bool)
    truth[0, 6:14, 7:15, 5:12] = True
    corrections = found(shifted(truth, (3, 0, 0)), truth)
    assert best(corrections) == "shifted"
    assert corrections["shifted"].words == "fits better when moved by 3 voxels"
