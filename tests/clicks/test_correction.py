"""Corrections by clicks and a box: what is promised of them, on masks that one can draw."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg_monai.clicks import Box, Click, correct
from medseg_monai.clicks.correction import Corrected

ROWS, COLUMNS = np.mgrid[:120, :160]
ONE = {"classes": ["lesion"], "task": "binary"}


def softly(distance: np.ndarray, radius: float) -> np.ndarray:
    """Probabilities of a disc, even at its outline."""
    return (1 / (1 + np.exp((distance - radius) / 3))).astype(np.float32)


def two_discs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image with a dark disc of radius 30 of which the network found 20, and a dark one far away that it found.

    Returns:
        Probabilities, image (1, H, W), the true first disc.
    """
    first, second = np.hypot(ROWS - 60, COLUMNS - 45), np.hypot(ROWS - 60, COLUMNS - 145)
    truth = first <= 30
    probability = np.maximum(softly(first, 20), softly(second, 5))
    return probability, np.where(truth | (second <= 5), 40.0, 160.0)[None], truth


def corrected(probability: np.ndarray, clicks: list[Click], **options: object) -> Corrected:
    return correct((probability > 0.5).astype(np.uint8), probability[None], clicks, **{**ONE, **options})


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_one_click_on_a_missed_rim_adds_it_and_leaves_the_skin():
    probability, image, truth = two_discs()
    near = COLUMNS < 130
    before = jaccard(probability[near] > 0.5, truth[near])
    found = corrected(probability, [Click(60, 70)], image=image).mask > 0
    after = jaccard(found[near], truth[near])
    assert not found[near & ~truth].any()
    assert before < 0.45
    assert after > 0.65


def test_one_click_on_a_false_part_removes_all_of_it_and_nothing_else():
    probability, image, _ = two_discs()
    found = corrected(probability, [Click(60, 145, inside=False)], image=image)
    assert not found.mask[:, 130:].any()
    assert np.array_equal(found.mask[:, :100] > 0, probability[:, :100] > 0.5)


def test_what_is_far_away_stays_to_the_bit():
    """The clicked part has a radius of 5: nothing changes beyond 6 x 5 pixels, and a pixel of the coarser grid."""
    probability, image, _ = two_discs()
    found = corrected(probability, [Click(60, 145, inside=False)], image=image)
    far = np.maximum(abs(ROWS - 60), abs(COLUMNS - 145)) > 33
    assert np.array_equal(found.probabilities[0][far], probability[far])
    assert np.array_equal(found.mask[far] > 0, probability[far] > 0.5)


def test_a_click_near_the_outline_means_a_detail():
    """A pixel beyond it reaches 24 pixels, or 48 as the outline lies between pixels; twenty beyond it reaches the whole object."""
    distance = np.hypot(ROWS - 60, COLUMNS - 80)
    probability = softly(distance, 30)
    changed = [corrected(probability, [Click(60, at)]).probabilities[0] != probability for at in (111, 130)]
    assert changed[0][60, 111]
    assert not changed[0][:, : 111 - 48].any()
    assert changed[1].sum() > 2 * changed[0].sum()


def test_clicks_that_the_mask_confirms_change_nothing():
    probability, image, _ = two_discs()
    found = corrected(probability, [Click(60, 45), Click(5, 5, inside=False)], image=image)
    assert np.array_equal(found.mask > 0, probability > 0.5)


def test_a_click_that_the_mask_confirms_leaves_the_pixels_beside_it():
    """A pixel that was cleaned away, well inside, with a click next to it."""
    probability = softly(np.hypot(ROWS - 60, COLUMNS - 60), 40)
    mask = (probability > 0.5).astype(np.uint8)
    mask[60, 60] = 0
    found = correct(mask, probability[None], [Click(60, 61), Click(5, 150, inside=False)], **ONE)
    assert np.array_equal(found.mask, mask)


@pytest.mark.parametrize("side", [1.0, 0.25, 4.0])
def test_a_click_on_a_wrong_pixel_also_concerns_those_that_touch_it(side: float):
    """Also if nothing in the image resembles it; but not those that are nearer to a click that says the opposite."""
    noise = np.random.default_rng(0).normal(size=(30, 41, 51))
    clicks = [Click(20, 25), Click(20, 27, inside=False)]
    mask, probability = np.zeros((41, 51), np.uint8), np.zeros((1, 41, 51), np.float32)
    found = correct(mask, probability, clicks, image=noise, spacing=(side, side), **ONE)
    assert found.mask[19:22, 24:27].all()
    assert not found.mask[19:22, 27:].any()


def test_the_unit_of_the_spacing_does_not_matter():
    probability, image, _ = two_discs()
    clicks = [Click(60, 70), Click(60, 145, inside=False)]
    found = [corrected(probability, clicks, image=image, spacing=(side, side)) for side in (1.0, 0.25, 4.0)]
    assert np.array_equal(found[0].mask, found[1].mask)
    assert np.array_equal(found[0].mask, found[2].mask)


