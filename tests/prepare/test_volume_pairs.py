"""Preparing volumes: Decathlon, AMOS and any folders. Layouts are made up; spacing, splits and names are known beforehand."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medseg_monai.dataset import Dataset, check_dataset, read_dataset
from medseg_monai.dataset.label_values import LabelValues
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.volumes import read_label_volume, write_label_volume
from medseg_monai.prepare.amos import ORGANS, case_number, prepare_amos
from medseg_monai.prepare.msd import prepare_msd
from medseg_monai.prepare.nifti import prepare_nifti
from medseg_monai.prepare.volume_pairs import VolumeFacts, VolumeOverrides, guessed_modality, median_spacing, patch_size

SPLITS = ("training", "validation", "test")


def save(file: Path, array: np.ndarray, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), file)
    return file


def volume(root: Path, name: str, *, top: int = 2, part: str = "Tr", ct: bool = False, **options: object) -> None:
    """An image of 6 x 5 x 4 voxels and its label with the classes 0 to `top`."""
    rng = np.random.default_rng(list(name.encode()))
    image = rng.integers(-1000 if ct else 0, 500, (6, 5, 4)).astype(np.int16)
    save(root / f"images{part}" / f"{name}.nii.gz", image, **options)  # type: ignore[arg-type]
    label = (np.arange(120).reshape(6, 5, 4) % (top + 1)).astype(np.uint8)
    save(root / f"labels{part}" / f"{name}.nii.gz", label, **options)  # type: ignore[arg-type]


def by_split(dataset: Dataset) -> dict[str, list[str]]:
    return {split: sorted(case["id"] for case in dataset.cases(split)) for split in SPLITS}


def left_out(prepared: object) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in prepared.left_out}  # type: ignore[attr-defined]


@pytest.fixture
def hippocampus(tmp_path: Path) -> Path:
    """Ten cases in the Decathlon's layout, without dataset.json."""
    root = tmp_path / "Task04_Hippocampus"
    for number in range(1, 11):
        volume(root, f"hippocampus_{number:03}", spacing=(1, 0.5 * number, 2))
    return root


def test_a_decathlon_task_is_known_by_its_folder(hippocampus: Path, tmp_path: Path) -> None:
    (hippocampus / "imagesTr" / "._hippocampus_001.nii.gz").write_bytes(b"left by an archiver")
    prepared = prepare_msd(hippocampus, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.classes) == ("hippocampus", "multiclass", ("Anterior", "Posterior"))
    assert (spec.spatial_dims, spec.modality, spec.intensity.kind) == (3, "MR", "zscore")
    splits = by_split(prepared.dataset)
    assert [len(splits[split]) for split in SPLITS] == [6, 2, 2]
    assert "hippocampus_001" in {name for names in splits.values() for name in names}
    assert prepared.left_out == ()
    check_dataset(read_dataset(tmp_path / "out"))


def test_splits_follow_the_seed_alone(hippocampus: Path, tmp_path: Path) -> None:
    first = by_split(prepare_msd(hippocampus, tmp_path / "a").dataset)
    assert by_split(prepare_msd(hippocampus, tmp_path / "b").dataset) == first
    assert by_split(prepare_msd(hippocampus, tmp_path / "c", seed=1).dataset) != first


def test_the_spacing_is_the_median_of_the_training_cases(hippocampus: Path, tmp_path: Path) -> None:
    dataset = prepare_msd(hippocampus, tmp_path / "out").dataset
    sides = [0.5 * int(case["id"][-3:]) for case in dataset.cases("training")]
    assert dataset.spec.spacing_mm == (1, pytest.approx(np.median(sides)), 2)


def test_wishes_come_before_the_rules(hippocampus: Path, tmp_path: Path) -> None:
    overrides = VolumeOverrides(spacing_mm=(2, 2, 2), size=(32, 32, 16), modality="ct", window=(-50, 50))
    spec = prepare_msd(hippocampus, tmp_path / "out", overrides=overrides).dataset.spec
    assert (spec.spacing_mm, spec.size) == ((2, 2, 2), (32, 32, 16))
    assert (spec.intensity.kind, spec.intensity.bounds) == ("window", (-50, 50))


