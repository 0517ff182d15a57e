"""Masks of every encoding to the labels they mean, on grids one can draw; and back to files."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask, write_bands, write_mask
from medseg_monai.images.photos import PhotoHeader

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("r", "g", "b"), size=(8, 8))
ORGANS = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(8, 8))
OVERLAP = DatasetSpec("d", "multilabel", classes=("large bowel", "stomach"), channels=("grey",), size=(8, 8))

CORNER = np.array(
    [[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=np.uint8
)  # 6 x 4


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def orientation(number):
    tags = Image.Exif()
    tags[0x0112] = number
    return tags


def disc(height=120, width=160, value=255):
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).ellipse((40, 20, 120, 90), fill=value)
    return np.asarray(image)


@pytest.mark.parametrize("top", [1, 2, 38, 255])
def test_two_levels_whatever_the_upper_one(tmp_path, top):
    label = read_mask(save(tmp_path / "m.png", CORNER * np.uint8(top)), BINARY)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, CORNER.T[None])


@pytest.mark.parametrize("mode", ["1", "RGB", "RGBA", "LA", "P"])
def test_modes(tmp_path, mode):
    path = save(tmp_path / "m.png", CORNER * np.uint8(255), mode)
    np.testing.assert_array_equal(read_mask(path, BINARY)[0].T, CORNER)


def test_sixteen_bit(tmp_path):
    path = save(tmp_path / "m.png", CORNER.astype(np.uint16) * 65535)
    np.testing.assert_array_equal(read_mask(path, BINARY)[0].T, CORNER)


def test_mask_in_the_alpha_channel(tmp_path):
    rgba = np.dstack([np.full((*CORNER.shape, 3), 255, np.uint8), CORNER * np.uint8(255)])
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba), BINARY)[0].T, CORNER)


def test_binary_palette_goes_by_colour(tmp_path):
    """Index 0 is white here: the lesion."""
    image = Image.fromarray(1 - CORNER)
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", BINARY)[0].T, CORNER)


def test_multiclass_palette_goes_by_index(tmp_path):
    numbers = CORNER * np.uint8(2)
    image = Image.fromarray(numbers)
    image.putpalette([0, 0, 0, 200, 30, 30, 30, 30, 200])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", ORGANS)[0].T, numbers)


@pytest.mark.parametrize(("value", "share"), [(0, 0), (255, 1), (1, 1)])
def test_even_masks(tmp_path, value, share):
    label = read_mask(save(tmp_path / "m.png", np.full((4, 6), value, np.uint8)), BINARY)
    assert label.mean() == share


def test_jpeg_mask_is_thresholded_with_a_warning(tmp_path):
    path = save(tmp_path / "m.jpg", disc(), quality=60)
    with pytest.warns(UserWarning, match=r"m\.jpg: mask with soft or lossy edges .*thresholded at half"):
        label = read_mask(path, BINARY)
    assert np.count_nonzero(disc() // 255 != label[0].T) < 12  # of 19,200 pixels


def test_smoothed_edges_are_thresholded_with_a_warning(tmp_path):
    path = tmp_path / "m.png"
    Image.fromarray(disc()).resize((230, 170), Image.Resampling.BICUBIC).save(path)
    with pytest.warns(UserWarning, match="thresholded at half"):
        label = read_mask(path, BINARY)
    assert abs(label.mean() - (disc() > 0).mean()) < 0.002


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_three_grey_levels_are_refused(tmp_path, suffix):
    three = disc()
    three = np.where(np.arange(160) < 80, three // 2, three).astype(np.uint8)  # left half of the disc at 127
    path = save(tmp_path / f"m.{suffix}", three, quality=90)
    with pytest.raises(
        ValueError, match=rf"m\.{suffix}: a binary mask has background 0 and one other level, but this one has"
    ):
        read_mask(path, BINARY)


def test_three_levels_are_named(tmp_path):
    path = save(tmp_path / "m.png", np.array([[0, 128], [255, 0]] * 4, dtype=np.uint8).repeat(4, axis=1))
    with pytest.raises(ValueError, match=r"this one has 3 grey levels \(0, 128, 255\); threshold it first"):
        read_mask(path, BINARY)


@pytest.mark.parametrize(
    "levels",
    [[1, 2], [128, 255], [0, 1, 2, 3, 4], list(range(0, 250, 25))],
    ids=["no zero", "bright", "classes", "many"],
)
def test_other_levels_are_refused(tmp_path, levels):
    path = save(tmp_path / "m.png", np.resize(np.array(levels, dtype=np.uint8).repeat(6), (24, 30)))
    with pytest.raises(ValueError, match="grey levels"):
        read_mask(path, BINARY)


def test_photograph_as_mask_is_refused(tmp_path):
    y, x = np.mgrid[:100, :120]
    path = save(tmp_path / "m.jpg", (128 + 120 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8))
    with pytest.raises(ValueError, match="grey levels"):
        read_mask(path, BINARY)


def test_class_numbers(tmp_path):
    numbers = np.array([[0, 1, 2, 0], [2, 2, 1, 1]] * 2, dtype=np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", numbers), ORGANS), numbers.T[None])


def test_class_number_without_a_class(tmp_path):
    path = save(tmp_path / "m.png", np.full((4, 6), 3, np.uint8) * CORNER)
    with pytest.raises(ValueError, match=r"m\.png: contains the levels 0, 3; 2 classes need levels 0 to 2.*NAME=3 "):
        read_mask(path, ORGANS)
    path = save(tmp_path / "m.tif", CORNER.astype(np.int32) - 1)
    with pytest.raises(ValueError, match=r"m\.tif: contains the levels -1, 0; 2 classes need levels 0 to 2"):
        read_mask(path, ORGANS)


def test_class_numbers_in_a_jpeg_are_refused(tmp_path):
    path = save(tmp_path / "m.jpg", CORNER)
    with pytest.raises(ValueError, match="a JPEG file cannot store exact class numbers"):
        read_mask(path, ORGANS)


def test_one_file_per_class(tmp_path):
    other = np.flipud(CORNER).copy()
    paths = [save(tmp_path / "a.png", CORNER), save(tmp_path / "b.png", other)]
    np.testing.assert_array_equal(read_mask(paths, OVERLAP), [CORNER.T, other.T])


def test_one_file_per_class_for_classes_that_exclude_each_other(tmp_path):
    first, second = np.zeros((2, 4, 6), np.uint8)
    first[0, 1] = second[3, 5] = 1
    paths = [save(tmp_path / "a.png", first), save(tmp_path / "b.png", second)]
    np.testing.assert_array_equal(read_mask(paths, ORGANS), (first + 2 * second).T[None])
    same = save(tmp_path / "c.png", first)
    with pytest.raises(ValueError, match=r"a\.png: the classes' masks overlap; make the data set's task multilabel"):
        read_mask([paths[0], same], ORGANS)


@pytest.mark.parametrize(("spec", "files"), [(OVERLAP, 3), (ORGANS, 3)])
def test_number_of_files_must_fit(tmp_path, spec, files):
    path = save(tmp_path / "m.png", CORNER)
    with pytest.raises(ValueError, match=rf"{files} mask files for {len(spec.classes)} class"):
        read_mask([path] * files, spec)


def test_masks_of_one_case_must_have_one_size(tmp_path):
    paths = [save(tmp_path / "a.png", CORNER), save(tmp_path / "b.png", CORNER.T.copy())]
    with pytest.raises(ValueError, match=r"differ in size: .*a\.png 6x4, .*b\.png 4x6"):
        read_mask(paths, OVERLAP)


def test_size_other_than_the_photographs_names_both(tmp_path):
    image = save(tmp_path / "photo.png", np.zeros((5, 6), np.uint8))
    mask = save(tmp_path / "mask.png", CORNER)
    with pytest.raises(ValueError, match=r"mask .*mask\.png is 6x4 but image .*photo\.png is 6x5"):
        read_mask(mask, BINARY, image=image)


def header(number, stored_size=(6, 4)):
    return PhotoHeader(Path("photo.jpg"), stored_size, number)


def test_mask_turns_by_its_own_tag(tmp_path):
    path = save(tmp_path / "m.png", CORNER, exif=orientation(6))
    np.testing.assert_array_equal(read_mask(path, BINARY, image=header(6))[0].T, np.rot90(CORNER, -1))


def test_mask_drawn_on_the_stored_pixels_turns_with_the_photograph(tmp_path):
    label = read_mask(save(tmp_path / "m.png", CORNER), BINARY, image=header(6))
    np.testing.assert_array_equal(label[0].T, np.rot90(CORNER, -1))


def test_mask_drawn_on_the_displayed_photograph_stays(tmp_path):
    upright_mask = np.rot90(CORNER, -1).copy()
    label = read_mask(save(tmp_path / "m.png", upright_mask), BINARY, image=header(6))
    np.testing.assert_array_equal(label[0].T, upright_mask)


def test_half_turn_is_ambiguous_and_said_so(tmp_path):
    path = save(tmp_path / "m.png", CORNER)
    with pytest.warns(UserWarning, match=r"m\.png: has no orientation tag; turned by the photograph's tag \(3\)"):
        label = read_mask(path, BINARY, image=header(3))
    np.testing.assert_array_equal(label[0].T, CORNER[::-1, ::-1])


def test_upright_photograph_with_a_turned_mask(tmp_path):
    """The mask's own tag is believed, and then the sizes do not fit."""
    path = save(tmp_path / "m.png", CORNER, exif=orientation(6))
    with pytest.raises(ValueError, match="is 4x6 but image photo.jpg is 6x4"):
        read_mask(path, BINARY, image=header(1))


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"0 0 1 1\n" * 9, "not a picture")])
def test_unreadable_mask(tmp_path, content, message):
    (tmp_path / "m.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"m\.png: is {message}"):
        read_mask(tmp_path / "m.png", BINARY)


@pytest.mark.parametrize("spec", [BINARY, ORGANS, OVERLAP], ids=lambda spec: spec.task)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_is_written_reads_back(tmp_path_factory, spec, data):
    top = 2 if spec.task == "multiclass" else 1
    shape = (spec.label_channels, data.draw(st.integers(4, 20)), data.draw(st.integers(4, 20)))
    mask = data.draw(arrays(np.uint8, shape, elements=st.integers(0, top)))
    files = write_mask(mask, tmp_path_factory.mktemp("out") / "deep" / "m.png", spec)
    np.testing.assert_array_equal(read_mask(files, spec), mask)


def test_files_written(tmp_path):
    mask = np.stack([CORNER.T, 1 - CORNER.T])
    (file,) = write_mask(mask[:1], tmp_path / "m.png", BINARY)
    image = Image.open(file)
    assert (image.size, image.mode, image.getextrema()) == ((6, 4), "L", (0, 255))
    names = [file.name for file in write_mask(mask, tmp_path / "m.png", OVERLAP)]
    assert names == ["m_large_bowel.png", "m_stomach.png"]
    (file,) = write_mask(2 * mask[:1], tmp_path / "c.png", ORGANS)
    assert Image.open(file).getextrema() == (0, 2)


def test_only_png_and_right_shapes_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"m\.jpg: masks are written as \.png"):
        write_mask(CORNER[None], tmp_path / "m.jpg", BINARY)
    for shape in ((1, 6), (2, 4, 6), (1, 2, 4, 6)):
        with pytest.raises(
            ValueError, match=rf"got a mask of shape \({', '.join(map(str, shape))}\), expected \(1, W, H\)"
        ):
            write_mask(np.zeros(shape, np.uint8), tmp_path / "m.png", BINARY)
    assert write_mask(CORNER[None], tmp_path / "m.PNG", BINARY) == [tmp_path / "m.PNG"]