def test_a_speck_in_what_a_click_adds_is_added_with_it():
    probability, image, _ = two_discs()
    image[0, 70:73, 62:65] = 900  # a reflection on the missed rim, unlike the skin and the lesion
    found = corrected(probability, [Click(60, 70)], image=image)
    assert found.mask[68:75, 61:66].all()
    assert (found.probabilities[0, 70:73, 62:65] > 0.5).all()


def test_no_clicks_no_change():
    probability, image, _ = two_discs()
    found = corrected(probability, [], image=image)
    assert np.array_equal(found.mask > 0, probability > 0.5)
    assert np.array_equal(found.probabilities[0], probability)


PLACES = st.tuples(st.integers(0, 30), st.integers(0, 40), st.booleans())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), places=st.lists(PLACES, min_size=1, max_size=12), threshold=st.floats(0.1, 0.9))
def test_every_click_is_right_in_any_order(seed: int, places: list[tuple[int, int, bool]], threshold: float):
    """Also of noise, beside each other, and whatever threshold made the mask; nothing that was given is changed."""
    generator = np.random.default_rng(seed)
    probability = generator.random((31, 41), np.float32)
    image = generator.integers(0, 255, (3, 31, 41)).astype(np.uint8)
    clicks = [Click(*at, inside) for at, inside in {(row, column): inside for row, column, inside in places}.items()]
    mask, given_probability = (probability > threshold).astype(np.uint8), probability.copy()
    found = correct(mask, probability[None], clicks, image=image, **ONE)
    assert all(found.mask[click.row, click.column] == click.inside for click in clicks)
    again = correct(mask, probability[None], clicks[::-1], image=image, **ONE)
    assert np.array_equal(found.mask, again.mask)
    assert np.array_equal(found.probabilities, again.probabilities)
    assert np.array_equal(probability, given_probability)
    assert np.array_equal(mask, probability > threshold)
    assert found.mask.dtype == np.uint8
    assert found.probabilities.dtype == np.float32
    changed = found.mask != mask
    assert np.array_equal((found.probabilities[0] >= 0.5)[changed], found.mask[changed] > 0)
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()


def test_inside_clicks_only_add_and_outside_clicks_only_remove():
    probability, image, _ = two_discs()
    before = probability > 0.5
    assert not (before & (corrected(probability, [Click(60, 70)], image=image).mask == 0)).any()
    assert not (~before & (corrected(probability, [Click(60, 55, inside=False)], image=image).mask > 0)).any()


def test_a_click_into_an_empty_mask_draws_something_around_it():
    """With nothing to go by, a spot; in an image, no more than what looks the same."""
    nothing = np.zeros((120, 160), np.float32)
    spot = corrected(nothing, [Click(60, 80)]).mask > 0
    assert spot[60, 80]
    assert 5 < spot.sum() < 0.1 * spot.size
    row, column = np.argwhere(spot).mean(axis=0)
    assert abs(row - 60) < 1
    assert abs(column - 80) < 1


def test_a_disc_is_the_same_at_any_resolution():
    """At four times the size the corrected outline is that of the small image, enlarged."""
    probability, image, _ = two_discs()
    small = corrected(probability, [Click(60, 70)], image=image).mask
    large = correct(
        np.kron(probability > 0.5, np.ones((4, 4))).astype(np.uint8),
        np.kron(probability, np.ones((4, 4), np.float32))[None],
        [Click(242, 282)],
        image=np.kron(image, np.ones((1, 4, 4))),
        **ONE,
    ).mask
    assert jaccard(large > 0, np.kron(small, np.ones((4, 4))) > 0) > 0.95


def test_a_volume_with_long_voxels():
    """(I, J, K) with 1 x 1 x 4 mm: a ball of 12 mm of which the network found 8; column is I, row is J."""
    i, j, k = np.mgrid[:40, :50, :12]
    distance = np.sqrt((i - 20) ** 2 + (j - 22) ** 2 + (4 * (k - 6)) ** 2)
    probability, truth = softly(distance, 8), distance <= 12
    image = np.where(truth, 300.0, 0.0)[None]
    click = Click(22, 30, slice=6)
    found = correct(
        (probability > 0.5).astype(np.uint8), probability[None], [click], image=image, spacing=(1, 1, 4), **ONE
    )
    assert found.mask[30, 22, 6] == 1
    assert jaccard(found.mask > 0, truth) > 0.4 > 0.3 > jaccard(probability > 0.5, truth)


def exclusive_discs() -> tuple[np.ndarray, np.ndarray]:
    """Mask and probabilities of two classes side by side, of which the first takes too much."""
    left, right = softly(np.hypot(ROWS - 60, COLUMNS - 60), 30), softly(np.hypot(ROWS - 60, COLUMNS - 110), 20)
    probabilities = np.stack([0.98 * left, 0.98 * right * (1 - left)])
    return np.concatenate([1 - probabilities.sum(axis=0, keepdims=True), probabilities]).argmax(0), probabilities


