"""Which class was taken for which: counts that one can do by hand."""

import numpy as np
import pytest

from medseg_monai.evaluation.confusion import (
    NOTHING,
    OVERLAP_FILE,
    count_label_overlap,
    count_overlap,
    read_overlap,
    write_overlap,
)
from medseg_monai.evaluation.metrics import class_masks

TRUTH = np.array([[[1, 1, 1, 0, 0, 0]], [[0, 0, 1, 1, 0, 0]]], bool)  # the third pixel is of both classes
PRED = np.array([[[1, 0, 1, 0, 0, 0]], [[0, 1, 1, 0, 1, 0]]], bool)


def test_counts_and_shares():
    overlap = count_overlap(PRED, TRUTH, ["a", "b"])
    assert overlap.pixels.tolist() == [3, 2, 1]
    assert overlap.counts.tolist() == [[2, 2, 0], [1, 1, 1], [0, 1, 0]]
    assert overlap.shares[:2].tolist() == [pytest.approx([2 / 3, 2 / 3, 0]), [0.5, 0.5, 0.5]]
    assert np.isnan(overlap.shares[2, 2])


def test_diagonal_is_the_pixels_found_and_blocks_add_up():
    generator = np.random.default_rng(0)
    pred, truth = generator.random((2, 3, 700, 800)) > 0.7  # more pixels than are counted at a time
    overlap = count_overlap(pred, truth, ["a", "b", "c"])
    assert overlap.counts.diagonal()[:3].tolist() == [(p & t).sum() for p, t in zip(pred, truth, strict=True)]
    assert overlap.pixels[:3].tolist() == truth.sum(axis=(1, 2)).tolist()
    assert overlap.counts[0, 3] == (truth[0] & ~pred.any(axis=0)).sum()
    assert overlap.pixels[3] == (~truth.any(axis=0) & pred.any(axis=0)).sum()


@pytest.mark.parametrize(("channels", "classes"), [(1, 3), (3, 3), (1, 2), (2, 2), (1, 1)])
def test_labels_give_what_their_masks_give(channels, classes):
    highest = classes + 1 if channels == 1 else 2
    pred, truth = np.random.default_rng(0).integers(0, highest, (2, channels, 60, 70, 80), dtype=np.uint8)
    names = ["a", "b", "c"][:classes]
    ours = count_label_overlap(pred, truth, names)
    theirs = count_overlap(class_masks(pred, classes), class_masks(truth, classes), names)
    assert (ours.counts == theirs.counts).all()
    assert (ours.pixels == theirs.pixels).all()


def test_cases_add_up_and_an_empty_one_adds_nothing():
    one = count_overlap(PRED, TRUTH, ["a", "b"])
    empty = count_overlap(PRED & False, TRUTH & False, ["a", "b"])
    assert (one + one).counts.tolist() == (one.counts * 2).tolist()
    assert (one + empty).pixels.tolist() == one.pixels.tolist()
    assert np.isnan(empty.shares).all()


def test_written_and_read(tmp_path):
    overlap = count_overlap(PRED, TRUTH, ["large, bowel", '"b"'])
    write_overlap(tmp_path, overlap)
    assert (tmp_path / OVERLAP_FILE).read_text().splitlines()[-1] == f"{NOTHING},1,0,1,0"
    back = read_overlap(tmp_path)
    assert back.classes == overlap.classes
    assert (back.pixels.tolist(), back.counts.tolist()) == (overlap.pixels.tolist(), overlap.counts.tolist())


def test_no_file_and_a_broken_one(tmp_path):
    assert read_overlap(tmp_path) is None
    (tmp_path / OVERLAP_FILE).write_text("truth,pixels,a,nothing\na,3\n")
    with pytest.raises(ValueError, match="not a table of overlaps"):
        read_overlap(tmp_path)
