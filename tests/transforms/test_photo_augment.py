"""The random half: where each pixel goes, worked out by hand; colour by arithmetic and another library."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms.augment_ranges import Augmentation
from medseg_monai.transforms.photo_augment import AugmentPhotod, Drawn, _hue_turn, draw

UNIT = Intensity("uint8", mean=(0,), std=(1,))
WINDOW = torch.tensor([[0.0, 255.0]] * 3)
RGB = DatasetSpec("d", "binary", classes=("lesion",), channels=("r", "g", "b"), size=(12, 8), intensity=UNIT)


def change(linear=((1, 0), (0, 1)), offset=(0, 0), bend=0.0, colour=None, light=None, channels=3, sharpness=0.0):
    return Drawn(
        linear=np.asarray(linear, float),
        offset=np.asarray(offset, float),
        bend=bend,
        colour=np.eye(channels) if colour is None else np.asarray(colour, float),
        light=np.zeros(channels) if light is None else np.asarray(light, float),
        sharpness=sharpness,
    )


def apply(drawn, image, label, window, intensity):
    """`Drawn.apply` of NumPy arrays."""
    return drawn.apply(torch.from_numpy(image), None if label is None else torch.from_numpy(label), window, intensity)


@pytest.fixture
def image():
    """(3, 12, 8): every pixel differs from every other."""
    return np.random.default_rng(1).integers(0, 256, (3, 12, 8), dtype=np.uint8)


@pytest.fixture
def label(image):
    return (image[:1] > 127).astype(np.uint8)


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        (((-1, 0), (0, 1)), lambda a: a[:, ::-1]),  # mirrored left to right
        (((1, 0), (0, -1)), lambda a: a[:, :, ::-1]),
        (((-1, 0), (0, -1)), lambda a: a[:, ::-1, ::-1]),
    ],
)
def test_mirrors_on_unequal_axes(image, label, linear, expected):
    moved, moved_label = apply(change(linear), image, label, WINDOW, UNIT)
    np.testing.assert_allclose(moved * 255, expected(image), atol=0.02)
    np.testing.assert_array_equal(moved_label, expected(label))


def test_shift_by_whole_pixels(image, label):
    """Output (x, y) takes input (x + 2, y + 3); beyond the edge the mirror image."""
    moved, moved_label = apply(change(offset=(2, 3)), image, label, WINDOW, UNIT)
    np.testing.assert_allclose(moved[:, :10, :5] * 255, image[:, 2:, 3:], atol=0.02)
    np.testing.assert_array_equal(moved_label[:, :10, :5], label[:, 2:, 3:])
    np.testing.assert_allclose(moved[:, 10, :5] * 255, image[:, 11, 3:], atol=0.02)
    np.testing.assert_allclose(moved[:, 11, :5] * 255, image[:, 10, 3:], atol=0.02)


def test_quarter_turn_of_a_square():
    image = np.random.default_rng(1).integers(0, 256, (3, 6, 6), dtype=np.uint8)
    moved, _ = apply(change(((0, 1), (-1, 0))), image, None, WINDOW, UNIT)
    expected = np.array([[[image[c, y, 5 - x] for y in range(6)] for x in range(6)] for c in range(3)])
    np.testing.assert_allclose(moved * 255, expected, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_warp_as_scipy_does_it(seed):
    """Any drawn matrix on unequal axes, against scipy's own linear interpolation and mirror boundary."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.uniform(0, 255, (1, 40, 24)), (0, 2, 2)).astype(np.uint8)
    drawn = draw(rng, Augmentation(warp_probability=1, colour_probability=0), size=(40, 24), channels=1)
    moved, _ = apply(drawn, image, None, WINDOW[:1], UNIT)
    centre = np.array([19.5, 11.5])
    offset = centre + drawn.offset - drawn.linear @ centre
    expected = ndimage.affine_transform(image[0].astype(float), drawn.linear, offset, order=1, mode="reflect")
    np.testing.assert_allclose(moved[0] * 255, expected, atol=0.05)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 4))
