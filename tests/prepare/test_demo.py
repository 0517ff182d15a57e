import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medseg_monai.dataset import check_dataset
from medseg_monai.prepare.abdomen import Patient, draw_abdomen
from medseg_monai.prepare.demo import demo_spec, prepare_demo
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.prepare.shapes import blob, fractal_noise, grid, solid, strokes

SPLITS = ("training", "validation", "test")


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["dermoscopy", "mr", "volumes"])
def test_same_arguments_same_bytes_other_seed_other_bytes(tmp_path, kind):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare_demo(tmp_path / name, kind=kind, n=12, size=40, seed=seed)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a if name.startswith("images"))


def test_a_picture_does_not_depend_on_how_many_there_are(tmp_path):
    prepare_demo(tmp_path / "a", n=3, size=32)
    prepare_demo(tmp_path / "b", n=5, size=32)
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert all(b[name] == a[name] for name in a if name != "dataset.json")


def test_dermoscopy_files(tmp_path):
    prepared = prepare_demo(tmp_path, n=10, size=(64, 48))
    dataset = prepared.dataset
    assert [len(getattr(dataset, split)) for split in SPLITS] == [7, 1, 2]
    check_dataset(dataset)
    case = dataset.cases("training")[0]
    with Image.open(case["image"]) as image, Image.open(case["label"]) as mask:
        assert (image.mode, image.size, mask.mode, mask.size) == ("RGB", (64, 48), "L", (64, 48))
        assert set(np.unique(np.asarray(mask))) == {0, 255}


def test_mr_files(tmp_path):
    dataset = prepare_demo(tmp_path, kind="mr", n=12, size=(48, 64)).dataset
    assert [len(getattr(dataset, split)) for split in SPLITS] == [4, 4, 4]
    check_dataset(dataset)
    case = dataset.cases("test")[0]
    with Image.open(case["image"]) as image:
        assert (image.mode, image.size) == ("I;16", (48, 64))
    assert [Path(path).parent.name for path in case["label"]] == list(dataset.spec.classes)
    assert {c["group"] for c in dataset.cases("test")} == {case["id"].split("_")[0]}


@pytest.mark.parametrize("seed", range(8))
def test_lesion_is_one_piece_without_holes_and_darker_than_skin(seed):
    pixels, lesion = draw_dermoscopy(np.random.default_rng(seed), (96, 80))
    assert pixels.shape == (80, 96, 3)
    assert lesion.shape == (80, 96)
    assert ndimage.label(lesion)[1] == 1
    assert (ndimage.binary_fill_holes(lesion) == lesion).all()
    around = ndimage.binary_dilation(lesion, iterations=8) & ~ndimage.binary_dilation(lesion, iterations=3)
    assert pixels[lesion].mean() < pixels[around].mean()


def test_organs_overlap_and_some_slices_lack_one():
    masks = []
    for who in range(4):
        patient = Patient.draw(np.random.default_rng(who))
        masks += [draw_abdomen(patient, level, (96, 96))[1] for level in (0.1, 0.4, 0.9)]
    shares = np.array([mask.mean(axis=(1, 2)) for mask in masks])
    assert sum((mask.sum(axis=0) > 1).any() for mask in masks) >= 8
    assert (shares[2::3, 0] == 0).all()  # no stomach low down
    assert (shares[1::3] > 0).all()  # all three in the middle
    assert shares.max() < 0.3


