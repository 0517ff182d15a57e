"""A look into every mask at `prepare`: each kind of the field is read right, or refused in one line."""

import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import DatasetSpec, read_dataset
from medseg_monai.images.masks import read_mask
from medseg_monai.prepare.folder import prepare_folder
from medseg_monai.prepare.mask_contents import classes_in, refuse_if_most, side_by_side
from medseg_monai.prepare.pairs import Pair

NUMBERS = np.zeros((24, 30), np.uint8)
NUMBERS[4:10, 4:10], NUMBERS[12:20, 6:20], NUMBERS[2:6, 20:28] = 1, 2, 3
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def raw(tmp_path, masks, suffix="png"):
    """Pictures with these masks, by name."""
    for number, (name, mask) in enumerate(masks.items()):
        for folder in ("images", "masks"):
            (tmp_path / "raw" / folder).mkdir(parents=True, exist_ok=True)
        photo = np.random.default_rng(number).integers(0, 255, (*mask.shape[:2], 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / "raw" / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "raw" / "masks" / f"{name}.{suffix}")
    return tmp_path / "raw"


def six(tmp_path, mask, **options):
    return raw(tmp_path, dict.fromkeys("abcdef", mask), **options)


def first_label(folder):
    dataset = read_dataset(folder)
    (case, *_) = dataset.cases("training")
    return read_mask(case["label"], dataset.spec, image=case["image"])[0].T


def test_colours_are_refused_in_one_line_and_read_by_a_table(tmp_path, medseg):
    folder, out = six(tmp_path, COLOURS[NUMBERS]), tmp_path / "out"
    outcome = medseg("prepare", "folder", folder, "--out", out)
    assert outcome.code == 1
    (line,) = [line for line in outcome.err.splitlines() if "error" in line]
    assert "6 of 6 masks cannot be used" in line
    assert "a.png and 5 others: contains 4 colours: 0,0,0; 0,255,0; 255,0,0; 0,0,255" in line
    assert not out.exists()
    table = ("--class", "a=255,0,0", "--class", "b=#00ff00", "--ignore", "0,0,255")
    assert medseg("prepare", "folder", folder, "--out", out, *table).code == 0
    np.testing.assert_array_equal(first_label(out), np.where(NUMBERS == 3, 255, NUMBERS))
    assert (
        '"label_values": {"a": "#ff0000", "b": "#00ff00"},\n  "ignore": "#0000ff"' in (out / "dataset.json").read_text()
    )


def test_a_white_background_is_named(tmp_path, medseg):
    colours = COLOURS.copy()
    colours[0] = 255
    folder, table = six(tmp_path, colours[NUMBERS.clip(0, 1)]), ("--class", "lesion=255,0,0")
    outcome = medseg("prepare", "folder", folder, "--out", tmp_path / "out", *table)
    assert (
        "contains colours that belong to no class: 255,255,255 (known: 0,0,0 background, 255,0,0 lesion)" in outcome.err
    )
    table = (*table, "--class", "background=255,255,255")
    assert medseg("prepare", "folder", folder, "--out", tmp_path / "out", *table).code == 0
    np.testing.assert_array_equal(first_label(tmp_path / "out"), NUMBERS.clip(0, 1))


def test_numbers_with_gaps(tmp_path, medseg):
    stored = np.array([0, 1, 2, 4], np.uint8)[NUMBERS]
    folder, out = six(tmp_path, stored), tmp_path / "out"
    plain = medseg("prepare", "folder", folder, "--out", out, "--class", "a", "--class", "b", "--class", "c")
    assert (
        "contains the levels 0, 1, 2, 4; 3 classes need levels 0 to 3; name other values: --class NAME=4" in plain.err
    )
    table = ("--class", "a=1", "--class", "b=2", "--class", "c=4")
    assert medseg("prepare", "folder", folder, "--out", out, *table).code == 0
    np.testing.assert_array_equal(first_label(out), NUMBERS)


def test_one_bad_mask_is_left_out_and_named(tmp_path):
    masks = dict.fromkeys("abcdef", NUMBERS.clip(0, 1))
    masks["c"] = NUMBERS
    prepared = prepare_folder(raw(tmp_path, masks), tmp_path / "out")
    ((path, reason),) = prepared.left_out
    assert path.name == "c.png"
    assert "a binary mask has background 0 and one other level, but this one has 4 grey levels (0, 1, 2, 3)" in reason
    assert sum(len(getattr(prepared.dataset, split)) for split in ("training", "validation", "test")) == 5


def test_what_is_present_is_noted(tmp_path):
    masks = {name: NUMBERS * np.uint8(name < "e") for name in "abcdef"}
    prepared = prepare_folder(raw(tmp_path, masks), tmp_path / "out", classes=("a", "b", "c", "d"))
    assert prepared.notes == ("no mask has a pixel of d",)
    present = {
        case["id"]: case["present"]
        for split in ("training", "validation", "test")
        for case in prepared.dataset.cases(split)
    }
    assert present == {name: ["a", "b", "c"] if name < "e" else [] for name in "abcdef"}


def test_a_class_that_training_lacks_is_said(tmp_path):
    masks = {name: np.where((2 if name == "f" else 1) == NUMBERS, NUMBERS, 0).astype(np.uint8) for name in "abcdef"}
    table = tmp_path / "splits.csv"
    table.write_text("image_id,split\n" + "".join(f"{n},{'test' if n == 'f' else 'training'}\n" for n in "abcdef"))
    prepared = prepare_folder(raw(tmp_path, masks), tmp_path / "out", classes=("a", "b"), splits=table)
    assert prepared.notes == ("no mask of the training split has a pixel of b; masks of other splits do",)


@pytest.mark.parametrize(("level", "more"), [(0, ()), (255, ("--ignore", "255"))])
def test_masks_that_are_all_empty_are_refused(tmp_path, medseg, level, more):
    outcome = medseg(
        "prepare", "folder", six(tmp_path, NUMBERS.clip(0, 1) * np.uint8(level)), "--out", tmp_path / "out", *more
    )
    assert outcome.code == 1
    assert "all 6 masks are empty: none has a pixel of foreground" in outcome.err
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize(("count", "end"), [(1, "thresholded at half"), (2, "(and 1 more masks of this kind)")])
def test_blurred_masks_are_counted(tmp_path, count, end):
    sharp = NUMBERS.clip(0, 1) * np.uint8(255)
    soft = np.asarray(Image.fromarray(sharp).resize((90, 72), Image.Resampling.BICUBIC))
    masks = {name: soft if number < count else sharp for number, name in enumerate("abcdef")}
    (note,) = prepare_folder(raw(tmp_path, masks), tmp_path / "out").notes
    assert note.endswith(end)


def test_blurred_masks_are_said_once(tmp_path):
    disc = np.asarray(Image.fromarray(NUMBERS.clip(0, 1) * np.uint8(255)).resize((90, 72), Image.Resampling.BICUBIC))
    prepared = prepare_folder(six(tmp_path, disc), tmp_path / "out")
    assert len(prepared.notes) == 1
    assert "mask with soft or lossy edges" in prepared.notes[0]
    assert "(and 5 more masks of this kind)" in prepared.notes[0]


def test_pages_in_an_image_and_in_a_mask(tmp_path):
    folder = six(tmp_path, NUMBERS.clip(0, 1), suffix="tif")
    page = Image.fromarray(NUMBERS.clip(0, 1))
    page.save(folder / "masks" / "b.tif", save_all=True, append_images=[page] * 4)
    photo = Image.open(folder / "images" / "c.png")
    photo.save(folder / "images" / "c.png", save_all=True, append_images=[photo.rotate(90)], format="PNG")
    prepared = prepare_folder(folder, tmp_path / "out")
    reasons = {path.name: reason for path, reason in prepared.left_out}
    assert reasons.keys() == {"b.png", "c.png"}
    assert "b.tif: contains 5 pictures (pages or frames)" in reasons["b.png"]
    assert "contains 2 pictures (pages or frames)" in reasons["c.png"]


def test_reasons_are_counted_not_repeated(tmp_path):
    wrong = [(tmp_path / f"{n}.png", f"{tmp_path / f'{n}.png'}: is torn") for n in range(5)]
    wrong.append((tmp_path / "x.png", "is blank"))
    with pytest.raises(
        ValueError, match=r"^6 of 9 masks cannot be used: .*0\.png and 4 others: is torn; .*x\.png: is blank$"
    ):
        refuse_if_most(wrong, count=9)
    refuse_if_most(wrong, count=13)
    refuse_if_most([], count=0)
    two = [(tmp_path / f"{n}.png", "is torn") for n in range(2)]
    with pytest.raises(ValueError, match=r"^2 of 4 masks cannot be used: .*0\.png and 1 others: is torn$"):
        refuse_if_most(two, count=4)


@pytest.mark.parametrize(
    ("reasons", "end"), [(3, "is 2$"), (4, "is 2; and 1 other reasons$"), (6, "is 2; and 3 other reasons$")]
)
def test_the_commonest_three_reasons_are_named(tmp_path, reasons, end):
    wrong = [(tmp_path / f"{n}.png", f"is {n}") for n in range(reasons)] + [(tmp_path / "x.png", "is 0")]
    with pytest.raises(ValueError, match=rf"0\.png and 1 others: is 0; .*1\.png: is 1; .*2\.png: {end}"):
        refuse_if_most(wrong, count=reasons)


def test_classes_that_overlap_are_present_each_by_itself(tmp_path):
    for name, mask in {
        "i": NUMBERS,
        "a": NUMBERS * 0,
        "b": NUMBERS.clip(0, 1),
        "c": (NUMBERS > 2) * np.uint8(255),
    }.items():
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    spec = DatasetSpec("d", "multilabel", classes=("a", "b", "c"), channels=("grey",), size=(8, 8))
    pair = Pair(tmp_path / "i.png", tuple(tmp_path / f"{name}.png" for name in "abc"))
    assert classes_in(pair, spec) == ("b", "c")


@pytest.mark.parametrize(
    ("affinity", "count", "at_once"), [({2, 5, 7}, 64, 3), (None, 3, 3), (None, 1, 1), (None, None, 1)]
)
def test_as_many_at_once_as_the_process_has_cores(monkeypatch, affinity, count, at_once):
    if affinity is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS and Windows
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: affinity if pid == 0 else set(), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    together = threading.Barrier(at_once)  # each thread waits until so many have something to do

    def work(_):
        together.wait(timeout=300)
        return threading.get_ident()

    assert len(set(side_by_side(work, range(12)))) == at_once


def test_results_keep_their_order_and_the_bar_sees_every_item():
    seen = []

    def slow(number):
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    assert side_by_side(slow, range(20), progress=progress) == [n * n for n in range(20)]
    assert seen == list(range(20))
    assert side_by_side(slow, []) == []
