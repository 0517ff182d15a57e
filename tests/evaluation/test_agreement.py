"""A network among annotators whose masks are made to differ by a known amount."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.agreement import (
    Annotators,
    PairJaccard,
    agreement_lines,
    compare_labels,
    in_words,
    read_agreement,
    summarise_agreement,
)
from medseg_monai.grids.photo import PhotoGrid

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))


def pairs(case, to_network, among):
    """A case of annotators a and b."""
    return [
        PairJaccard(case, "lesion", "network", "a", to_network[0]),
        PairJaccard(case, "lesion", "network", "b", to_network[1]),
        PairJaccard(case, "lesion", "a", "b", among),
    ]


def test_every_pair_has_scikit_learns_jaccard():
    generator = np.random.default_rng(0)
    labels = {name: generator.integers(0, 3, (1, 6, 7)).astype(np.uint8) for name in ("ann", "ben", "cy")}
    pred = generator.integers(0, 3, (1, 6, 7)).astype(np.uint8)
    found = compare_labels("x", pred, labels, ["organ", "tumour"])
    assert len(found) == 2 * 6
    for pair in found:
        number = 1 + (pair.class_name == "tumour")
        one, other = ({"network": pred, **labels}[name].ravel() == number for name in (pair.one, pair.other))
        assert pair.jaccard == pytest.approx(jaccard_score(other, one))


def test_empty_masks_agree_and_ignored_pixels_count_for_none():
    empty, some = np.zeros((1, 2, 2), np.uint8), np.array([[[1, 0], [0, 0]]], np.uint8)
    found = {(p.one, p.other): p.jaccard for p in compare_labels("x", empty, {"a": empty, "b": some}, ["lesion"])}
    assert found == {("network", "a"): 1, ("network", "b"): 0, ("a", "b"): 0}
    unsure = np.array([[[IGNORED, 0], [0, 0]]], np.uint8)
    found = {(p.one, p.other): p.jaccard for p in compare_labels("x", some, {"a": unsure, "b": empty}, ["lesion"])}
    assert set(found.values()) == {1}


def test_a_pixel_that_one_annotator_ignores_counts_for_none_of_the_pairs():
    """Of 2 x 3 pixels five are left: the network has all of them, ann three, ben two of these three."""
    everything = np.ones((1, 2, 3), np.uint8)
    ann, ben = everything.copy(), everything.copy()
    ann[0, 1, 2], ann[0, 0, :2], ben[0, 0] = IGNORED, 0, 0
    found = {(p.one, p.other): p.jaccard for p in compare_labels("x", everything, {"a": ann, "b": ben}, ["lesion"])}
    assert found == {("network", "a"): 3 / 5, ("network", "b"): 2 / 5, ("a", "b"): 2 / 3}


def test_summary_by_hand():
    everybody, ann, ben = summarise_agreement([*pairs("1", (0.8, 0.6), 0.9), *pairs("2", (0.5, 0.7), 0.3)])
    assert (everybody.who, everybody.cases) == ("", 2)
    assert everybody.network.mean == pytest.approx((0.7 + 0.6) / 2)
    assert everybody.annotators.mean == pytest.approx((0.9 + 0.3) / 2)
    assert everybody.difference.mean == pytest.approx(0.65 - 0.6)
    assert (ann.who, ann.network.mean, ann.annotators.mean) == ("a", pytest.approx(0.65), pytest.approx(0.6))
    assert (ben.who, ben.network.mean) == ("b", pytest.approx(0.65))
    assert "too few cases to tell" in in_words(everybody)


@pytest.mark.parametrize(
    ("shift", "words"),
    [(-0.2, "less than they do with each other"), (0.0, "cannot be told apart"), (0.2, "more than they do")],
)
def test_the_network_is_worse_than_equal_to_or_better_than_another_annotator(shift, words):
    generator = np.random.default_rng(3)
    found = []
    for number in range(30):
        near = generator.normal(0.7, 0.05, 3)
        found += pairs(str(number), near[:2] + shift, near[2])
    assert words in in_words(summarise_agreement(found)[0])


def test_nobody_can_be_told_apart_who_always_agrees():
    everybody = summarise_agreement([pair for number in range(6) for pair in pairs(str(number), (0.7, 0.7), 0.7)])[0]
    assert (everybody.difference.low, everybody.difference.high) == (0, 0)
    assert "cannot be told apart" in in_words(everybody)


def test_no_interval_of_a_jaccard_reaches_beyond_one():
    cases = [pair for number in range(10) for pair in pairs(str(number), (1.0, 1.0), 1.0 if number else 0.2)]
    cases += [pair for number in range(10, 20) for pair in pairs(str(number), (1.0, 1.0), 1.0 if number > 10 else 0.2)]
    everybody = summarise_agreement(cases)[0]
    assert everybody.annotators.mean == pytest.approx(0.92)
    assert everybody.annotators.high == 1
    assert everybody.difference.low <= 0.08 <= everybody.difference.high <= 1


def drawn(path, columns):
    """A mask whose first columns are set."""
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :columns] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return str(path)


def test_masks_are_read_compared_and_written(tmp_path):
    masks = {
        "x": {"ann": drawn(tmp_path / "a/x.png", 4), "ben": drawn(tmp_path / "b/x.png", 2)},
        "y": {"ann": drawn(tmp_path / "a/y.png", 4)},
    }
    annotators = Annotators(masks, SPEC)
    case = {"id": "x", "image": drawn(tmp_path / "x.png", 8), "label": "unused"}
    pred = np.zeros((1, 8, 8), np.uint8)
    pred[:, :3] = 1  # (W, H): the first 3 columns
    annotators.add(case, PhotoGrid((8, 8)), pred)
    annotators.add({**case, "id": "y"}, PhotoGrid((8, 8)), pred)  # one annotator alone is none to compare with
    annotators.add({**case, "id": "z"}, PhotoGrid((8, 8)), pred)
    everybody, *_ = annotators.write(tmp_path)
    assert everybody.cases == 1
    assert everybody.network.mean == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert everybody.annotators.mean == pytest.approx(2 / 4)
    assert str(read_agreement(tmp_path)[0]) == str(everybody)
    assert any(
        "| lesion | ann | 1 | 0.750 | 0.500 | 0.250 |" in line for line in agreement_lines(read_agreement(tmp_path))
    )
    annotators.clear()
    assert annotators.write(tmp_path) == read_agreement(tmp_path) == []


def test_a_mask_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path, caplog):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    masks = {
        "x": {"ann": drawn(tmp_path / "a.png", 4), "ben": str(tmp_path / "bad.png"), "cy": drawn(tmp_path / "c.png", 4)}
    }
    annotators = Annotators(masks, SPEC)
    annotators.add({"id": "x", "image": drawn(tmp_path / "x.png", 8)}, PhotoGrid((8, 8)), np.zeros((1, 8, 8), np.uint8))
    assert [(p.one, p.other) for p in annotators.pairs] == [("network", "ann"), ("network", "cy"), ("ann", "cy")]
    assert "ben, case x" in annotators.unread[0]
    assert any("Not read: ben, case x" in line for line in agreement_lines([], annotators.unread))


def test_a_file_that_is_no_table_of_agreement_is_named(tmp_path):
    (tmp_path / "agreement.csv").write_text("case,jaccard\nx,high\n")
    with pytest.raises(ValueError, match="not a table of agreement"):
        read_agreement(tmp_path)
