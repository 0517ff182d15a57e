import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from medseg_monai.prepare.pairs import (
    Pair,
    core,
    find_files,
    likely_pattern,
    look_at,
    match_masks,
    nearest_names,
    usable,
)

IMAGES, MASKS = Path("/d/images"), Path("/d/masks")


def match(images: str, masks: str) -> tuple[dict[str, str], list[str]]:
    """{image: mask} and the orphans, by paths below the two folders."""
    found, orphans = match_masks(
        [IMAGES / name for name in images.split()],
        [MASKS / name for name in masks.split()],
        image_root=IMAGES,
        mask_root=MASKS,
    )
    return (
        {
            image.relative_to(IMAGES).as_posix(): " ".join(mask.relative_to(MASKS).as_posix() for mask in own)
            for image, own in found.items()
        },
        [m.relative_to(MASKS).as_posix() for m in orphans],
    )


COMMON = (
    "a.png A.PNG a_mask.png a-masks.png a_segmentation.tif a.seg.png a_label.png a_gt.png a_GroundTruth.png mask_a.png"
)


@pytest.mark.parametrize("mask", COMMON.split())
def test_common_names_match(mask):
    assert match("a.jpg", mask) == ({"a.jpg": mask}, [])


def test_image_words_match_too():
    assert match("image_07.jpg 08_image.jpg", "mask_07.png 08_seg.png")[0] == {
        "image_07.jpg": "mask_07.png",
        "08_image.jpg": "08_seg.png",
    }


def test_a_word_without_separator_is_part_of_the_name():
    assert core("unmask") == "unmask"
    assert match("a.jpg", "amask.png") == ({}, ["amask.png"])


def test_the_same_name_comes_before_the_name_without_the_word():
    assert match("scan.png scan_seg.png", "scan.png scan_seg.png")[0] == {
        "scan.png": "scan.png",
        "scan_seg.png": "scan_seg.png",
    }


def test_subfolders_must_agree():
    assert match("p1/a.png p2/a.png", "p1/a_mask.png p2/a_mask.png") == (
        {"p1/a.png": "p1/a_mask.png", "p2/a.png": "p2/a_mask.png"},
        [],
    )
    assert match("p1/a.png p2/b.png", "p2/a.png p1/b.png") == ({}, ["p2/a.png", "p1/b.png"])


def test_subfolders_on_one_side_only_do_not_matter():
    assert match("p1/a.png p2/b.png", "a.png b.png")[0] == {"p1/a.png": "a.png", "p2/b.png": "b.png"}


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ("a.png", "a.png a_mask.png", "images/a.png has a.png and a_mask.png"),
        ("a.jpg a.png", "a.png", r"masks/a.png fits a.jpg and a.png"),
        ("p1/a.png p2/a.png", "a.png", r"masks/a.png fits a.png and a.png"),
    ],
)
def test_ambiguous_names_are_errors(images, masks, message):
    with pytest.raises(ValueError, match=r"1 names match in more than one way; rename or move: .*" + message):
        match(images, masks)


def test_a_number_tells_the_masks_of_one_image_apart():
    assert match("b(1).png b(10).png", "b(1)_mask.png b(1)_mask_1.png b(1)_mask_2.png b(10)_mask.png")[0] == {
        "b(1).png": "b(1)_mask.png b(1)_mask_1.png b(1)_mask_2.png",
        "b(10).png": "b(10)_mask.png",
    }


def test_a_number_that_is_part_of_the_image_name_stays():
    assert match("a.png a_1.png", "a_mask.png a_1_mask.png")[0] == {"a.png": "a_mask.png", "a_1.png": "a_1_mask.png"}
    assert match("1.png 2.png", "mask_1.png mask_2.png")[0] == {"1.png": "mask_1.png", "2.png": "mask_2.png"}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_match_however_they_are_composed(forms):
    image, mask = (unicodedata.normalize(form, "Röntgen Ä") for form in forms)
    found, orphans = match_masks(
        [IMAGES / f"{image}.png"], [MASKS / f"{mask}_mask.png"], image_root=IMAGES, mask_root=MASKS
    )
    assert (len(found), orphans) == (1, [])


def test_the_two_nearest_names_are_named():
    images, masks = [Path("i/scan_001.png"), Path("i/xyz.png")], [Path("m/q.png"), Path("m/truth_001.png")]
    assert nearest_names(images, masks) == "the nearest two names are 'i/scan_001.png' and 'm/truth_001.png'"
    assert nearest_names(images, []) == ""