def test_of_exclusive_classes_a_pixel_is_taken_from_the_other():
    mask, probabilities = exclusive_discs()
    options = {"classes": ["left", "right"], "task": "multiclass"}
    assert mask[60, 85] == 1
    found = correct(mask.astype(np.uint8), probabilities, [Click(60, 85, class_name="right")], **options)
    assert found.mask[60, 85] == 2
    assert found.probabilities[1, 60, 85] == found.probabilities[:, 60, 85].max()
    assert np.allclose(found.probabilities.sum(axis=0).clip(0, 1), found.probabilities.sum(axis=0), atol=1e-5)
    gone = correct(mask.astype(np.uint8), probabilities, [Click(60, 85, inside=False)], **options)
    assert gone.mask[60, 85] == 0
    assert not gone.mask[(gone.mask != mask)].any()  # all that is taken from one class is background
    not_left = correct(
        mask.astype(np.uint8), probabilities, [Click(60, 85, inside=False, class_name="left")], **options
    )
    assert not_left.mask[60, 85] != 1


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    places=st.lists(st.tuples(PLACES, st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=10),
)
def test_every_click_of_exclusive_classes_is_right(seed: int, places: list[tuple[tuple[int, int, bool], str | None]]):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(4), (31, 41)).astype(np.float32).transpose(2, 0, 1)
    clicks = {
        (row, column): Click(row, column, inside=inside and name is not None, class_name=name)
        for (row, column, inside), name in places
    }
    mask = shares.argmax(axis=0).astype(np.uint8)
    found = correct(mask, shares[1:], list(clicks.values()), classes=["a", "b", "c"], task="multiclass")
    for (row, column), click in clicks.items():
        number = 0 if click.class_name is None else "abc".index(click.class_name) + 1
        same = found.mask[row, column] == number
        assert same == (click.inside or click.class_name is None), click
    assert found.probabilities.sum(axis=0).max() < 1 + 1e-4


def test_of_overlapping_classes_only_the_named_one_changes():
    probability, image, _ = two_discs()
    both = np.stack([probability, probability])
    found = correct(
        (both > 0.5).astype(np.uint8),
        both,
        [Click(60, 70, class_name="b")],
        classes=["a", "b"],
        task="multilabel",
        image=image,
    )
    assert np.array_equal(found.mask[0] > 0, probability > 0.5)
    assert found.mask[1, 60, 70] == 1
    assert np.array_equal(found.probabilities[0], probability)


def test_a_box_and_clicks_together():
    probability, image, truth = two_discs()
    box = Box((30, 15), (90, 75))
    found = corrected(probability, [], image=image, box=box)
    assert not found.mask[:, 80:].any()
    assert jaccard(found.mask > 0, truth) > 0.9
    clicked = corrected(probability, [Click(60, 145)], image=image, box=box)
    assert clicked.mask[60, 145] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.zeros((3, 4), np.uint8)}, r"mask: expected \(120, 160\) as the probabilities have, got \(3, 4\)"),
        ({"classes": ["a", "b"]}, "probabilities: expected 2 maps"),
        ({"image": np.zeros((1, 5, 5))}, r"image: expected \(channels, 120, 160\), got \(1, 5, 5\)"),
        ({"probabilities": np.full((1, 120, 160), np.nan, np.float32)}, "not finite"),
        ({"clicks": [Click(120, 0)]}, "outside the image, which has 120 rows and 160 columns"),
        ({"clicks": [Click(1, 0, class_name="x")]}, "no class 'x'"),
        ({"clicks": [Click(1, 0), Click(1, 0, inside=False)]}, "the opposite of the same pixel"),
        ({"box": Box((0, 0), (1, 160))}, "box, click at row 1, column 160: outside the image"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes: dict[str, object], message: str):
    probability, image, _ = two_discs()
    given = {"mask": (probability > 0.5).astype(np.uint8), "probabilities": probability[None], "clicks": []}
    with pytest.raises(ValueError, match=message):
        correct(**{**given, "image": image, **ONE, **changes})


def test_a_photograph_of_twelve_megapixels_takes_no_minute():
    """Measured in benchmarks/clicks.py; here only that nothing grows with the square of the size."""
    rows, columns = np.ogrid[:3000, :4000]
    probability = softly(np.sqrt((rows - 1500.0) ** 2 + (columns - 2000.0) ** 2) / 10, 60)
    mask = (probability > 0.5).astype(np.uint8)
    start = time.process_time()
    found = correct(mask, probability[None], [Click(1500, 2700)], **ONE)
    assert found.mask[1500, 2700] == 1
    assert time.process_time() - start < 20


def test_a_class_that_is_nowhere_is_left_alone_by_clicks_inside_another():
    """The click says of the second class that it is not there: its probabilities stay, but for what the first one takes."""
    probability, image, _ = two_discs()
    second = np.full_like(probability, 0.01)
    both = np.stack([probability * 0.99, second])
    mask = (probability > 0.5).astype(np.uint8)
    clicks = [Click(60, 70, class_name="a")]
    found = correct(mask, both, clicks, classes=["a", "b"], task="multiclass", image=image)
    assert not (found.mask == 2).any()
    untouched = found.probabilities[0] == both[0]
    assert untouched.any()
    assert np.array_equal(found.probabilities[1][untouched], second[untouched])
