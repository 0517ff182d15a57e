"""The part of an image that clicks can change, on a coarser grid, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg_monai.clicks.window import MAX_PIXELS, Window, as_floats


def test_all_within_reach_and_no_more():
    """Pixels are 2 high and 1 wide: a reach of 3 is two rows and three columns."""
    window = Window.around(np.array([[5, 5], [5, 8]]), 3.0, (20, 30), (2.0, 1.0))
    assert (window.first, window.last) == ((3, 2), (8, 12))
    assert window.shape == (5, 10)
    assert window.steps == (2.0, 1.0)
    assert window.coarse((5, 8)) == (2, 6)


def test_the_images_border_ends_it():
    window = Window.around(np.array([[0, 29]]), 100.0, (20, 30), (1.0, 1.0))
    assert (window.first, window.last, window.shape) == ((0, 0), (20, 30), (20, 30))


def test_a_small_window_anywhere_is_the_image_itself():
    window = Window.around(np.array([[9, 20], [11, 18]]), 3.0, (20, 30), (2.0, 1.0))
    image = np.random.default_rng(0).random((2, 20, 30)).astype(np.float32)
    assert np.array_equal(window.reduced(image), image[:, 7:14, 15:24])
    assert np.allclose(window.enlarged(window.reduced(image)[1], window.cut), image[1, 7:14, 15:24])
    assert np.allclose(window.enlarged(window.reduced(image)[1], (slice(8, 11), slice(20, 24))), image[1, 8:11, 20:24])


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 700), min_size=2, max_size=3),
    spacing=st.lists(st.floats(0.3, 5), min_size=3, max_size=3),
)
def test_a_large_image_gets_steps_that_are_nearly_equal(shape: list[int], spacing: list[float]):
    window = Window.around(np.zeros((1, len(shape)), int), 1e5, shape, spacing[: len(shape)])
    pixels = np.prod(window.shape)
    assert pixels <= MAX_PIXELS[len(shape)]
    assert all(step >= side * 0.999 for step, side in zip(window.steps, spacing, strict=False))
    shrunk = [step for step, at, side in zip(window.steps, window.shape, shape, strict=True) if 8 <= at < side]
    assert not shrunk or max(shrunk) < 1.3 * min(shrunk)


@pytest.mark.parametrize("shape", [(330, 410), (60, 50, 70)])
def test_a_linear_map_is_the_same_after_both_ways(shape: tuple[int, ...]):
    """Means over blocks and linear interpolation keep a slope, except at the border."""
    window = Window.around(np.array([[side // 2 for side in shape]]), 1e5, shape, (1.0,) * len(shape))
    assert window.shape != shape
    axes = [np.linspace(0, weight, side) for weight, side in zip((1, 2, 4), shape, strict=False)]
    slope = sum(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    whole = tuple(slice(0, side) for side in shape)
    back = window.enlarged(window.reduced(slope[None])[0], whole)
    inner = tuple(slice(4, -4) for _ in shape)
    assert np.abs(back - slope)[inner].max() < 0.03
    part = tuple(slice(side // 3, side // 2) for side in shape)
    assert np.array_equal(window.enlarged(window.reduced(slope[None])[0], part), back[part])


def test_what_a_change_can_reach_is_found():
    """A change of one coarser pixel, interpolated, is 0 beyond the part that `around_change` names, and not only there."""
    window = Window.around(np.array([[200, 300]]), 1e5, (400, 600), (1.0, 1.0))
    change = np.zeros(window.shape, np.float32)
    change[window.coarse((200, 300))] = 1
    part = window.around_change(change)
    everywhere = window.enlarged(change, (slice(0, 400), slice(0, 600)))
    assert everywhere[200, 300] > 0.5
    rest = everywhere.copy()
    rest[part] = 0
    assert not rest.any()
    assert everywhere[part].size < 25 * np.prod(window.steps)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16, np.float32, np.float64])
def test_floats_are_a_copy_of_any_part(dtype: type):
    values = (np.arange(24).reshape(4, 6) % 2).astype(dtype)
    found = as_floats(values[::-2, 1:4])
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, values[::-2, 1:4].astype(np.float32))
    found[:] = 7
    assert values.max() == 1
