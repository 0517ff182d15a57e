"""What `medseg label` does before MONAI Label is involved: the app's folder, the environment, labels in and out."""

import json
import os
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask
from medseg_monai.label import serve as serving
from medseg_monai.label.labels import (
    check_number_type,
    label_map,
    mask_extension,
    outlines,
    training_cases,
    usable_label,
)
from medseg_monai.label.serve import ServedModel, build_app, parse_bundles, same_stem, server_environment

UNETPP = REPOSITORY / "bundles" / "unetpp"
BINARY = DatasetSpec("x", "binary", classes=("lesion",), channels=("grey",), size=(32, 32))
OVERLAPPING = DatasetSpec("x", "multilabel", classes=("small bowel", "stomach"), channels=("grey",), size=(32, 32))
VOLUMES = DatasetSpec(
    "x", "multiclass", classes=("liver", "spleen"), channels=("ct",), spatial_dims=3, spacing_mm=(1.0, 1.0, 1.0)
)


@pytest.fixture
def model(trained: Path) -> ServedModel:
    return ServedModel("unetpp", UNETPP, trained / "model.pt")


def test_bundles_are_named_with_their_weights(trained, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (found,) = parse_bundles(f"unetpp={trained}")
    assert (found.name, found.weights) == ("unetpp", trained / "model.pt")
    with pytest.raises(ValueError, match="names unetpp twice"):
        parse_bundles(f"unetpp={trained}, unetpp={trained}")
    with pytest.raises(ValueError, match="--bundles is empty"):
        parse_bundles(" ,")
    with pytest.raises(FileNotFoundError, match="did you mean 'unetpp'"):
        parse_bundles("unetp")


def test_the_app_holds_copies_and_describes_the_weights(tmp_path, model):
    specs = build_app(tmp_path, [model])
    root = tmp_path / "model" / "unetpp"
    assert "MedsegApp" in (tmp_path / "main.py").read_text()
    assert specs == [Trained.read(model.weights.parent).dataset]
    assert (root / "models" / "model.pt").read_bytes() == model.weights.read_bytes()
    assert json.loads((root / "configs" / "metadata.json").read_text())["label_classes"] == "1 = lesion"
    assert not (root / "models" / "model.pt").is_symlink(), "training must not reach the bundle's own weights"


def test_what_the_server_learnt_is_kept_and_other_weights_are_refused(tmp_path, model):
    build_app(tmp_path, [model])
    models = tmp_path / "model" / "unetpp" / "models"
    (models / "model.pt").write_bytes(b"learnt")
    build_app(tmp_path, [model])
    assert (models / "model.pt").read_bytes() == b"learnt"
    content = json.loads((models / "spec.json").read_text())
    content["dataset"]["classes"] = ["naevus"]
    (models / "spec.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"contains weights for naevus .* name another folder with --app"):
        build_app(tmp_path, [model])


def test_a_model_no_longer_asked_for_is_put_aside(tmp_path, model):
    (tmp_path / "model" / "old" / "models").mkdir(parents=True)
    (tmp_path / "model" / "old" / "models" / "model.pt").write_bytes(b"learnt")
    build_app(tmp_path, [model])
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [".old", "unetpp"]
    assert (tmp_path / "model" / ".old" / "models" / "model.pt").read_bytes() == b"learnt"


@pytest.fixture
def other(model: ServedModel, tmp_path: Path) -> ServedModel:
    """The same weights under another bundle's name."""
    shutil.copytree(UNETPP, tmp_path / "bundles" / "second", ignore=shutil.ignore_patterns("models"))
    return ServedModel("second", tmp_path / "bundles" / "second", model.weights)


def test_a_model_that_is_served_again_goes_on_with_what_it_learnt(tmp_path, model, other):
    """A and B, A, A and B, A, A and B: B's weights are those it learnt, each time."""
    app = tmp_path / "app"
    build_app(app, [model, other])
    learnt = app / "model" / "second" / "models" / "model.pt"
    learnt.write_bytes(b"learnt")
    for _ in range(2):
        build_app(app, [model])
        assert not learnt.exists(), "out of the server's sight"
        build_app(app, [model, other])
        assert learnt.read_bytes() == b"learnt"


def test_nothing_is_lost_of_two_that_were_put_aside_under_one_name(tmp_path, model):
    """As earlier versions could leave them: one hidden and one in use."""
    for name, content in ((".second", b"earlier"), ("second", b"later")):
        (tmp_path / "model" / name / "models").mkdir(parents=True)
        (tmp_path / "model" / name / "models" / "model.pt").write_bytes(content)
    build_app(tmp_path, [model])
    kept = {file.parent.parent.name: file.read_bytes() for file in tmp_path.glob("model/.second*/models/model.pt")}
    assert kept == {".second": b"later", ".second.1": b"earlier"}


def test_the_bound_on_uploads_is_handed_to_the_server(tmp_path, trained, medseg, monkeypatch):
    called = []
    monkeypatch.setattr(serving, "label_python", lambda: Path(sys.executable))
    monkeypatch.setattr(os, "execve", lambda path, command, environment: called.extend(command))
    call = ("label", "serve", "--studies", tmp_path, "--bundles", f"unetpp={trained}")
    assert medseg(*call, "--max-upload-mb", 5).code == 0
    assert called[-3:] == ["--conf", "max_upload_mb", "5"]
    assert medseg(*call, "--max-upload-mb", 0).code != 0


def test_names_in_any_spelling_are_images_and_what_the_user_set_wins():
    photographs = json.loads(server_environment([BINARY], {})["MONAI_LABEL_DATASTORE_FILE_EXT"])
    assert {"*.jpg", "*.JPG", "*.Jpg", "*.jpeg", "*.PNG"} <= set(photographs)
    assert "*.nii.gz" not in photographs
    assert "*.NII.GZ" in server_environment([VOLUMES], {})["MONAI_LABEL_DATASTORE_FILE_EXT"]
    assert server_environment([BINARY], {"HF_HUB_OFFLINE": "0"})["HF_HUB_OFFLINE"] == "0"


def test_two_images_of_one_name_are_seen(tmp_path):
    for name in ("a.jpg", "a.PNG", "b.jpg", "b.txt", "c.nii.gz"):
        (tmp_path / name).touch()
    assert same_stem(tmp_path, (".jpg", ".png", ".nii.gz", ".nii")) == ["a.PNG and a.jpg"]


def test_serve_becomes_the_server_on_loopback(tmp_path, trained, medseg, monkeypatch):
    called = {}
    monkeypatch.setattr(serving, "label_python", lambda: Path(sys.executable))
    monkeypatch.setattr(
        os, "execve", lambda path, command, environment: called.update(command=command, env=environment)
    )
    ended = medseg("label", "serve", "--studies", tmp_path, "--bundles", f"unetpp={trained}", "--port", 8123)
    assert ended.code == 0, ended.err
    options = dict(zip(called["command"][4::2], called["command"][5::2], strict=True))
    assert options == {
        "--app": str(tmp_path / "monailabel_app"),
        "--studies": str(tmp_path),
        "--host": "127.0.0.1",
        "--port": "8123",
    }
    assert called["env"]["MONAI_LABEL_AUTO_UPDATE_SCORING"] == "false"


def test_without_monai_label_the_way_to_it_is_named(tmp_path, trained, medseg, monkeypatch):
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(serving, "ENVIRONMENT", tmp_path / "nowhere")
    ended = medseg("label", "serve", "--studies", tmp_path, "--bundles", f"unetpp={trained}")
    assert (ended.code, "make label-env" in ended.err) == (1, True)


def test_no_folder_and_clashing_names_are_refused(tmp_path, trained, medseg, monkeypatch):
    monkeypatch.setattr(serving, "label_python", lambda: Path(sys.executable))
    call = ("label", "serve", "--bundles", f"unetpp={trained}", "--studies")
    assert "--studies: no such folder" in medseg(*call, tmp_path / "none").err
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    assert "a.jpg and a.png have the same name" in medseg(*call, tmp_path).err


# labels


def photograph(folder: Path, size=(5, 4)) -> Path:
    file = folder / "photo.png"
    Image.new("L", size, 100).save(file)
    return file


def saved_as_nifti(folder: Path, numbers: np.ndarray) -> Path:
    """As 3D Slicer saves the label of a photograph: one slice, first axis to the right."""
    file = folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(numbers.T[..., None].astype(np.int16), np.diag([-1, -1, 1, 1])), file)
    return file


def test_a_photographs_label_may_come_as_nifti(tmp_path):
    pytest.importorskip("SimpleITK")
    numbers = np.zeros((4, 5), np.uint8)
    numbers[0, 3:] = 1  # upper right
    file = usable_label(saved_as_nifti(tmp_path, numbers), photograph(tmp_path), BINARY, tmp_path / "new")
    assert np.array_equal(read_mask(file, BINARY)[0].T, numbers)


def test_overlapping_classes_are_taken_apart(tmp_path):
    pytest.importorskip("SimpleITK")
    numbers = np.array([[0, 1, 1, 2, 2]] * 4, np.uint8)
    Image.fromarray(numbers).save(tmp_path / "label.png")
    files = usable_label(tmp_path / "label.png", photograph(tmp_path), OVERLAPPING, tmp_path / "new")
    masks = read_mask(files, OVERLAPPING)
    assert masks[:, :, 0].tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]