def test_labels_move_with_the_image_and_are_never_interpolated(seed, classes):
    rng = np.random.default_rng(seed)
    x, y = np.mgrid[:60, :40]
    label = ((x - 25) ** 2 / 300 + (y - 15) ** 2 / 100 < 1).astype(np.uint8)[None] * classes
    image = (label * (200 // classes)).astype(np.uint8)
    drawn = draw(rng, Augmentation(colour_probability=0), size=(60, 40), channels=1)
    moved, moved_label = apply(drawn, image, label, WINDOW[:1], UNIT)
    assert set(moved_label.unique().tolist()) <= {0, classes}
    bright = moved * 255 > 100 * (200 // classes * classes) / 200
    assert (bright != (moved_label > 0)).float().mean() < 0.01


def test_several_labels_move_alike(image):
    labels = np.stack([image[0] > 200, image[0] > 100]).astype(np.uint8)
    _, moved = apply(change(((0.9, 0.2), (-0.2, 0.9)), (1, 0.5)), image, labels, WINDOW, UNIT)
    assert (moved[0] <= moved[1]).all()


def test_bend_brightness_contrast_by_hand():
    image = np.full((1, 4, 4), 51, np.uint8)  # 0.2
    out, _ = apply(change(bend=0.5, colour=[[1.5]], light=[0.1], channels=1), image, None, WINDOW[:1], UNIT)
    np.testing.assert_allclose(out, 1.5 * (0.2 + 0.5 * 0.2 * 0.8) + 0.1, atol=1e-6)


@pytest.mark.parametrize("sharpness", [-1.0, -0.4, 0.8])
def test_sharpness_weighs_what_differs_from_the_neighbourhood(image, label, sharpness):
    values = image / 255
    sums, counts = (ndimage.uniform_filter(a, (1, 5, 5), mode="constant") for a in (values, np.ones_like(values)))
    mean = sums / counts
    expected = np.clip(values + sharpness * (values - mean), 0, 1)
    found, moved_label = apply(change(((-1, 0), (0, 1)), sharpness=sharpness), image, label, WINDOW, UNIT)
    np.testing.assert_allclose(found, expected[:, ::-1], atol=1e-5)
    np.testing.assert_array_equal(moved_label, label[:, ::-1])


def test_sharpness_is_drawn_from_its_range_and_moves_no_other_draw():
    without, sharp = (
        draw(np.random.default_rng(3), Augmentation(sharpness=reach), size=(12, 8), channels=3) for reach in (0, 0.5)
    )
    assert without.sharpness == 0
    np.testing.assert_array_equal(without.linear, sharp.linear)
    drawn = [
        draw(np.random.default_rng(seed), Augmentation(sharpness=0.5), size=(12, 8), channels=3).sharpness
        for seed in range(200)
    ]
    assert -0.5 <= min(drawn) < -0.4 < 0.4 < max(drawn) <= 0.5


def test_values_stay_in_range_and_are_normalised():
    image = np.array([0, 128, 255, 255], np.uint8).reshape(1, 2, 2).repeat(3, axis=0)
    intensity = Intensity("uint8", mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
    out, _ = apply(change(colour=3 * np.eye(3), light=[-1.0] * 3), image, None, WINDOW, intensity)
    np.testing.assert_allclose(out[:, 0, 0], [-1, -2, -3], atol=1e-5)  # clipped to 0
    np.testing.assert_allclose(out[:, 1, 1], [1, 3, 7], atol=1e-5)  # clipped to 1


def drawn_colours(augmentation, count=200, channels=3):
    return [draw(np.random.default_rng(n), augmentation, size=(8, 8), channels=channels) for n in range(count)]


def test_grey_stays_grey_under_hue_and_saturation():
    only = Augmentation.of("off").scaled(1)
    coloured = Augmentation(**{**vars(only), "hue_degrees": 30.0, "saturation": 0.5, "colour_probability": 1.0})
    for drawn in drawn_colours(coloured):
        np.testing.assert_allclose(drawn.colour @ [0.4, 0.4, 0.4] + drawn.light, 0.4, atol=1e-6)


def test_hue_turns_by_the_angle():
    only = Augmentation.of("off")
    turned = Augmentation(**{**vars(only), "hue_degrees": 20.0, "colour_probability": 1.0})
    angles = []
    for drawn in drawn_colours(turned):
        hue = colorsys.rgb_to_hsv(*(drawn.colour @ [0.6, 0.4, 0.4]))[0] * 360
        angles.append((hue + 180) % 360 - 180)
    assert 15 < max(np.abs(angles)) <= 21


def test_pictures_of_other_channel_counts_have_no_hue():
    for drawn in drawn_colours(Augmentation(colour_probability=1), count=20, channels=5):
        np.testing.assert_allclose(drawn.colour, drawn.colour[0, 0] * np.eye(5))


def alone(field):
    """The default reach of one kind of change, in every sample, and nothing else."""
    off = vars(Augmentation.of("off"))
    reach = getattr(Augmentation(), field)
    return Augmentation(**{**off, "warp_probability": 1.0, "colour_probability": 1.0, field: reach})


MEASURED = {
    "rotate_degrees": (30, lambda d: np.degrees(np.arctan2(d.linear[0, 1], d.linear[0, 0]))),
    "scale": (np.log(1.2), lambda d: -np.log(np.linalg.det(d.linear)) / 2),
    "shift": (0.08, lambda d: d.offset / (8, 8)),
    "shear": (0.08, lambda d: np.linalg.inv(d.linear)[[0, 1], [1, 0]]),
    "brightness": (0.1, lambda d: d.light),
    "contrast": (np.log(1.2), lambda d: np.log(np.diag(d.colour))),
    "bend": (0.2, lambda d: d.bend),
    "saturation": (0.2, lambda d: d.colour[0, 0] - d.colour[1, 0] - 1),  # grey has a share of it in each row alike
    "hue_degrees": (8, lambda d: np.degrees(np.arccos((np.trace(d.colour) - 1) / 2))),
    "tint": (0.05, lambda d: np.diag(d.colour) - 1),
}


@pytest.mark.parametrize("field", MEASURED)
def test_each_change_reaches_as_far_as_it_says_by_default(field):
    reach, measure = MEASURED[field]
    found = np.array([measure(drawn) for drawn in drawn_colours(alone(field))])
    assert 0.95 * reach < np.abs(found).max() <= reach * (1 + 1e-6)
    if field != "hue_degrees":  # of which the trace gives no sign
        assert found.min() < -0.9 * reach
        assert found.max() > 0.9 * reach


def test_shares_of_samples_that_change_by_default():
    drawn = drawn_colours(Augmentation(), count=1000)
    still = np.mean([(np.abs(d.linear) == np.abs(d.linear).round()).all() for d in drawn])
    assert still == pytest.approx(0.2, abs=0.04)
    assert np.mean([np.array_equal(d.colour, np.eye(3)) for d in drawn]) == pytest.approx(0.2, abs=0.04)
    assert not any(d.sharpness for d in drawn)


def test_contrast_turns_about_middle_grey():
    for drawn in drawn_colours(alone("contrast")):
        np.testing.assert_allclose(drawn.colour @ np.full(3, 0.5) + drawn.light, 0.5)


@pytest.mark.parametrize(("field", "mirrored"), [("flip_x", ((-1, 0), (0, 1))), ("flip_y", ((1, 0), (0, -1)))])
def test_probability_of_a_flip(field, mirrored):
    off = vars(Augmentation.of("off"))
    drawn = drawn_colours(Augmentation(**{**off, field: 0.3}), count=1000)
    share = np.mean([np.array_equal(d.linear, mirrored) for d in drawn])
    assert 0.25 < share < 0.35


def test_quarter_turns_of_squares_only():
    still = Augmentation(**{**vars(Augmentation.of("off")), "quarter_turn": 1.0})
    turned = [draw(np.random.default_rng(0), still, size=size, channels=1).linear for size in ((8, 8), (8, 9))]
    np.testing.assert_array_equal(turned, [[[0, 1], [-1, 0]], [[1, 0], [0, 1]]])
    assert draw(np.random.default_rng(0), still, size=(8, 8), channels=1).offset.tolist() == [0, 0]


@pytest.mark.parametrize("degrees", [0, 30, -75, 120])
def test_a_turn_of_hue_is_scipys_rotation_about_grey(degrees):
    axis = np.ones(3) / np.sqrt(3)
    expected = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
    np.testing.assert_allclose(_hue_turn(degrees), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), side=st.integers(4, 9))
def test_turns_move_pixels_as_the_warp_would(seed, side):
    """Mirrors and quarter turns take a shorter way than the grid; the pixels must land in the same places."""
    turns = Augmentation(warp_probability=0, colour_probability=0)
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, side, side + seed % 2), dtype=np.uint8)
    drawn = draw(rng, turns, size=image.shape[1:], channels=3)
    moved, moved_label = apply(drawn, image, image[:1], WINDOW, UNIT)
    x, y = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in image.shape[1:]), indexing="ij")
    source_x, source_y = np.einsum("ij,jwh->iwh", drawn.linear, [x, y])
    columns, rows = (
        np.rint(c + (n - 1) / 2).astype(int) for c, n in zip((source_x, source_y), image.shape[1:], strict=True)
    )
    np.testing.assert_allclose(moved * 255, image[:, columns, rows], atol=0.02)
    np.testing.assert_array_equal(moved_label, image[:1, columns, rows])