def test_interrupted_writing_leaves_the_old_file_and_no_scrap(tmp_path, monkeypatch):
    (file,) = write_mask(CORNER.T[None], tmp_path / "m.png", BINARY)
    before = file.read_bytes()

    def broken(path, content):
        with path.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(KeyboardInterrupt):
        write_mask(1 - CORNER.T[None], file, BINARY)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]


def test_whole_masks_give_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_mask(save(tmp_path / "m.png", disc()), BINARY)


THREE = DatasetSpec("d", "multilabel", classes=("a", "b", "c"), channels=("grey",), size=(8, 8))


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_a_band_for_each_overlapping_class(tmp_path, classes):
    spec = DatasetSpec("d", "multilabel", classes=tuple("abcd"[:classes]), channels=("grey",), size=(8, 8))
    masks = np.stack([CORNER, CORNER[::-1], CORNER[:, ::-1], 0 * CORNER])[:classes].transpose(0, 2, 1)
    file = write_bands(masks, tmp_path / "new" / "m.png")
    with Image.open(file) as image:
        assert (image.mode, image.size) == (("LA", "RGB", "RGBA")[classes - 2], (6, 4))
        assert image.getextrema()[0] == (0, 255)
    label = read_mask(file, spec)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, masks)
    np.testing.assert_array_equal(read_mask([file], spec), masks)


