"""Neighbouring slices as channels: which, how bright, changed alike, each kept once."""

import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images import photos as readers
from medseg_monai.images.masks import write_bands
from medseg_monai.training.cache import CachedDataset
from medseg_monai.transforms import augment, load, load_and_augment, normalise
from medseg_monai.transforms.stacks import _recent_slice

SIZE = (8, 6)
SPEC = DatasetSpec(
    "d",
    "multilabel",
    classes=("a", "b", "c"),
    channels=("-1", "0", "+1"),
    size=SIZE,
    intensity=Intensity("percentile", lower=0, upper=100),
    slice_stride=1,
)


def save(folder, number, *, size=SIZE, name_size=None, pixels=None):
    """A slice whose grey levels reach from 0 to 1000 times its number."""
    width, height = name_size or size
    folder.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 1000 * number, size[::-1]).astype(np.uint16)
        pixels.flat[:2] = 0, 1000 * number
    file = folder / f"slice_{number:04d}_{width}_{height}_1.50_1.50.png"
    Image.fromarray(pixels).save(file)
    return str(file)


@pytest.fixture
def scan(tmp_path):
    """Five slices of one scan, with masks."""
    folder, cases = tmp_path / "case1_day0" / "scans", []
    files = [save(folder, number) for number in range(1, 6)]
    for number, file in enumerate(files):
        mask = np.zeros((3, *SIZE), np.uint8)
        mask[number % 3, number, :] = 1
        label = write_bands(mask, tmp_path / f"{number}.png")
        stack = [files[max(number - 1, 0)], file, files[min(number + 1, 4)]]
        cases.append({"image": stack, "label": str(label), "id": f"slice{number + 1}"})
    return cases


def stored(file):
    with Image.open(file) as image:
        return np.asarray(image).T


def equal(first, second):
    meta = "image_meta_dict"
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in ("image", "label"))
    assert first[meta].keys() == second[meta].keys()
    assert all(torch.equal(first[meta][key], second[meta][key]) for key in ("spatial_shape", "window"))
    assert first[meta]["filename_or_obj"] == second[meta]["filename_or_obj"]


def test_channels_are_the_slices_in_order(scan):
    case = load(SPEC)(scan[2])
    assert (case["image"].dtype, case["label"].dtype) == (torch.uint16, torch.uint8)
    for channel, file in zip(case["image"], scan[2]["image"], strict=True):
        np.testing.assert_array_equal(channel, stored(file))
    assert case["label"].sum(dim=(1, 2)).tolist() == [0, 0, 6]
    assert case["image_meta_dict"]["filename_or_obj"] == scan[2]["image"][1]
    assert case["image_meta_dict"]["spatial_shape"].tolist() == list(SIZE)


def test_one_window_for_all_slices_their_median(scan):
    """Slices 2, 3, 4 reach to 2000, 3000 and 4000: 3000 becomes 1 in all of them."""
    case = normalise(replace(SPEC, intensity=replace(SPEC.intensity, mean=0.0, std=1.0)))(load(SPEC)(scan[2]))
    assert case["image_meta_dict"]["window"].tolist() == [[0, 3000]] * 3
    raw = np.stack([stored(file) for file in scan[2]["image"]])
    np.testing.assert_allclose(case["image"], np.clip(raw / 3000, 0, 1), atol=1e-6)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_the_slices_own_file_finds_its_neighbours(scan, number):
    equal(load(SPEC)(scan[number]), load(SPEC)(scan[number] | {"image": scan[number]["image"][1]}))


def test_five_channels_two_apart(scan):
    spec = replace(SPEC, channels=tuple("abcde"), slice_stride=2)
    case = load(spec, keys=("image",))({"image": scan[1]["image"][1]})
    image = case["image"]
    assert case["image_meta_dict"]["filename_or_obj"] == scan[1]["image"][1]
    files = [scan[number]["image"][1] for number in (0, 0, 1, 3, 4)]  # -3 and -1 are not there; nor is 6
    np.testing.assert_array_equal(image, [stored(file) for file in files])


def test_slices_are_changed_alike(tmp_path):
    """Three times the same slice stays three times the same, whatever is drawn: no channel is a colour."""
    file = save(tmp_path / "scans", 3, size=(32, 32))
    spec = replace(SPEC, size=(32, 32))
    transform = load_and_augment(spec, strength="strong", keys=("image",))
    for seed in range(20):
        image = transform({"image": [file] * 3, "augment_seed": seed})["image"]
        assert torch.equal(image[0], image[1])
        assert torch.equal(image[0], image[2])