def test_a_decathlon_description_gives_names_and_modality(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for number in range(5):
        volume(root, f"liver_{number}", top=2)
    volume(root, "liver_9", part="Ts")
    content = {
        "name": "LIVER",
        "description": "Liver and cancer",
        "licence": "CC-BY-SA 4.0",
        "reference": "IRCAD",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "training": [
            {"image": f"./imagesTr/liver_{n}.nii.gz", "label": f"./labelsTr/liver_{n}.nii.gz"} for n in range(6)
        ],
    }
    (root / "dataset.json").write_text(json.dumps(content))
    prepared = prepare_msd(root, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.classes, spec.channels) == ("liver", ("liver", "cancer"), ("ct",))
    assert (spec.licence, spec.citation, spec.modality) == ("CC-BY-SA 4.0", "IRCAD", "CT")
    assert (spec.intensity.kind, spec.intensity.bounds) == ("window", (-160, 240))
    assert left_out(prepared) == {
        "liver_5.nii.gz": "listed in dataset.json, but missing",
        "imagesTs": "1 volumes without labels: for prediction only",
    }


def test_nnunets_form_of_the_description_is_read_too(tmp_path: Path) -> None:
    for number in range(5):
        volume(tmp_path / "raw", f"c{number}", top=1)
    content = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "tumour": 1}}
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(content))
    spec = prepare_msd(tmp_path / "raw", tmp_path / "out").dataset.spec
    assert (spec.task, spec.classes, spec.modality) == ("binary", ("tumour",), "MR")


def test_several_modalities_in_a_4d_file_are_channels(tmp_path: Path) -> None:
    root = tmp_path / "Task05_Prostate"
    for number in range(5):
        volume(root, f"prostate_{number}")
        save(root / "imagesTr" / f"prostate_{number}.nii.gz", np.full((6, 5, 4, 2), number, np.int16))
    volume(root, "prostate_7")  # one channel only
    prepared = prepare_msd(root, tmp_path / "out")
    assert prepared.dataset.spec.channels == ("t2", "adc")
    assert left_out(prepared) == {"prostate_7.nii.gz": "has 1 channels, the data set has 2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a Decathlon description"),
        ("{}", "is not a Decathlon description"),
        (
            '{"modality": {"0": "CT"}, "labels": {"0": "background", "2": "x"}}',
            r"numbered \[2\]; they must be 1, 2, … without gaps",
        ),
    ],
)
def test_a_description_that_is_none_is_named(hippocampus: Path, tmp_path: Path, content: str, message: str) -> None:
    (hippocampus / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        prepare_msd(hippocampus, tmp_path / "out")


def test_an_unknown_task_without_description_is_named(hippocampus: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no dataset.json, and its name is not one of Task01_BrainTumour"):
        prepare_msd(hippocampus.rename(tmp_path / "mine"), tmp_path / "out")


def cut_short(image: Path, _: Path) -> None:
    image.write_bytes(image.read_bytes()[:-30])


def with_nan(image: Path, _: Path) -> None:
    save(image, np.full((6, 5, 4), np.nan, np.float32))


def another_class(_: Path, label: Path) -> None:
    save(label, np.full((6, 5, 4), 3, np.uint8), (1, 0.5, 2))


def halves(_: Path, label: Path) -> None:
    save(label, np.full((6, 5, 4), 0.5, np.float32), (1, 0.5, 2))


def another_shape(_: Path, label: Path) -> None:
    save(label, np.zeros((6, 5, 5), np.uint8), (1, 0.5, 2))


def another_place(_: Path, label: Path) -> None:
    save(label, np.zeros((6, 5, 4), np.uint8), (1, 3, 2))


def no_label(_: Path, label: Path) -> None:
    label.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_short, "is damaged or truncated"),
        (with_nan, "120 of 120 voxels are NaN or infinite"),
        (another_class, "contains the labels 3, which are not classes; known: 0 background, 1 Anterior, 2 Posterior"),
        (halves, "contains 0.5, but labels must be whole numbers"),
        (another_shape, "has 6x5x5 voxels, but its image 6x5x4"),
        (another_place, "mm away from its image"),
        (no_label, "no mask in"),
    ],
)
def test_a_broken_pair_is_left_out_and_named(
    hippocampus: Path, tmp_path: Path, damage: Callable[[Path, Path], None], reason: str
) -> None:
    name = "hippocampus_001.nii.gz"
    damage(hippocampus / "imagesTr" / name, hippocampus / "labelsTr" / name)
    prepared = prepare_msd(hippocampus, tmp_path / "out")
    assert sum(map(len, by_split(prepared.dataset).values())) == 9
    assert reason in left_out(prepared)[name]
    rows = list(csv.reader((tmp_path / "out" / "left_out.csv").read_text().splitlines()))
    assert reason in rows[1][1]


