import numpy as np
import pytest
from audited import disc, sure

from medseg_monai.audit.exchange import SIDES, find_exchanged, thumbnail_of, turns_of

PLACES = [(15, 15, 8), (45, 15, 8), (15, 35, 8), (45, 35, 8), (30, 24, 6)]


def thumbnails(labels: list[int]) -> list:
    """Pictures that show a disc each, and the discs that are their labels."""
    truths = [disc(*place) for place in PLACES]
    return [
        thumbnail_of(truths[label][None], sure(truth)[None], task="binary")
        for truth, label in zip(truths, labels, strict=True)
    ]


def test_masks_of_other_pictures_are_found_with_the_picture_that_they_fit() -> None:
    found = find_exchanged(thumbnails([1, 0, 2, 3, 3]), list("abcde"))
    assert [None if one is None else one.other for one in found] == [1, 0, None, None, 3]
    assert all(one is None or one.correction.evidence > 2.5 for one in found)


def test_pictures_of_the_same_patient_do_not_count() -> None:
    found = find_exchanged(thumbnails([1, 1, 2, 3, 4]), list("aacde"))
    assert found[0] is None or found[0].correction.evidence < 1


def test_an_empty_label_is_nobody_elses() -> None:
    empty = thumbnail_of(np.zeros((1, 60, 48), bool), sure(disc(15, 15, 8))[None], task="binary")
    assert find_exchanged([empty, *thumbnails([0, 1, 2, 3, 4])], list("fabcde"))[0] is None
    assert find_exchanged([], []) == []


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda mask: np.flip(mask, 1), "fits better mirrored along axis 1"),
        (lambda mask: np.flip(mask, 2), "fits better mirrored along axis 2"),
        (lambda mask: np.flip(mask, (1, 2)), "fits better turned by 180 degrees"),
    ],
)
def test_mirrored_and_turned_labels(turn, words: str) -> None:
    truth = (disc(12, 10, 7) | disc(25, 12, 5))[None]
    (one,) = turns_of(thumbnail_of(turn(truth), sure(truth), task="binary"), square=False)
    assert (one.kind, one.words) == ("mirrored or turned", words)
    assert one.evidence > 3
    assert turns_of(thumbnail_of(truth, sure(truth), task="binary"), square=False) == []


def test_labels_of_square_pictures_may_have_their_axes_exchanged() -> None:
    truth = disc(12, 30, 7, shape=(48, 48))[None]
    thumbnail = thumbnail_of(truth.swapaxes(1, 2), sure(truth), task="binary")
    (one,) = turns_of(thumbnail, square=True)
    assert one.words == "fits better with its axes exchanged"


def test_labels_of_square_pictures_may_be_turned_by_a_quarter() -> None:
    truth = (disc(12, 30, 7, shape=(48, 48)) | disc(30, 40, 4, shape=(48, 48)))[None]
    (one,) = turns_of(thumbnail_of(np.rot90(truth, axes=(1, 2)), sure(truth), task="binary"), square=True)
    assert one.words.startswith("fits better mirrored along axis")
    assert one.words.endswith("and with its axes exchanged")
    assert one.gain / one.changed == pytest.approx(np.log(49), rel=1e-3)  # every pixel is right afterwards


def test_ignored_pixels_say_nothing_and_overlapping_classes_are_expected_each_for_itself() -> None:
    shares = np.full((2, 96, 48), 0.9, np.float32)
    ignored = np.zeros((1, 96, 48), bool)
    ignored[:, :48] = True
    thumbnail = thumbnail_of(np.ones((2, 96, 48), bool), shares, task="multilabel", ignored=ignored)
    assert not thumbnail.odds[:, :24].any()
    assert thumbnail.odds[:, 24:] == pytest.approx(np.log(9), abs=1e-5)
    assert thumbnail.expected[:, 24:].all()


def test_volumes_are_mirrored_along_any_axes() -> None:
    truth = np.zeros((1, 24, 20, 22), bool)
    truth[0, 2:8, 3:9, 4:9] = True
    (one,) = turns_of(thumbnail_of(np.flip(truth, (1, 3)), sure(truth), task="binary"), square=False)
    assert one.words == "fits better mirrored along axis 1 and axis 3"
    assert thumbnail_of(truth, sure(truth), task="binary").masks.shape[1:] == SIDES[3]
