import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import check_dataset
from medseg_monai.prepare.demo import demo_spec, prepare_demo

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
