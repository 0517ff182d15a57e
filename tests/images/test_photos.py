"""Photographs in every form met in the field, against Pillow's own conversions and pixels set by hand."""

import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image, ImageOps

from medseg_monai.images.monai_reader import PhotoReader
from medseg_monai.images.photos import read_header, read_image, upright

WIDTH, HEIGHT = 7, 5


@pytest.fixture
def colours() -> np.ndarray:
    """(H, W, 3) noise: every pixel can be told from every other."""
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def smooth(height, width):
    """A photograph-like (H, W, 3) picture of slow waves."""
    y, x = np.mgrid[:height, :width]
    waves = [
        128 + 100 * np.sin(x / width * a + c) * np.cos(y / height * b) for a, b, c in ((9, 5, 0), (4, 7, 1), (6, 6, 2))
    ]
    return np.stack(waves, axis=-1).astype(np.uint8)


def test_first_axis_is_x(tmp_path, colours):
    array = read_image(save(tmp_path / "a.png", colours), 3)
    assert array.shape == (3, WIDTH, HEIGHT)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array[:, 6, 0], colours[0, 6])  # rightmost pixel of the top row


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_pillow_turns_it(tmp_path, colours, orientation):
    path = save(tmp_path / "a.png", colours, exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_image(path, 3), expected.transpose(2, 1, 0))
    assert read_header(path).size == expected.shape[1::-1]


def test_orientation_six_by_hand():
    stored = np.array([[1, 2, 3], [4, 5, 6]])  # a camera held upright stores the scene lying on its left side
    np.testing.assert_array_equal(upright(stored, 6), [[4, 1], [5, 2], [6, 3]])


def test_impossible_orientation_is_ignored(tmp_path, colours):
    assert read_header(save(tmp_path / "a.png", colours, exif=exif(77))).orientation == 1


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_repeated_for_three_channels(tmp_path, colours, mode):
    path = save(tmp_path / "a.png", colours, mode)
    grey = np.asarray(Image.open(path).convert("L")).T
    np.testing.assert_array_equal(read_image(path, 3), [grey, grey, grey])
    np.testing.assert_array_equal(read_image(path, 1), [grey])


def test_colour_becomes_luminance_for_one_channel(tmp_path, colours):
    grey = read_image(save(tmp_path / "a.png", colours), 1)
    expected = colours.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[0].T, expected, atol=0.51)


def test_alpha_is_ignored(tmp_path, colours):
    alpha = np.full((HEIGHT, WIDTH, 1), 3, np.uint8)
    path = save(tmp_path / "a.png", np.concatenate([colours, alpha], axis=-1))
    np.testing.assert_array_equal(read_image(path, 3), colours.transpose(2, 1, 0))


def test_palette_gives_colours_not_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2, 1]] * 4, dtype=np.uint8))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=bytes([0, 255, 255]))
    array = read_image(tmp_path / "a.png", 3)
    assert array[:, :, 0].T.tolist() == [[10, 20, 30], [200, 100, 50], [0, 0, 255], [200, 100, 50]]


def test_cmyk_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(32, 48), "CMYK", quality=98)
    np.testing.assert_allclose(read_image(path, 3).astype(int), smooth(32, 48).transpose(2, 1, 0), atol=12)


def test_sixteen_bit_grey_is_kept(tmp_path):
    values = np.array([[0, 257, 12920, 65535]] * 4, dtype=np.uint16)
    array = read_image(save(tmp_path / "a.png", values), 1)
    assert array.dtype == np.uint16
    assert array[0, :, 0].tolist() == [0, 257, 12920, 65535]


def test_sixteen_bit_resizing_keeps_the_range(tmp_path):
    values = np.repeat([[1000, 60000]], 4, axis=0).repeat(4, axis=1).astype(np.uint16)  # 8 x 4: left dark, right bright
    array = read_image(save(tmp_path / "a.png", values), 1, size=(8, 2))
    assert array.dtype == np.uint16
    assert array[0, 0, 0] == 1000
    assert array[0, 7, 0] == 60000


def test_files_are_stacked_as_channels(tmp_path):
    paths = [save(tmp_path / f"{v}.png", np.full((4, 6), v, np.uint8)) for v in (1, 2, 3, 4, 5)]
    array = read_image(paths, 5)
    assert array.shape == (5, 6, 4)
    assert array[:, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_stacked_files_must_have_one_size(tmp_path):
    paths = [save(tmp_path / f"{n}.png", np.zeros((4, n), np.uint8)) for n in (5, 6)]
    with pytest.raises(ValueError, match=r"5\.png .*differ in size.*\(5, 4\), \(6, 4\)"):
        read_image(paths, 2)


@pytest.mark.parametrize(("files", "channels"), [(1, 5), (1, 2), (2, 3), (0, 1)])
def test_channels_that_files_cannot_make(tmp_path, files, channels, colours):
    path = save(tmp_path / "a.png", colours)
    with pytest.raises(ValueError, match="one (file )?per channel"):
        read_image([path] * files, channels)


@pytest.mark.parametrize("orientation", [1, 5, 6])
def test_resizing_has_no_shift(tmp_path, orientation):
    """Halving a ramp gives the mean of each pair of columns: a half-pixel error would be off by the ramp's step."""
    ramp = np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[None], 8, axis=0)  # 24 x 8
    path = save(tmp_path / "a.png", ramp, exif=exif(orientation))
    size = (12, 4) if orientation == 1 else (4, 12)
    small = read_image(path, 1, size=size)[0]
    along = small[:, 0] if orientation == 1 else small[0, :]
    np.testing.assert_allclose(along[2:-2], np.arange(5, 240, 20)[2:-2], atol=1)


