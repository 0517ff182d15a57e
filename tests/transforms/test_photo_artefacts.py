"""Hairs, colour casts and compression: positions and gains by hand, files by Pillow itself."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.transforms.augment_ranges import Augmentation
from medseg_monai.transforms.photo_artefacts import (
    NONE,
    Artefacts,
    Hair,
    balanced,
    compressed,
    draw_artefacts,
    draw_hairs,
    shadow,
)
from medseg_monai.transforms.photo_augment import draw

UNIT = Intensity("uint8", mean=(0,), std=(1,))
ALL = Augmentation(constancy=0.8, hairs=20, hair_probability=1, jpeg=60, jpeg_probability=1)


def drawn(augmentation, count=200, *, size=(40, 24), coloured=True):
    return [draw_artefacts(np.random.default_rng(n), augmentation, size=size, coloured=coloured) for n in range(count)]


def smooth(channels=3, size=(48, 32)):
    """(C, W, H) of 0..1, every channel different."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 1, (channels, *size)), (0, 2, 2))
    return torch.from_numpy(((noise - noise.min()) / np.ptp(noise)).astype(np.float32))


def hair(points, *, width=2.0, darkness=0.8):
    return Hair(np.asarray(points, float), width=width, darkness=darkness)


def test_a_straight_hair_along_x_lies_on_its_row():
    """From (4, 6) to (36, 6): about two pixels wide at the root, a third of that at the tip, nothing elsewhere."""
    taken = shadow([hair([(4, 6), (20, 6), (36, 6)])], (40, 12))
    assert taken.shape == (40, 12)
    np.testing.assert_allclose(taken[6:10, 6], 0.8, atol=0.01)
    assert taken.max() == pytest.approx(0.8, abs=0.01)
    along = taken.sum(1)  # darkness times width, by x
    assert along[6:10].mean() == pytest.approx(2 * 0.8, rel=0.2)
    assert along[32:35].mean() == pytest.approx(2 / 3 * 0.8, rel=0.3)
    assert taken[:2].max() == taken[39:].max() == taken[:, :4].max() == taken[:, 8:].max() == 0


def test_a_bowed_hair_passes_halfway_to_its_control_point():
    """A quadratic Bézier at t = 1/2 is the mean of the control point and the middle of its ends: (20, 16) here."""
    taken = shadow([hair([(4, 4), (20, 28), (36, 4)])], (40, 32))
    assert taken[20, 15:17].min() > 0.3
    assert taken[20, :10].max() == taken[20, 22:].max() == 0


def test_hairs_darken_all_channels_alike_and_black_stays_black():
    values = smooth(5)
    values[:, :, 10:] = 0
    hairs = draw_hairs(np.random.default_rng(1), 12, size=(48, 32))
    out = Artefacts(hairs=hairs).apply(values)
    taken = shadow(hairs, (48, 32))
    assert 0 < taken.mean() < 0.5
    np.testing.assert_allclose(out, values * (1 - taken), atol=1e-6)
    assert out[:, :, 10:].max() == 0


def test_hairs_lie_across_the_picture_with_the_widths_that_are_said():
    hairs = [one for seed in range(40) for one in draw_hairs(np.random.default_rng(seed), 10, size=(200, 100))]
    widths = np.array([one.width for one in hairs])
    assert 0.3 <= widths.min() < 0.4 < 1.1 < widths.max() <= 1.2
    chords = [np.linalg.norm(one.points[2] - one.points[0]) for one in hairs]
    assert 30 <= min(chords) < 40 < 110 < max(chords) <= 120
    middle = np.array([(one.points[0] + one.points[2]) / 2 for one in hairs])
    assert (middle.min(0) < (20, 10)).all()
    assert (middle.max(0) > (180, 90)).all()
    assert all(0.4 <= one.darkness <= 1 for one in hairs)


def test_balanced_makes_the_norms_equal_within_twofold():
    """Of even planes the norm is the plane's value: gains are their mean over each."""
    planes = torch.tensor([0.6, 0.4, 0.2])[:, None, None].expand(3, 6, 4)
    np.testing.assert_allclose(balanced(planes, 1.0), 0.4, atol=1e-6)
    np.testing.assert_allclose(balanced(planes, 0.0), planes, atol=1e-6)
    expected = np.array([0.6 * 1.5, 0.4, 0.2 * 0.5])  # the cast to the second power
    np.testing.assert_allclose(balanced(planes, -1.0)[:, 0, 0], expected, atol=1e-6)
    dark = torch.tensor([0.9, 0.9, 0.1])[:, None, None].expand(3, 6, 4)
    assert balanced(dark, 1.0)[2, 0, 0] == pytest.approx(0.2)  # twice as much, and no more


def test_balanced_takes_the_sixth_norm():
    values = smooth()
    norms = np.array([np.mean(plane.numpy().astype(float) ** 6) ** (1 / 6) for plane in values])
    expected = np.clip(values.numpy() * (norms.mean() / norms)[:, None, None], 0, 1)
    np.testing.assert_allclose(balanced(values, 1.0), expected, atol=1e-5)


