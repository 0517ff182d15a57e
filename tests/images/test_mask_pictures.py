"""Masks as the field stores them: numbers in one band, opaque paint, colours, ignored borders, several files: read right or refused."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask

NUMBERS = np.array([[0, 1, 2, 3, 0, 1], [1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 2], [3, 0, 0, 1, 0, 0]], np.uint8)  # 6 x 4
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def spec(task="multiclass", classes=("a", "b", "c"), **more):
    return DatasetSpec("d", task, classes=classes, channels=("grey",), size=(8, 8), **more)


BINARY = spec("binary", ("lesion",))


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def in_band(numbers, band):
    picture = np.zeros((*numbers.shape, 3), np.uint8)
    picture[..., band] = numbers
    return picture


@pytest.mark.parametrize("band", [0, 1, 2])
def test_class_numbers_in_one_band(tmp_path, band):
    path = save(tmp_path / "m.png", in_band(NUMBERS, band))
    np.testing.assert_array_equal(read_mask(path, spec())[0].T, NUMBERS)


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_binary_mask_of_any_colour(tmp_path, band):
    """Blue (0, 0, 1) has luminance 0.1: read as grey it would be an empty mask."""
    path = save(tmp_path / "m.png", in_band(NUMBERS.clip(0, 1), band))
    np.testing.assert_array_equal(read_mask(path, BINARY)[0].T, NUMBERS > 0)
    with pytest.raises(
        ValueError, match=r"m\.png: a binary mask has background 0 and one other level, but this one has 4"
    ):
        read_mask(save(tmp_path / "m.png", in_band(NUMBERS, band)), BINARY)


@pytest.mark.parametrize(
    ("paint", "canvas"), [((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((200, 30, 30),) * 2]
)
def test_opaque_on_transparent(tmp_path, paint, canvas):
    inside = NUMBERS > 1
    rgba = np.dstack([np.where(inside[..., None], paint, canvas), inside * 255]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, inside)


def test_half_opaque_is_opaque(tmp_path):
    """Of 255 steps, 128 and more are; what is more transparent is background, whatever colour it has."""
    rgba = np.full((4, 6, 4), 255, np.uint8)
    rgba[1:3, 2:5, :3] = 0
    rgba[..., 3] = np.where(np.arange(6) < 4, 128, 127)
    expected = np.zeros((4, 6))
    expected[:, :4] = 1
    expected[1:3, 2:4] = 0
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, expected)
    rgba[..., 3] = 128
    expected[:] = 1
    expected[1:3, 2:5] = 0
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, expected)


def test_a_picture_below_an_alpha_channel_of_nothing(tmp_path):
    """Some programs write alpha 0 all over: the picture is then what was meant."""
    rgba = np.dstack([(NUMBERS[..., None] > 1).repeat(3, 2) * 255, np.zeros_like(NUMBERS)]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, NUMBERS > 1)
    rgba[..., 3] = 127
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, NUMBERS > 1)


def test_an_empty_transparent_layer_is_an_empty_mask(tmp_path):
    layer = np.full((4, 6, 4), 255, np.uint8)
    layer[..., 3] = 0
    assert not read_mask(save(tmp_path / "m.png", layer), BINARY).any()


def test_black_and_white_on_a_transparent_margin(tmp_path):
    """The field of view is opaque: inside it the colours are the mask."""
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[1:, :, 3] = 255
    rgba[:2, :3, :3] = 255  # white, the upper row of it transparent
    expected = np.zeros((4, 6))
    expected[1, :3] = 1
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, expected)


def test_class_numbers_with_a_transparent_background(tmp_path):
    la = np.dstack([np.where(NUMBERS == 0, 7, NUMBERS), (NUMBERS > 0) * 255]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", la), spec())[0].T, NUMBERS)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_colours_without_a_table_are_named(tmp_path, task):
    path = save(tmp_path / "m.png", COLOURS[NUMBERS])
    named = "contains 4 colours: 0,0,0; 255,0,0; 0,0,255; 0,255,0 (red, green, blue; the most common first)"
    with pytest.raises(ValueError, match=re.escape(f"m.png: {named}; say which is which: --class NAME=R,G,B")):
        read_mask(path, BINARY if task == "binary" else spec())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_table_of_colours(tmp_path, mode):
    path = tmp_path / "m.png"
    Image.fromarray(COLOURS[NUMBERS]).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    table = {"a": "#ff0000", "b": "#00ff00", "c": "#0000ff"}
    np.testing.assert_array_equal(read_mask(path, spec(label_values=table))[0].T, NUMBERS)
    overlapping = read_mask(path, spec("multilabel", label_values={**table, "b": ["#00ff00", "#0000ff"]}))
    np.testing.assert_array_equal(overlapping, [(NUMBERS == 1).T, (NUMBERS >= 2).T, (NUMBERS == 3).T])


def test_a_colour_that_the_table_lacks(tmp_path):
    path = save(tmp_path / "m.png", COLOURS[NUMBERS])
    table = spec("multiclass", ("a", "b"), label_values={"a": "#ff0000", "b": "#00ff00"})
    message = "contains colours that belong to no class: 0,0,255 (known: 0,0,0 background, 255,0,0 a, 0,255,0 b)"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_mask(path, table)


def test_colours_in_a_jpeg_are_refused(tmp_path):
    path = save(tmp_path / "m.jpg", COLOURS[NUMBERS])
    table = spec(label_values={"a": "#ff0000", "b": "#00ff00", "c": "#0000ff"})
    with pytest.raises(ValueError, match=r"m\.jpg: a JPEG file mixes colours"):
        read_mask(path, table)


@given(
    arrays(np.uint16, (5, 7), elements=st.sampled_from([0, 7, 300, 40000, 65535])),
    st.sampled_from(["multiclass", "multilabel"]),
)
def test_a_table_of_numbers(tmp_path_factory, stored, task):
    path = save(tmp_path_factory.mktemp("m") / "m.png", stored)
    table = spec(task, label_values={"a": 7, "b": [300, 40000], "c": 65535})
    planes = np.stack([stored == 7, (stored == 300) | (stored == 40000), stored == 65535]).transpose(0, 2, 1)
    expected = planes if task == "multilabel" else [(planes * np.array([1, 2, 3])[:, None, None]).sum(axis=0)]
    np.testing.assert_array_equal(read_mask(path, table), expected)


@pytest.mark.parametrize("ignore", [3, [3, 9]])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "table"])
def test_ignored_numbers(tmp_path, task, ignore):
    two = np.where(NUMBERS == 2, 1, NUMBERS)  # 0, 1 and 3
    path = save(tmp_path / "m.png", two)
    made = {
        "binary": spec("binary", ("a",), ignore=ignore),
        "multiclass": spec("multiclass", ("a", "b"), ignore=ignore),
        "multilabel": spec("multilabel", ("a",), ignore=ignore),
        "table": spec("multiclass", ("a", "b"), label_values={"a": 1, "b": 2}, ignore=ignore),
    }[task]
    expected = np.where(two == 3, IGNORED, two)
    np.testing.assert_array_equal(read_mask(path, made)[0].T, expected)


def test_the_border_of_pascal_voc(tmp_path):
    """A palette of bright colours; index 255 is the border."""
    stored = np.where(NUMBERS == 3, 255, NUMBERS).astype(np.uint8)
    picture = Image.fromarray(stored)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [7] * 756 + [224, 224, 192])
    picture.save(tmp_path / "m.png")
    with pytest.raises(ValueError, match="contains the levels 0, 1, 2, 255; 2 classes need levels 0 to 2"):
        read_mask(tmp_path / "m.png", spec("multiclass", ("a", "b")))
    label = read_mask(tmp_path / "m.png", spec("multiclass", ("a", "b"), ignore=255))
    np.testing.assert_array_equal(label[0].T, np.where(NUMBERS == 3, IGNORED, NUMBERS))


@pytest.mark.parametrize("table", [None, {"a": "#ff0000", "b": "#00ff00"}])
def test_an_ignored_colour(tmp_path, table):
    """Of a binary mask without a table too: red is not to count, white is the lesion."""
    colours = COLOURS if table else np.array([[0, 0, 0], [255, 255, 255], [0, 0, 0], [0, 0, 255]], np.uint8)
    path = save(tmp_path / "m.png", colours[NUMBERS])
    made = (
        spec("multiclass", ("a", "b"), label_values=table, ignore="0,0,255")
        if table
        else spec("binary", ("a",), ignore="0,0,255")
    )
    expected = np.where(NUMBERS == 3, IGNORED, NUMBERS if table else NUMBERS == 1)
    np.testing.assert_array_equal(read_mask(path, made)[0].T, expected)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_several_masks_of_one_image_are_united(tmp_path, suffix):
    paths = [save(tmp_path / f"m{n}.{suffix}", (n == NUMBERS).astype(np.uint8) * 255) for n in (1, 3)]
    np.testing.assert_array_equal(read_mask(paths, BINARY)[0].T, (NUMBERS == 1) | (NUMBERS == 3))


def test_a_pixel_that_one_of_several_masks_ignores(tmp_path):
    first, second = np.array([[0, 1, 9, 9]] * 4, np.uint8), np.array([[0, 0, 1, 0]] * 4, np.uint8)
    paths = [save(tmp_path / "a.png", first), save(tmp_path / "b.png", second)]
    assert read_mask(paths, spec("binary", ("a",), ignore=9))[0].T[0].tolist() == [0, 1, 1, IGNORED]
    assert read_mask(paths, spec("multiclass", ("a", "b"), ignore=9))[0].T[0].tolist() == [0, 1, 2, IGNORED]
    assert read_mask(paths, spec("multilabel", ("a", "b"), ignore=9))[:, :, 0].tolist() == [
        [0, 1, 255, 255],
        [0, 0, 1, 0],
    ]


@pytest.mark.parametrize("scale", [1, 0.5, 3])
def test_floating_point_masks(tmp_path, scale):
    path = save(tmp_path / "m.tif", (NUMBERS > 1).astype(np.float32) * np.float32(scale))
    np.testing.assert_array_equal(read_mask(path, BINARY)[0].T, NUMBERS > 1)


def test_class_numbers_in_floating_point(tmp_path):
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.tif", NUMBERS.astype(np.float32)), spec())[0].T, NUMBERS)
    nearly = (NUMBERS + 0.0009 * (-1.0) ** NUMBERS).astype(np.float32)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.tif", nearly), spec())[0].T, NUMBERS)
    for odd, named in ((0.5, "0.5"), (1.002, "1.002"), (np.nan, "nan"), (np.inf, "inf")):
        values = NUMBERS.astype(np.float32)
        values[1, 2] = odd
        with pytest.raises(ValueError, match=rf"m\.tif: contains {named}; class numbers are whole numbers"):
            read_mask(save(tmp_path / "m.tif", values), spec())


@pytest.mark.parametrize(
    ("values", "message"),
    [([0, 0.25, 0.75], "this one has 3 grey levels .0, 0.25, 0.75."), ([0, 1, np.nan], "NaN"), ([-1, 0, 1], "-1")],
)
def test_floating_point_that_is_no_mask(tmp_path, values, message):
    path = save(tmp_path / "m.tif", np.resize(np.array(values, np.float32), (4, 6)))
    with pytest.raises(ValueError, match=rf"m\.tif: .*{message}"):
        read_mask(path, BINARY)


def blurred(flat, middle, *, size=40):
    """A left half of 255 beside a right half of 0, and so many pixels between: even inside, or scattered in the dark."""
    picture = np.zeros((size, size), np.uint8)
    picture[:, : size // 2] = 255
    picture[:, size // 2] = np.linspace(100, 160, size)  # the edge: many levels, none of them even
    side = int(flat**0.5)
    if flat:
        picture[2 : 4 + side, 30 : 32 + side] = middle  # of which side x side have neighbours of their own level alone
    return picture


@pytest.mark.parametrize("side", [0, 4, 5])
def test_a_patch_of_a_third_level_is_not_an_edge(tmp_path, side):
    """16 pixels may be alike by chance; 25 are a class."""
    path = save(tmp_path / "m.png", blurred(side**2, 120))
    if side < 5:
        with pytest.warns(UserWarning, match="thresholded at half"):
            label = read_mask(path, BINARY)[0].T
        np.testing.assert_array_equal(label, np.asarray(Image.open(path)) > 127)
    else:
        with pytest.raises(ValueError, match="a binary mask has background 0 and one other level"):
            read_mask(path, BINARY)


@pytest.mark.parametrize(
    ("columns", "lowest", "refused"),
    [(9, 90, False), (11, 90, True), (11, 52, False), (11, 64, True), (11, 180, True), (11, 192, False)],
)
def test_more_than_a_quarter_of_middle_levels_is_not_a_mask(tmp_path, columns, lowest, refused):
    """Middle levels are those from a quarter of 255 to three quarters: 64 to 191."""
    picture = blurred(0, 0)
    picture[:, 20 : 20 + columns] = (
        np.arange(40 * columns).reshape(40, columns) % 12 + lowest
    )  # no two neighbours alike
    path = save(tmp_path / "m.png", picture)
    if refused:
        with pytest.raises(ValueError, match="a binary mask has background 0 and one other level"):
            read_mask(path, BINARY)
    else:
        with pytest.warns(UserWarning, match="thresholded at half"):
            assert read_mask(path, BINARY).any()


@pytest.mark.parametrize(("off", "refused"), [(4, False), (6, True)])
def test_shades_of_one_colour_may_be_rounded(tmp_path, off, refused):
    picture = np.zeros((30, 30, 3), np.uint8)
    picture[:, :14] = (200, 100, 0)
    picture[:, 14] = np.outer(np.linspace(60, 140, 30), (1, 0.5, 0)).astype(np.uint8)
    picture[5, 14] = (100, 50 + off, 0)
    path = save(tmp_path / "m.png", picture)
    if refused:
        with pytest.raises(ValueError, match="colours"):
            read_mask(path, BINARY)
    else:
        with pytest.warns(UserWarning, match="thresholded at half"):
            np.testing.assert_array_equal(read_mask(path, BINARY)[0].T, picture[..., 0] > 100)


def test_levels_beyond_8_bits_are_no_colours(tmp_path):
    table = spec("binary", ("a",), label_values={"a": "#000001"})
    for odd, named in ((-1, "-1 to 1"), (256, "0 to 256")):
        stored = NUMBERS.clip(0, 1).astype(np.int32)
        stored[0, 0] = odd
        with pytest.raises(ValueError, match=rf"m\.tif: contains levels from {named}, but colours have 8 bits"):
            read_mask(save(tmp_path / "m.tif", stored), table)
    grey = spec("binary", ("a",), label_values={"a": "#ffffff"})
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", NUMBERS > 1), grey)[0].T, NUMBERS > 1)
    shade = spec("binary", ("a",), label_values={"a": "#030303"}, ignore=["#010101", "#020202"])
    expected = np.array([0, IGNORED, IGNORED, 1])[NUMBERS]
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", NUMBERS), shade)[0].T, expected)


def test_smoothed_colour_is_thresholded(tmp_path):
    disc = np.zeros((60, 60, 3), np.uint8)
    y, x = np.mgrid[:60, :60]
    disc[(y - 30) ** 2 + (x - 25) ** 2 < 400] = (255, 128, 0)
    Image.fromarray(disc).resize((90, 90), Image.Resampling.BILINEAR).save(tmp_path / "m.png")
    with pytest.warns(UserWarning, match="thresholded at half"):
        label = read_mask(tmp_path / "m.png", BINARY)
    assert abs(label.mean() - (disc[..., 0] > 0).mean()) < 0.005


@pytest.mark.parametrize("suffix", ["tif", "png", "webp", "gif"])
def test_several_pages_or_frames_are_refused(tmp_path, suffix):
    pages = [Image.fromarray(((n == NUMBERS) * 255).astype(np.uint8)) for n in range(4)]
    path = tmp_path / f"m.{suffix}"
    pages[0].save(path, save_all=True, append_images=pages[1:], **({"lossless": True} if suffix == "webp" else {}))
    with pytest.raises(
        ValueError, match=rf"m\.{suffix}: contains 4 pictures \(pages or frames\); save each as a separate file"
    ):
        read_mask(path, BINARY)


def test_a_smaller_copy_inside_a_tiff_is_no_second_picture(tmp_path):
    page, thumbnail = Image.fromarray(NUMBERS), Image.fromarray(NUMBERS[:, :4].copy())
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "m.tif", save_all=True, append_images=[thumbnail])
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", spec())[0].T, NUMBERS)