def test_upright_never_mirrors_and_turns_less():
    drawn = drawn_colours(Augmentation.of("upright"))
    assert all(np.linalg.det(d.linear) > 0 and d.linear[0, 0] > 0 for d in drawn)
    assert Augmentation.of("upright") == Augmentation(flip_x=0, flip_y=0, quarter_turn=0, rotate_degrees=15)


def loaded_case(image, label=None, **more):
    case = {"image": torch.from_numpy(image), "image_meta_dict": {"window": WINDOW}, **more}
    return case if label is None else {**case, "label": torch.from_numpy(label)}


def test_seed_in_the_case_decides(image, label):
    transform = AugmentPhotod(("image", "label"), spec=RGB)
    first, again, other = (transform(loaded_case(image, label, augment_seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], other["image"])
    assert "augment_seed" not in first


def test_monai_random_state_decides_without_a_seed(image):
    results = []
    for seed in (1, 1, 2):
        transform = AugmentPhotod(("image", "label"), spec=RGB)
        transform.set_random_state(seed=seed)
        results.append(transform(loaded_case(image))["image"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_input_is_left_alone(image, label):
    before = image.copy(), label.copy()
    AugmentPhotod(("image", "label"), spec=RGB, strength="strong")(loaded_case(image, label, augment_seed=1))
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_sixteen_bits_are_augmented_in_full_precision():
    values = np.arange(1000, 1096, dtype=np.uint16).reshape(1, 12, 8)
    window = torch.tensor([[1000.0, 1095.0]])
    out, _ = apply(change(((-1, 0), (0, 1)), channels=1), values, None, window, UNIT)
    np.testing.assert_allclose(out[0], (values[0, ::-1] - 1000.0) / 95, atol=1e-4)
    assert len(out.unique()) == 96


@pytest.mark.parametrize("seed", range(12))
def test_soft_labels_go_where_the_label_goes(seed):
    """A soft label that is the label in 255ths stays so, whatever is drawn; the image is changed as without it."""
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (3, 24, 24), dtype=np.uint8))
    label = torch.from_numpy(rng.integers(0, 2, (1, 24, 24), dtype=np.uint8))
    spec = replace(RGB, size=(24, 24))
    case = {"image": image, "label": label, "image_meta_dict": {"window": WINDOW}, "augment_seed": seed}
    augment = AugmentPhotod(("image", "label", "soft_label"), spec=spec, strength=1.5)
    alone, both = augment(dict(case)), augment({**case, "soft_label": label * 255})
    assert "soft_label" not in alone
    assert torch.equal(both["image"], alone["image"])
    assert torch.equal(both["label"], alone["label"])
    assert torch.equal(both["soft_label"], both["label"] * 255)