def test_scans_differ_in_scale_slices_of_one_do_not():
    patients = [Patient.draw(np.random.default_rng(who)) for who in range(12)]
    brightest = [patient.brightest for patient in patients]
    assert min(brightest) < 2000 < 5000 < max(brightest)
    one, two = (draw_abdomen(patients[0], level, (96, 96))[0] for level in (0.2, 0.8))
    assert 0.6 < np.percentile(one, 99) / np.percentile(two, 99) < 1.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "dermoscopi"}, "unknown kind of demo 'dermoscopi' .did you mean 'dermoscopy'"),
        ({"size": 16}, "sides of at least 32 pixels, got 16x16"),
        ({"n": 2}, "n: at least 3 pictures are needed for three splits, got 2"),
        ({"n": 11, "kind": "mr"}, "n: at least 12 pictures"),
    ],
)
def test_wrong_arguments_write_nothing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        prepare_demo(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_spec_alone():
    assert (demo_spec().name, demo_spec().in_channels, demo_spec().out_channels) == ("demo", 3, 1)
    assert (demo_spec("mr").task, demo_spec("mr").out_channels, demo_spec(size=64).size) == ("multilabel", 3, (64, 64))


def test_progress_sees_every_picture(tmp_path):
    seen = []
    prepare_demo(tmp_path, n=4, size=32, progress=lambda numbers: (seen.append(i) or i for i in numbers))
    assert seen == [0, 1, 2, 3]


def test_grid_has_its_origin_in_the_middle_and_square_pixels():
    x, y = grid((4, 2))
    np.testing.assert_allclose(x[0], [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(y[:, 0], [-0.5, 0.5])


def test_blob_has_the_area_of_its_circle():
    inside = blob(np.random.default_rng(0), (300, 200), centre=(0.2, -0.1), radius=0.5, ragged=0, rough=0) > 0
    assert inside.sum() == pytest.approx(np.pi * 50**2, rel=0.01)  # half the shorter side is 100 pixels
    row, column = ndimage.center_of_mass(inside)
    assert (column, row) == (pytest.approx(149.5 + 20, abs=0.5), pytest.approx(99.5 - 10, abs=0.5))


def test_noise_has_mean_0_and_deviation_1_about():
    noise = fractal_noise(np.random.default_rng(0), (256, 256), 16)
    assert (noise.shape, noise.dtype) == ((256, 256), np.float32)
    assert abs(noise.mean()) < 0.2
    assert 0.75 < noise.std() < 1.25


def test_solid_keeps_the_largest_piece_and_fills_it():
    drawn = np.array([list("####.#"), list("#..#.."), list("####.#")]) == "#"
    filled = np.array([list("####.."), list("####.."), list("####..")]) == "#"
    assert (solid(drawn) == filled).all()


def test_strokes_cover_a_line_of_the_given_width():
    cover = strokes((20, 10), [(np.array([[-2.0, 5.0], [22.0, 5.0]]), 2.0)])
    assert cover.shape == (10, 20)
    np.testing.assert_allclose(cover.sum(axis=0), 2, atol=0.4)
    assert cover[:3].max() == 0


def test_volumes_of_several_grids_show_one_anatomy(tmp_path):
    """Liver, kidneys and vertebra have the size and place that they were drawn with, whatever the file's axes."""
    dataset = prepare_demo(tmp_path, kind="volumes", n=8, size=(32, 28, 20)).dataset
    check_dataset(dataset)
    assert [len(getattr(dataset, split)) for split in SPLITS] == [6, 1, 1]
    orientations = set()
    for case in [case for split in SPLITS for case in dataset.cases(split)]:
        files = [nibabel.load(case[key]) for key in ("image", "label")]
        assert files[0].shape == files[1].shape
        assert np.array_equal(files[0].affine, files[1].affine)
        orientations.add(nibabel.aff2axcodes(files[0].affine))
        label = nibabel.as_closest_canonical(files[1])
        voxels, voxel_ml = np.asarray(label.dataobj), abs(np.linalg.det(label.affine)) / 1000
        liver, kidneys, vertebra = (np.count_nonzero(voxels == number) * voxel_ml for number in (1, 2, 3))
        assert 4 / 3 * np.pi * 52 * 50 * 44 / 1000 * 0.4 < liver < 4 / 3 * np.pi * 52 * 50 * 44 / 1000 * 1.7
        assert liver > 2 * kidneys > 4 * vertebra > 0
        where = [
            (np.argwhere(voxels == number).mean(0) * np.diag(label.affine)[:3] + label.affine[:3, 3])
            for number in (1, 3)
        ]
        assert where[0][0] > 15  # the liver to the right
        assert where[1][1] < -25  # the vertebra at the back
    assert len(orientations) > 1


def test_a_volume_has_three_sides():
    assert demo_spec("volumes", size=16).spacing_mm == (16, 14, 10)
    with pytest.raises(ValueError, match="demo volumes have 3 sides of at least 8 pixels, got 16x16"):
        demo_spec("volumes", size=(16, 16))