def test_volumes_are_checked_against_the_scan(tmp_path):
    grid, other = np.diag([2.0, 1, 1, 1]), np.diag([1.0, 1, 1, 1])
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), grid), tmp_path / "scan.nii.gz")
    label = np.zeros((4, 3, 2), np.uint8)
    label[0] = 2
    nibabel.save(nibabel.Nifti1Image(label, grid), tmp_path / "good.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, other), tmp_path / "elsewhere.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label * 9, grid), tmp_path / "unknown.nii.gz")
    pairs = [
        {"image": str(tmp_path / "scan.nii.gz"), "label": str(tmp_path / f"{name}.nii.gz")}
        for name in ("good", "elsewhere", "unknown", "missing")
    ]
    cases = training_cases(pairs, VOLUMES, tmp_path / "new")
    assert [Path(case["label"]).name for case in cases] == ["good.nii.gz"]


def test_overlapping_classes_of_volumes_are_taken_apart(tmp_path):
    spec = DatasetSpec(
        "x", "multilabel", classes=("a", "b c"), channels=("ct",), spatial_dims=3, spacing_mm=(1.0, 1.0, 1.0)
    )
    label = np.zeros((4, 3, 2), np.uint8)
    label[0], label[1] = 1, 2
    for name, array in (("scan", label.astype(np.int16)), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    files = usable_label(tmp_path / "label.nii.gz", tmp_path / "scan.nii.gz", spec, tmp_path / "new")
    assert [Path(file).name for file in files] == ["scan.nii.gz_a.nii.gz", "scan.nii.gz_b_c.nii.gz"]
    assert [int(np.asarray(nibabel.load(file).dataobj).sum()) for file in files] == [6, 6]


def test_numbers_mean_what_the_annotators_tool_says(tmp_path):
    """3D Slicer numbers segments in the order of its list: here the spleen, our class 2, is its number 1."""
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4)), tmp_path / "scan.nii.gz")
    label = np.zeros((4, 3, 2), np.uint8)
    label[0], label[1] = 1, 2
    nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "label.nii.gz")
    given = (tmp_path / "label.nii.gz", tmp_path / "scan.nii.gz", VOLUMES, tmp_path / "new")
    assert usable_label(*given, names=["liver", "spleen"]) == str(tmp_path / "label.nii.gz")
    turned = nibabel.load(usable_label(*given, names=["spleen", "liver"]))
    assert np.asarray(turned.dataobj)[:, 0, 0].tolist() == [2, 1, 0, 0]
    with pytest.raises(
        ValueError, match=r"contains the number 2 \(tumour\), which is not a class; known: 0 background, 1 liver"
    ):
        usable_label(*given, names=["spleen", "tumour"])


