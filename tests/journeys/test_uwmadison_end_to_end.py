"""From the competition's folder to its submission: prepare, train on stacks of slices, evaluate, predict."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import read_dataset
from medseg_monai.images.masks import read_mask
from medseg_monai.images.rle import encode_rle
from medseg_monai.outputs.submission import read_submission, submitted_mask
from medseg_monai.prepare.abdomen import ORGANS, Patient, draw_abdomen
from medseg_monai.prepare.uwmadison import CLASSES

SIZE, DEPTH = (64, 56), 6


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Drawn abdomens of three patients in the competition's layout."""
    raw = tmp_path_factory.mktemp("uwmadison")
    rows = []
    for case in range(1, 4):
        patient = Patient.draw(np.random.default_rng(case))
        scan = f"case{case}_day0"
        folder = raw / "train" / f"case{case}" / scan / "scans"
        folder.mkdir(parents=True)
        for number in range(1, DEPTH + 1):
            pixels, masks = draw_abdomen(patient, number / (DEPTH + 1), SIZE)
            Image.fromarray(pixels).save(folder / f"slice_{number:04d}_{SIZE[0]}_{SIZE[1]}_1.50_1.63.png")
            by_name = dict(zip(ORGANS, masks, strict=True))
            rows += [(f"{scan}_slice_{number:04d}", organ, encode_rle(by_name[organ].T)) for organ in CLASSES]
    with (raw / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "class", "segmentation"), *rows])
    return raw


def test_prepare_overfit_evaluate_predict(raw, tmp_path, medseg):
    data, weights, out = tmp_path / "data", tmp_path / "weights", tmp_path / "out"
    assert medseg("prepare", "uwmadison", raw, "--out", data, "--size", 64, "--stride", 1).code == 0
    dataset = read_dataset(data)
    case = dataset.cases("training")[0]["group"]

    settings = ["architecture#features=[16, 32]", "augmentation=off", "batch_size=2", "lr=0.01", "val_interval=60"]
    settings += ["empty_fraction=0.2", f"output_dir={weights}"]
    options = [option for setting in settings for option in ("--set", setting)]
    trained = medseg("train", "unetpp", "-d", data, "--max-epochs", 60, *options)
    assert trained.code == 0, trained.err
    assert json.loads((weights / "spec.json").read_text())["dataset"]["slice_stride"] == 1

    evaluated = medseg("evaluate", "unetpp", "-d", data, "-w", weights, "--split", "training")
    assert evaluated.code == 0, evaluated.err
    with (weights / "evaluation_training" / "cases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == DEPTH * len(CLASSES)
    assert np.mean([float(row["dice"]) for row in rows]) > 0.9

    predicted = medseg("predict", "unetpp", raw / "train" / case, "--out", out, "--weights", weights, "--overlays")
    assert predicted.code == 0, predicted.err
    check_outputs(out, case, dataset)


def check_outputs(out: Path, case: str, dataset) -> None:
    """Masks, volumes and submission of a scan say the same, and nearly what was drawn."""
    scan = f"{case}_day0"
    submission = read_submission(out / "submission.csv")
    assert len(submission) == DEPTH * len(CLASSES)
    volumes = [nibabel.load(out / scan / f"{scan}_mask_{organ}.nii.gz") for organ in CLASSES]
    for volume in volumes:
        assert volume.shape == (*SIZE, DEPTH)
        np.testing.assert_allclose(volume.header.get_zooms(), (1.5, 1.63, 3.0), atol=1e-6)
    voxels = np.stack([np.asarray(volume.dataobj) for volume in volumes])
    truth = {one["id"]: read_mask(one["label"], dataset.spec) for one in dataset.cases("training")}
    same = []
    for number in range(1, DEPTH + 1):
        stem = out / scan / "scans" / f"slice_{number:04d}_{SIZE[0]}_{SIZE[1]}_1.50_1.63"
        masks = read_mask([f"{stem}_mask_{organ}.png" for organ in CLASSES], dataset.spec)
        name = f"{scan}_slice_{number:04d}"
        np.testing.assert_array_equal(submitted_mask(submission, name, CLASSES, SIZE), masks)
        np.testing.assert_array_equal(voxels[..., number - 1], masks)
        same.append((masks == truth[name]).mean())
    assert np.mean(same) > 0.98


def test_one_slice_alone_is_segmented_with_its_neighbours(raw, tmp_path, medseg):
    """The same mask as when the whole scan is segmented, and no volume."""
    data, weights = tmp_path / "data", tmp_path / "weights"
    medseg("prepare", "uwmadison", raw, "--out", data, "--size", 64, "--channels", 5, "--stride", 2)
    settings = ["architecture#features=[4, 8, 8]", "batch_size=3", f"output_dir={weights}"]
    options = [option for setting in settings for option in ("--set", setting)]
    assert medseg("train", "unetpp", "-d", data, "--max-epochs", 1, *options).code == 0
    scans = raw / "train" / "case1" / "case1_day0" / "scans"
    options = ["--weights", weights, "--set", "threshold=0.3", "--set", "precision=fp32", "--overlays"]
    one = sorted(scans.iterdir())[2]
    for source, name in ((scans, "all"), (one, "one")):
        outcome = medseg("predict", "unetpp", source, "--out", tmp_path / name, *options)
        assert outcome.code == 0, outcome.err
    for organ in CLASSES:
        file = f"{one.stem}_mask_{organ}.png"
        assert (tmp_path / "all" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    assert (tmp_path / "one" / f"{one.stem}_overlay.jpg").is_file()
    assert len(list((tmp_path / "all").glob("*.nii.gz"))) == len(CLASSES)
    assert not list((tmp_path / "one").glob("*.nii.gz"))
    rows = (tmp_path / "one" / "submission.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["case1_day0_slice_0003"] * 3


def test_a_picture_that_is_no_slice_fails_and_the_rest_is_done(raw, tmp_path, medseg):
    data, weights = tmp_path / "data", tmp_path / "weights"
    medseg("prepare", "uwmadison", raw, "--out", data, "--size", 64)
    options = ["--set", "architecture#features=[4, 8, 8]", "--set", f"output_dir={weights}"]
    assert medseg("train", "unetpp", "-d", data, "--max-epochs", 1, *options).code == 0
    folder = tmp_path / "in" / "case9_day1" / "scans"
    folder.mkdir(parents=True)
    for number, file in enumerate(sorted((raw / "train" / "case1" / "case1_day0" / "scans").iterdir())):
        (folder / file.name).write_bytes(file.read_bytes() if number != 3 else b"")
    (folder / "photo.png").write_bytes((folder / file.name).read_bytes())
    (folder / "slice_0009_56_64_1.50_1.63.png").write_bytes((folder / file.name).read_bytes())
    outcome = medseg("predict", "unetpp", tmp_path / "in", "--out", tmp_path / "out", "--weights", weights)
    assert outcome.code == 1
    with (tmp_path / "out" / "failures.csv").open() as stream:
        reasons = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(stream)}
    assert len(reasons) == 3
    assert "is 64x56 but its name says 56x64" in reasons["slice_0009_56_64_1.50_1.63.png"]
    assert "needs 3 neighbouring slices" in reasons["photo.png"]
    assert reasons["slice_0004_64_56_1.50_1.63.png"].startswith("is empty (0 bytes)")
    done = [row.partition(",")[0][-4:] for row in (tmp_path / "out" / "submission.csv").read_text().splitlines()[1::3]]
    assert done == ["0001", "0002", "0003", "0005", "0006"]