def test_a_black_channel_stays_black_and_nothing_is_infinite():
    values = smooth()
    values[2] = 0
    out = balanced(values, 1.0)
    assert torch.isfinite(out).all()
    assert out[2].max() == 0
    assert torch.equal(balanced(torch.zeros(3, 4, 4), 1.0), torch.zeros(3, 4, 4))


@pytest.mark.parametrize("quality", [10, 75])
def test_compressed_is_what_a_jpeg_file_gives_back(quality):
    values = smooth()
    file = io.BytesIO()
    Image.fromarray(np.rint(values.numpy() * 255).astype(np.uint8).transpose(2, 1, 0)).save(
        file, "JPEG", quality=quality
    )
    expected = np.asarray(Image.open(file)).transpose(2, 1, 0) / 255
    np.testing.assert_allclose(compressed(values, quality, coloured=True), expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels_that_are_not_colours_are_compressed_one_by_one(channels):
    values = smooth(channels)
    out = compressed(values, 90, coloured=False)
    assert out.shape == values.shape
    for plane, alone in zip(out, values, strict=True):
        np.testing.assert_array_equal(plane, compressed(alone[None], 90, coloured=False)[0])
    assert 0 < (out - values).abs().max() < 0.1


def test_less_quality_differs_more():
    values = smooth()
    far = [(compressed(values, quality, coloured=True) - values).abs().mean() for quality in (95, 60, 10)]
    assert far == sorted(far)
    assert far[2] > 2 * far[0]


def test_all_are_off_by_default_and_take_no_number():
    rng = np.random.default_rng(3)
    assert draw_artefacts(rng, Augmentation(), size=(8, 8), coloured=True) is NONE
    assert not NONE
    assert rng.uniform() == np.random.default_rng(3).uniform()


def test_switching_one_on_moves_no_other():
    everything = drawn(ALL)
    for field in ("constancy", "hairs", "jpeg"):
        for alone, full in zip(drawn(Augmentation(**{**vars(ALL), field: 0})), everything, strict=True):
            assert field == "constancy" or alone.constancy == full.constancy
            assert field == "jpeg" or alone.quality == full.quality
            assert field == "hairs" or [h.width for h in alone.hairs] == [h.width for h in full.hairs]
    without, with_all = (
        draw(np.random.default_rng(3), augmentation, size=(12, 8), channels=3) for augmentation in (Augmentation(), ALL)
    )
    np.testing.assert_array_equal(without.linear, with_all.linear)
    np.testing.assert_array_equal(without.colour, with_all.colour)


def test_each_is_drawn_from_its_range():
    found = drawn(ALL)
    constancy = [one.constancy for one in found]
    assert -0.8 <= min(constancy) < -0.7 < 0.7 < max(constancy) <= 0.8
    assert {min(one.quality for one in found), max(one.quality for one in found)} <= {*range(40, 43), *range(98, 101)}
    counts = {len(one.hairs) for one in found}
    assert counts == set(range(21))


@pytest.mark.parametrize(("field", "has"), [("hair", lambda a: a.hairs), ("jpeg", lambda a: a.quality)])
def test_shares_of_the_samples(field, has):
    augmentation = Augmentation(**{**vars(ALL), f"{field}_probability": 0.3})
    assert np.mean([bool(has(one)) for one in drawn(augmentation, 600)]) == pytest.approx(0.3, abs=0.06)
    assert not any(has(one) for one in drawn(Augmentation(**{**vars(ALL), f"{field}_probability": 0}), 50))


def test_only_colours_have_a_cast():
    assert not any(drawn(Augmentation(constancy=1), coloured=False))
    assert not any(one.constancy or one.coloured for one in drawn(ALL, coloured=False))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_photograph_goes_through_all_and_its_label_does_not(channels):
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (channels, 24, 24), dtype=np.uint8))
    still = Augmentation(**{**vars(ALL), **{name: 0.0 for name in Augmentation.probabilities if "_turn" in name}})
    still = Augmentation(**{**vars(still), "flip_x": 0, "flip_y": 0, "warp_probability": 0, "colour_probability": 0})
    change = draw(np.random.default_rng(5), still, size=(24, 24), channels=channels)
    window = torch.tensor([[0.0, 255.0]] * channels)
    out, label = change.apply(image, image[:1] // 128, window, UNIT)
    np.testing.assert_allclose(out, change.artefacts.apply(image / 255), atol=1e-5)
    assert torch.equal(label, image[:1] // 128)
    assert (out - image / 255).abs().mean() > 0.01


def test_the_argument_is_left_alone():
    values = smooth()
    before = values.clone()
    for artefacts in drawn(ALL, 10, size=(48, 32)):
        artefacts.apply(values)
    assert torch.equal(values, before)