@pytest.mark.parametrize(("value", "message"), [(3, "contains the number 3"), (0, "")])
def test_numbers_that_are_no_class_are_refused(tmp_path, value, message):
    pytest.importorskip("SimpleITK")
    numbers = np.full((4, 5), value, np.uint8)
    label, image = saved_as_nifti(tmp_path, numbers), photograph(tmp_path)
    if not message:
        assert usable_label(label, image, BINARY, tmp_path / "new")
        return
    with pytest.raises(ValueError, match=message):
        usable_label(label, image, BINARY, tmp_path / "new")


def test_a_label_of_another_size_is_refused(tmp_path):
    label = tmp_path / "label.png"
    Image.new("L", (9, 9)).save(label)
    with pytest.raises(ValueError, match="9x9"):
        usable_label(label, photograph(tmp_path), BINARY, tmp_path / "new")


def test_outlines_are_the_corners_of_each_class():
    numbers = np.zeros((4, 3), np.uint8)  # (W, H)
    numbers[0, 0], numbers[2:, 1:] = 1, 2
    exclusive = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=("grey",), size=(32, 32))
    (answer,) = outlines(numbers, exclusive)["annotations"]
    assert answer["annotation"]["elements"] == [
        {"label": "a", "contours": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
        {"label": "b", "contours": [[[2, 1], [4, 1], [4, 3], [2, 3]]]},
    ]
    assert (answer["annotation"]["location"], answer["annotation"]["size"]) == ([0, 0], [4, 3])
    assert outlines(np.zeros((4, 3), np.uint8), exclusive)["annotations"][0]["annotation"]["elements"] == []
    assert outlines(np.zeros((4, 3, 2), np.uint8), VOLUMES) == {}


def test_the_map_that_clients_show():
    exclusive = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=("grey",), size=(32, 32))
    assert label_map(np.array([[[0, 2]]]), exclusive).tolist() == [[0, 2]]
    assert label_map(np.array([[[1, 1]], [[0, 1]]]), OVERLAPPING).tolist() == [[1, 2]]
    assert label_map(np.array([[[1, 0]]]), BINARY).dtype == np.uint8


@pytest.mark.parametrize(
    ("spec", "wanted", "given"),
    [
        (BINARY, ".jpeg", ".png"),
        (BINARY, ".tif", ".tif"),
        (BINARY, ".nrrd", ".nrrd"),
        (VOLUMES, "", ".nii.gz"),
        (VOLUMES, ".seg.nrrd", ".seg.nrrd"),
        (VOLUMES, ".jpg", ".nii.gz"),
        (VOLUMES, ".1.2.NII", ".nii"),
        (VOLUMES, ".mhd", ".nii.gz"),
        (VOLUMES, ".hdr", ".nii.gz"),
        (BINARY, ".gif", ".png"),
        (BINARY, ".jp2", ".png"),
        (BINARY, ".exe", ".png"),
    ],
)
def test_masks_are_never_written_where_numbers_get_lost(spec, wanted, given):
    assert mask_extension(wanted, spec) == given


def test_a_type_of_numbers_that_a_format_lacks_is_refused_before_anything_is_written():
    check_number_type(".png", "uint16")
    check_number_type(".nii.gz", "float64")
    with pytest.raises(ValueError, match="float64 cannot be written as .png; uint8, uint16 can"):
        check_number_type(".png", "float64")