def test_bands_turn_with_the_photograph(tmp_path):
    """A mask drawn on stored pixels of a photograph that is shown turned by a quarter."""
    file = write_bands(np.stack([CORNER, CORNER, 0 * CORNER]).transpose(0, 2, 1), tmp_path / "m.png")
    photo = PhotoHeader(tmp_path / "i.jpg", (6, 4), orientation=6)
    assert read_mask(file, THREE, image=photo).shape == (3, 4, 6)
    np.testing.assert_array_equal(read_mask(file, THREE, image=photo)[1].T, np.rot90(CORNER, -1))
    with pytest.raises(ValueError, match=r"m\.png is 6x4 but image .*i\.jpg is 9x9"):
        read_mask(file, THREE, image=PhotoHeader(tmp_path / "i.jpg", (9, 9)))


def test_bands_that_do_not_fit(tmp_path):
    grey = save(tmp_path / "grey.png", CORNER)
    with pytest.raises(ValueError, match=r"grey\.png: has 1 bands .L. for 3 classes; give one file per class, or one"):
        read_mask(grey, THREE)
    with pytest.raises(ValueError, match="2 mask files for 3 classes .*; give one per class, or one file with a band"):
        read_mask([grey, grey], THREE)
    levels = np.dstack([CORNER, np.arange(24, dtype=np.uint8).reshape(4, 6), CORNER])
    with pytest.raises(ValueError, match=r"m\.png band G: a binary mask has background 0 and one other level"):
        read_mask(save(tmp_path / "m.png", levels), THREE)
    with pytest.raises(ValueError, match="JPEG file mixes its bands"):
        read_mask(save(tmp_path / "m.jpg", levels), THREE)


@pytest.mark.parametrize(("shape", "name"), [((1, 4, 4), "m.png"), ((5, 4, 4), "m.png"), ((3, 4, 4), "m.jpg")])
def test_bands_that_no_png_has(tmp_path, shape, name):
    with pytest.raises(ValueError, match="2 to 4 classes, W, H., to become bands of a .png file"):
        write_bands(np.zeros(shape), tmp_path / name)