@pytest.mark.parametrize(
    ("image", "mask", "pattern"),
    [
        ("photos/P07.jpg", "outlines/truth07.png", "photos/P{case}.jpg -> outlines/truth{case}.png"),
        ("x/a.jpg", "y/b.png", "x/{case}a.jpg -> y/{case}b.png"),
    ],
)
def test_what_two_names_share_is_the_case(image, mask, pattern):
    assert likely_pattern([Path(image)], [Path(mask)]) == pattern
    assert likely_pattern([Path(image)], []) == "images/{case}.jpg -> masks/{case}.png"


def test_a_file_is_no_folder_of_images(tmp_path):
    (tmp_path / "list.csv").write_text("image,mask\n")
    with pytest.raises(NotADirectoryError, match=r"list.csv: a file; expected the folder with images and masks"):
        find_files(tmp_path / "list.csv")


def test_find_files_sorts_and_passes_hidden_ones_over(tmp_path):
    for name in ("b/2.PNG", "a.jpeg", "notes.txt", ".DS_Store", "__MACOSX/x.png", ".git/y.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_files(tmp_path) == ([tmp_path / "a.jpeg", tmp_path / "b/2.PNG"], [tmp_path / "notes.txt"])


def test_missing_empty_and_pictureless_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="x: no such folder"):
        find_files(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="the folder is empty"):
        find_files(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no picture .*\.jpg.* among its 1 files"):
        find_files(tmp_path)


def picture(path: Path, mode: str = "L", size: tuple[int, int] = (12, 8), **options) -> Path:
    Image.new(mode, size).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "grey", "deep"),
    [
        *((mode, True, False) for mode in ("1", "L", "LA", "F")),
        *((mode, False, False) for mode in ("RGB", "RGBA", "P")),
        *((mode, True, True) for mode in ("I", "I;16")),
    ],
)
def test_looks(tmp_path, mode, grey, deep):
    looks = look_at(Pair(picture(tmp_path / "a.tif", mode), (picture(tmp_path / "m.png"),)))
    assert (looks.grey, looks.deep) == (grey, deep)


def test_one_deep_channel_makes_a_deep_image(tmp_path):
    flat, deep = picture(tmp_path / "f.tif"), picture(tmp_path / "d.tif", "I;16")
    for stack in ((flat, deep), (deep, flat)):
        assert look_at(Pair(stack[0], (flat,), stack=stack)).deep
    assert not look_at(Pair(flat, (flat,), stack=(flat, flat))).deep


def test_a_mask_may_lie_on_the_stored_or_on_the_rotated_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 12 x 8, shown 8 x 12
    image = picture(tmp_path / "a.jpg", "RGB", exif=exif)
    stored, shown = picture(tmp_path / "s.png"), picture(tmp_path / "t.png", size=(8, 12))
    assert look_at(Pair(image, (stored,))) == look_at(Pair(image, (shown,)))


def test_channels_of_one_case_must_fit_together(tmp_path):
    grey, also = picture(tmp_path / "g.png"), picture(tmp_path / "h.png")
    colour, small = picture(tmp_path / "c.png", "RGB"), picture(tmp_path / "s.png", size=(6, 8))
    assert look_at(Pair(also, (grey,), stack=(grey, also))).grey
    with pytest.raises(ValueError, match=r"channel .*c.png is in colour, unlike .*g.png"):
        look_at(Pair(grey, (grey,), stack=(grey, colour)))
    with pytest.raises(ValueError, match=r"channel .*s.png is 6x8 but .*g.png is 12x8"):
        look_at(Pair(grey, (grey,), stack=(grey, small)))


def test_unusable_pairs_are_named_and_the_rest_kept(tmp_path):
    good = Pair(picture(tmp_path / "a.png"), (picture(tmp_path / "am.png"),))
    empty, text, small = (tmp_path / f"{name}.png" for name in ("empty", "text", "small"))
    empty.touch()
    text.write_text("hello")
    picture(small, size=(6, 8))
    bad = [Pair(empty, good.masks), Pair(text, good.masks), Pair(small, good.masks), Pair(good.image, (text,))]
    found, gone = usable([good, *bad])
    assert list(found) == [good]
    reasons = [reason for _, reason in gone]
    assert [path.name for path, _ in gone] == ["empty.png", "text.png", "small.png", "a.png"]
    assert reasons[0].startswith("is empty (0 bytes)")
    assert reasons[1].startswith("is not a picture")
    assert "am.png is 12x8 but image" in reasons[2]
    assert "small.png is 6x8" in reasons[2]
    assert "text.png: is not a picture" in reasons[3]