def test_reduced_decoding_changes_little(tmp_path):
    """A JPEG of 1003 x 803 (no multiple of 8) to 100 x 80: decoded at half size, against the whole of it."""
    picture = smooth(803, 1003)
    jpeg = save(tmp_path / "a.jpg", picture, quality=95)
    png = save(tmp_path / "a.png", np.asarray(Image.open(jpeg)))
    fast, whole = (read_image(p, 3, size=(100, 80)).astype(int) for p in (jpeg, png))
    assert np.abs(fast - whole).max() <= 3
    assert abs((fast - whole).mean()) < 0.1


@pytest.mark.parametrize(
    ("size", "scale"), [((134, 134), 2), ((135, 135), 1), ((67, 67), 4), ((68, 68), 2), ((98, 25), 2), ((25, 98), 2)]
)
def test_a_jpeg_is_decoded_at_the_scale_that_leaves_one_and_a_half_times_the_size(tmp_path, size, scale):
    """Of noise every scale gives other pixels: those of Pillow's own decoder at that scale are expected."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    jpeg = save(tmp_path / "a.jpg", noise, quality=95)
    with Image.open(jpeg) as image:
        image.draft(None, (400 // scale, 400 // scale))
        assert image.size == (400 // scale, 400 // scale)
        expected = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    np.testing.assert_array_equal(read_image(jpeg, 3, size=size), np.asarray(expected).transpose(2, 1, 0))


def test_fifty_megapixels(tmp_path):
    Image.new("RGB", (8688, 5792), (200, 100, 50)).save(tmp_path / "big.jpg", quality=30)
    array = read_image(tmp_path / "big.jpg", 3, size=(64, 64))
    np.testing.assert_allclose(array.mean(axis=(1, 2)), [200, 100, 50], atol=2)


@pytest.mark.parametrize("side", [9500, 20000])
def test_more_than_the_limit_is_refused(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"bomb\.png: .*89 megapixels; reduce it"):
        read_image(tmp_path / "bomb.png", 3)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg: no such file"):
        read_image(tmp_path / "nowhere.jpg", 3)


def test_truncated_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(200, 300), quality=95)
    path.write_bytes(path.read_bytes()[:-2000])
    for size in (None, (30, 20)):
        with pytest.raises(ValueError, match=r"a\.jpg: is damaged or truncated"):
            read_image(path, 3, size=size)


@pytest.mark.parametrize("kept", [30, 60])
def test_truncated_png(tmp_path, colours, kept):
    path = save(tmp_path / "a.png", colours)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"a\.png: is (damaged or truncated|not a picture)"):
        read_image(path, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", r"empty \(0 bytes\)"), (b"hello, I am a text file\n" * 9, "not a picture in a supported format")],
)
def test_no_picture(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.png: is {message}"):
        read_image(tmp_path / "a.png", 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (500, 1), (3, 3)])
def test_too_small(tmp_path, width, height):
    path = save(tmp_path / "a.png", np.zeros((height, width), np.uint8))
    with pytest.raises(ValueError, match=rf"a\.png: is {width}x{height}; each side must have at least 4 pixels"):
        read_image(path, 3)


def test_folder_is_no_photograph(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        read_image(tmp_path, 3)


def test_floating_point_is_refused(tmp_path):
    path = save(tmp_path / "a.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match=r"a\.tif: contains floating-point pixels"):
        read_image(path, 1)


def test_reader_serves_monai(tmp_path, colours):
    path = save(tmp_path / "a.jpg", smooth(20, 30), exif=exif(6))
    image = LoadImage(reader=PhotoReader(), ensure_channel_first=True, dtype=np.uint8)(path)
    np.testing.assert_array_equal(image.numpy(), read_image(path, 3))
    grey = [save(tmp_path / f"{n}.png", colours[..., n]) for n in range(3)]
    np.testing.assert_array_equal(
        LoadImage(reader=PhotoReader(), ensure_channel_first=True, dtype=np.uint8)(grey).numpy(),
        colours.transpose(2, 1, 0),
    )


@pytest.mark.parametrize("suffix", ["tif", "png", "webp", "gif"])
@pytest.mark.parametrize("read", [read_header, lambda path: read_image(path, 3)], ids=["header", "picture"])
def test_several_pages_or_frames_are_refused(tmp_path, suffix, read):
    pages = [Image.fromarray(np.full((8, 8), 50 * n, np.uint8)) for n in range(5)]
    pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=rf"a\.{suffix}: contains 5 pictures \(pages or frames\)"):
        read(tmp_path / f"a.{suffix}")


def test_a_camera_s_preview_is_no_second_photograph(tmp_path, colours):
    photo, preview = Image.fromarray(colours), Image.fromarray(colours[::2, ::2].copy())
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    assert read_image(tmp_path / "a.jpg", 3).shape == (3, colours.shape[1], colours.shape[0])


def test_a_smaller_copy_in_a_tiff_is_no_second_picture(tmp_path, colours):
    """As whole-slide scanners and some cameras write it: bit 1 of the tag NewSubfileType marks a reduced copy."""
    photo, small = Image.fromarray(colours), Image.fromarray(colours[::2, ::2].copy())
    small.encoderinfo = {"tiffinfo": {254: 1}}
    photo.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 2
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3), colours.transpose(2, 1, 0))