def test_nothing_usable_is_an_error(hippocampus: Path, tmp_path: Path) -> None:
    for file in (hippocampus / "labelsTr").iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no usable volume: .*is empty \(0 bytes\)"):
        prepare_msd(hippocampus, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare_msd(tmp_path / "nowhere", tmp_path / "out")


def test_a_table_of_splits_decides(hippocampus: Path, tmp_path: Path) -> None:
    table = tmp_path / "splits.csv"
    table.write_text("image_id,split\nhippocampus_001.nii.gz,test\nhippocampus_002,train\nhippocampus_003,val\n")
    splits = by_split(prepare_msd(hippocampus, tmp_path / "out", splits=table).dataset)
    assert splits == {"training": ["hippocampus_002"], "validation": ["hippocampus_003"], "test": ["hippocampus_001"]}


def test_a_copy_of_a_test_volume_is_left_out(hippocampus: Path, tmp_path: Path) -> None:
    test = by_split(prepare_msd(hippocampus, tmp_path / "a").dataset)["test"][0]
    training = by_split(prepare_msd(hippocampus, tmp_path / "a").dataset)["training"][0]
    for part in ("imagesTr", "labelsTr"):
        (hippocampus / part / f"{training}.nii.gz").write_bytes((hippocampus / part / f"{test}.nii.gz").read_bytes())
    prepared = prepare_msd(hippocampus, tmp_path / "b")
    assert f"the same picture as {hippocampus / 'imagesTr' / test}" in left_out(prepared)[f"{training}.nii.gz"]


def test_real_hippocampus(shared_data: Path, tmp_path: Path) -> None:
    dataset = prepare_msd(shared_data / "Task04_Hippocampus", tmp_path).dataset
    assert [len(dataset.cases(split)) for split in SPLITS] == [125, 41, 42]
    assert dataset.spec.spacing_mm == (1, 1, 1)
    assert dataset.spec.size == (48, 64, 48)  # the median volume is 35 x 50 x 36


@pytest.fixture
def amos(tmp_path: Path) -> Path:
    """Six CT and five MR cases with labels, two CT and one MR of the official validation, one without labels."""
    root = tmp_path / "amos22"
    for number in (1, 4, 5, 9, 14, 499, 500, 507, 508, 510, 600):
        volume(root, f"amos_{number:04}", top=15, ct=number < 500)
    for number in (8, 13, 540):
        volume(root, f"amos_{number:04}", top=15, part="Va", ct=number < 500)
    save(root / "imagesTs" / "amos_0002.nii.gz", np.zeros((6, 5, 4), np.int16))
    return root


def test_amos_ct_is_told_by_its_numbers(amos: Path, tmp_path: Path) -> None:
    prepared = prepare_amos(amos, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.modality) == ("amos_ct", "multiclass", "CT")
    assert (len(spec.classes), spec.classes[0], spec.classes[5], spec.classes[14]) == (
        15,
        "spleen",
        "liver",
        "prostate or uterus",
    )
    assert spec.intensity.bounds == (-160, 240)
    splits = by_split(prepared.dataset)
    assert splits["test"] == ["amos_0008", "amos_0013"]  # imagesVa: the challenge's test labels are not public
    assert [len(splits[split]) for split in SPLITS] == [5, 1, 2]
    assert "amos_0499" in splits["training"] + splits["validation"]
    assert left_out(prepared) == {"imagesTs": "1 volumes without labels: for prediction only"}


@pytest.mark.parametrize(("modality", "counts", "kind"), [("mr", [4, 1, 1], "zscore"), ("all", [9, 2, 3], "zscore")])
def test_amos_mr_and_all(amos: Path, tmp_path: Path, modality: str, counts: list[int], kind: str) -> None:
    dataset = prepare_amos(amos, tmp_path / "out", modality=modality).dataset  # type: ignore[arg-type]
    assert [len(dataset.cases(split)) for split in SPLITS] == counts
    assert dataset.spec.intensity.kind == kind
    if modality == "mr":
        assert all(case_number(Path(case["image"])) >= 500 for split in SPLITS for case in dataset.cases(split))


def test_amos_without_its_validation_part_is_drawn(amos: Path, tmp_path: Path) -> None:
    (amos / "labelsVa").rename(tmp_path / "elsewhere")
    dataset = prepare_amos(amos, tmp_path / "out").dataset
    assert [len(dataset.cases(split)) for split in SPLITS] == [4, 1, 1]  # 60 / 20 / 20 of six


def test_amos_names_without_a_number_are_refused(amos: Path, tmp_path: Path) -> None:
    volume(amos, "extra", top=15)
    with pytest.raises(ValueError, match=r"extra.nii.gz: has no case number"):
        prepare_amos(amos, tmp_path / "out")
    assert len(ORGANS) == 15


def test_any_folders_match_by_name(tmp_path: Path) -> None:
    root = tmp_path / "my scans"
    for name in "abcde":
        save(root / "images" / f"{name}.nii.gz", np.random.default_rng(ord(name)).normal(size=(6, 5, 4)))
        grid = Geometry((6, 5, 4), np.eye(4))
        label = np.zeros((6, 5, 4), np.uint8)
        label[0], label[1] = 1, 2
        file = root / "labels" / f"{name}_seg.nii.gz"
        write_label_volume(label, grid, file, ["kidney", "cyst"])
    (root / "images" / "notes.txt").write_text("x")
    prepared = prepare_nifti(root, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.classes, spec.modality) == ("my_scans", "multiclass", ("kidney", "cyst"), "MR")
    assert left_out(prepared) == {"notes.txt": "not a volume"}
    first = prepared.dataset.cases("training")[0]
    assert Path(first["label"]).name == f"{first['id']}_seg.nii.gz"
    assert first["present"] == ["kidney", "cyst"]


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii", np.full((6, 5, 4), -1000 - ord(name), np.int16))
        save(tmp_path / "labels" / f"{name}.nii", np.full((6, 5, 4), 1 if name < "e" else 3, np.uint8))
    spec = prepare_nifti(tmp_path, tmp_path / "out").dataset.spec
    assert (spec.classes, spec.modality) == (("class 1", "class 3"), "CT")
    assert spec.label_values == LabelValues.from_dict({"class 1": 1, "class 3": 3})
    spec = prepare_nifti(tmp_path, tmp_path / "out", classes=("liver",)).dataset.spec
    assert (spec.task, spec.classes) == ("binary", ("liver",))  # e, which holds 3, is left out


def test_a_folder_per_class_is_multilabel(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        for organ in ("bowel", "stomach"):
            save(tmp_path / "labels" / organ / f"{name}.nii.gz", np.ones((6, 5, 4), np.uint8))
    dataset = prepare_nifti(tmp_path, tmp_path / "out").dataset
    assert (dataset.spec.task, dataset.spec.classes) == ("multilabel", ("bowel", "stomach"))
    assert [Path(file).parent.name for file in dataset.cases("training")[0]["label"]] == ["bowel", "stomach"]


def test_which_of_the_classes_along_a_fourth_axis_are_present_is_not_guessed(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        label = np.zeros((6, 5, 4, 2), np.uint8)
        label[..., 1] = 1  # the second class alone
        save(tmp_path / "labels" / f"{name}.nii.gz", label)
    dataset = prepare_nifti(tmp_path, tmp_path / "out", task="multilabel", classes=("bowel", "stomach")).dataset
    assert all("present" not in case for split in SPLITS for case in dataset.cases(split))


def test_labels_too_high_for_classes_are_named(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.zeros((6, 10, 7), np.int16))
        save(tmp_path / "labels" / f"{name}.nii.gz", np.arange(420, dtype=np.int16).reshape(6, 10, 7))
    with pytest.raises(ValueError, match="the labels have 419 values up to 419, more than the 254 that can be classes"):
        prepare_nifti(tmp_path, tmp_path / "out")


def gappy(tmp_path: Path, *values: int) -> Path:
    """Five scans whose labels hold these values, and 0."""
    stored = np.resize(np.array([0, *values], np.int16), (6, 5, 4))
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        save(tmp_path / "labels" / f"{name}.nii.gz", stored)
    return tmp_path


def test_labels_with_gaps_become_classes_without_a_hole(tmp_path: Path, medseg: Callable[..., Any]) -> None:
    raw = gappy(tmp_path, 1, 2, 4)
    prepared = prepare_nifti(raw, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.classes, prepared.notes) == (("class 1", "class 2", "class 4"), ())
    case = prepared.dataset.cases("training")[0]
    assert case["present"] == list(spec.classes)
    assert np.unique(read_label_volume(case["label"], spec)).tolist() == [0, 1, 2, 3]
    named = ("--class", "edema=2", "--class", "core=1+4")
    assert medseg("prepare", "nifti", raw, "--out", tmp_path / "named", *named).code == 0
    spec = read_dataset(tmp_path / "named").spec
    assert (spec.task, spec.classes) == ("multiclass", ("edema", "core"))
    assert np.array_equal(read_label_volume(case["label"], spec)[0], np.resize([0, 2, 1, 2], (6, 5, 4)))


def test_values_of_several_classes_make_them_overlap(tmp_path: Path) -> None:
    regions = {"whole": (1, 2, 4), "core": (1, 4)}
    spec = prepare_nifti(
        gappy(tmp_path, 1, 2, 4), tmp_path / "out", classes=tuple(regions), label_values=regions
    ).dataset.spec
    assert spec.task == "multilabel"


def test_a_value_without_a_class_is_refused_with_what_to_say(tmp_path: Path, medseg: Callable[..., Any]) -> None:
    raw = gappy(tmp_path, 1, 2, 4)
    outcome = medseg("prepare", "nifti", raw, "--out", tmp_path / "out", "--class", "a", "--class", "b")
    assert outcome.code == 1
    assert (
        "a.nii.gz and 4 others: contains the labels 4, which are not classes; known: 0 background, 1 a, 2 b"
        in outcome.err
    )
    assert "name numbers with --class NAME=NUMBER or --ignore NUMBER" in outcome.err
    assert (
        medseg("prepare", "nifti", raw, "--out", tmp_path / "out", "--class", "a", "--class", "b", "--ignore", 4).code
        == 0
    )
    assert read_dataset(tmp_path / "out").spec.ignore == (4,)


def test_labels_that_are_all_ignored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all 5 masks are empty: none has a pixel of a that is not ignored"):
        prepare_nifti(gappy(tmp_path, 7), tmp_path / "out", classes=("a",), ignore=(7,))


def looks(shape: tuple[int, int, int], affine: np.ndarray, lowest: float = 0) -> VolumeFacts:
    return VolumeFacts(Geometry(shape, affine), 1, lowest, (0, 1))


def test_spacing_is_along_right_anterior_superior() -> None:
    turned = np.array([[0, 0, 2.0, 0], [3, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1]])  # sides 3, 5, 2 along A, S, R
    look = looks((10, 20, 30), turned)
    assert look.ras_spacing_mm == (2, 3, 5)
    assert look.ras_shape == (30, 10, 20)
    assert median_spacing([look, looks((9, 9, 9), np.diag([4.0, 3, 1, 1]))]) == (3, 3, 3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((35, 50, 36), (48, 64, 48)),  # it fits: rounded up to sixteens
        ((9, 9, 9), (16, 16, 16)),
        ((512, 512, 100), (160, 160, 32)),  # at most 96³ voxels, in proportion
        ((300, 300, 300), (96, 96, 96)),
    ],
)
def test_a_patch_holds_the_volume_or_its_proportions(shape: tuple[int, int, int], expected: tuple[int, ...]) -> None:
    assert patch_size([looks(shape, np.eye(4))], (1, 1, 1)) == expected
    assert np.prod(expected) <= 96**3


def test_ct_is_told_by_its_air() -> None:
    air, blood = looks((2, 2, 2), np.eye(4), -1024), looks((2, 2, 2), np.eye(4), 0)
    assert guessed_modality([air, air, blood]) == "ct"
    assert guessed_modality([air, blood, blood]) == "mr"


def test_the_command_prints_what_follows_from_the_data(hippocampus: Path, tmp_path: Path, medseg: Callable) -> None:
    (hippocampus / "imagesTr" / "hippocampus_003.nii.gz").write_bytes(b"")
    outcome = medseg("prepare", "msd", hippocampus, "--out", tmp_path / "out", "--spacing", "1", "1", "2")
    assert outcome.code == 0
    assert "hippocampus, 5 training, 2 validation, 2 test cases" in outcome.out
    assert "spacing 1 x 1 x 2 mm, patch 16x16x16 voxels, intensity zscore" in outcome.out
    assert "hippocampus_003.nii.gz: is empty (0 bytes)" in outcome.err


def test_every_command_of_volumes_runs(amos: Path, tmp_path: Path, medseg: Callable) -> None:
    assert (
        medseg("prepare", "amos", amos, "--out", tmp_path / "a", "--modality", "mr", "--size", "16", "16", "16").code
        == 0
    )
    assert read_dataset(tmp_path / "a").spec.name == "amos_mr"
    arguments = ("--images", "imagesTr", "--labels", "labelsTr", "--modality", "ct", "--window", "-100", "200")
    assert medseg("prepare", "nifti", amos, "--out", tmp_path / "n", *arguments).code == 0
    assert read_dataset(tmp_path / "n").spec.intensity.bounds == (-100, 200)
    assert medseg("prepare", "msd", amos, "--out", tmp_path / "m").err.startswith("medseg: error: ")


def test_a_data_set_that_names_a_folder_is_refused(hippocampus: Path, tmp_path: Path) -> None:
    prepare_msd(hippocampus, tmp_path)
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["test"][0]["image"] = str(hippocampus)
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="1 cases name folders, a data set lists files: .*dcm2niix"):
        check_dataset(read_dataset(tmp_path))