def test_each_slice_is_kept_once_whichever_stacks_it_is_in(scan, tmp_path):
    plain = CachedDataset(scan, load(SPEC))
    cold = CachedDataset(scan, load(SPEC), cache_dir=tmp_path / "cache")
    for index in range(5):
        equal(plain[index], cold[index])
    assert len(list((tmp_path / "cache").glob("??/*.entry"))) == 5 + 5  # slices and labels
    warm = CachedDataset(scan, load(SPEC), cache_dir=tmp_path / "cache")
    warm.load.transforms[0].load_part = None  # nothing is loaded any more
    for index in range(5):
        equal(plain[index], warm[index])
    five = replace(SPEC, channels=tuple("abcde"))
    cases = [case | {"image": [case["image"][0], *case["image"], case["image"][2]]} for case in scan]
    CachedDataset(cases, load(five), cache_dir=tmp_path / "cache").fill()
    assert len(list((tmp_path / "cache").glob("??/*.entry"))) == 10


def test_neighbours_are_decoded_once_without_a_cache_too(scan, monkeypatch):
    decoded = []
    decode = readers._decode
    monkeypatch.setattr(
        readers, "_decode", lambda path, size, **more: decoded.append(path) or decode(path, size, **more)
    )
    _recent_slice.cache_clear()
    data = CachedDataset(scan, load(SPEC), augment(SPEC))
    for _ in data:
        pass
    assert len(decoded) == len(set(decoded)) == 5


def test_a_file_that_changes_is_read_again(scan):
    first = load(SPEC)(scan[2])["image"]
    file = scan[2]["image"][1]
    Image.fromarray(np.full(SIZE[::-1], 7, np.uint16)).save(file)
    second = load(SPEC)(scan[2])["image"]
    assert (second[1] == 7).all()
    assert torch.equal(first[0], second[0])


def test_a_loaded_stack_can_be_changed_without_harm(scan):
    load(SPEC)(scan[2])["image"].zero_()
    assert load(SPEC)(scan[2])["image"].any()


def test_worker_processes_take_it(scan):
    again = pickle.loads(pickle.dumps(load(SPEC)))
    equal(again(scan[1]), load(SPEC)(scan[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (9, 6)}, r"slice_0003.*\.png and its neighbour .*slice_0004.*\.png differ in size: 8x6 and 9x6"),
        (
            {"pixels": np.zeros(SIZE[::-1], np.uint8)},
            "slice_0003.* and its neighbour .*slice_0004.* differ in depth: 16 and 8",
        ),
        ({"name_size": (6, 8)}, r"slice_0004.*: is 8x6 but its name says 6x8 \(width, height\)"),
    ],
)
def test_neighbours_that_do_not_fit(scan, tmp_path, options, message):
    other = save(tmp_path / "other", 4, **options)
    with pytest.raises(ValueError, match=message):
        load(SPEC)(scan[2] | {"image": [*scan[2]["image"][:2], other]})


def test_a_missing_neighbour_and_a_photograph(scan, tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.png: no such file"):
        load(SPEC)(scan[2] | {"image": [*scan[2]["image"][:2], str(tmp_path / "gone.png")]})
    with pytest.raises(ValueError, match=r"0\.png: needs 3 neighbouring slices"):
        load(SPEC)({"image": scan[0]["label"]})


def test_a_neighbour_that_cannot_be_read_counts_as_missing(scan, caplog):
    """Slice 4 is damaged: to slice 3 the slice itself is the nearest; slice 4 itself fails."""
    files = [case["image"][1] for case in scan]
    Path(files[3]).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            image = load(SPEC, keys=("image",))({"image": files[2]})["image"]
    np.testing.assert_array_equal(image, [stored(file) for file in (files[1], files[2], files[2])])
    assert [record.getMessage().partition(": is")[0] for record in caplog.records] == [files[3]]
    with pytest.raises(ValueError, match="slice_0004.*: is empty"):
        load(SPEC, keys=("image",))({"image": files[3]})


def test_slices_of_another_size_are_no_neighbours(tmp_path):
    folder = tmp_path / "scans"
    files = [save(folder, 1), save(folder, 2), save(folder, 3, size=(9, 6))]
    image = load(SPEC, keys=("image",))({"image": files[1]})["image"]
    np.testing.assert_array_equal(image, [stored(file) for file in (files[0], files[1], files[1])])


def test_soft_labels_of_the_middle_slice(scan, tmp_path):
    case = scan[1]
    maps = []
    for number in range(3):
        levels = np.full(SIZE[::-1], 10 * number, np.uint8)
        levels[0, 1] = 200
        maps.append(str(tmp_path / f"soft{number}.png"))
        Image.fromarray(levels).save(maps[-1])
    keys = ("image", "label", "soft_label")
    data = CachedDataset([{**case, "soft_label": maps}], load(SPEC, keys=keys), cache_dir=tmp_path / "cache")
    loaded, again = data[0], data[0]
    assert loaded["soft_label"].shape == (3, *SIZE)
    assert loaded["soft_label"][:, 1, 0].tolist() == [200, 200, 200]
    assert loaded["soft_label"][:, 0, 0].tolist() == [0, 10, 20]
    assert torch.equal(again["soft_label"], loaded["soft_label"])
    assert torch.equal(loaded["image"], load(SPEC)(case)["image"])
