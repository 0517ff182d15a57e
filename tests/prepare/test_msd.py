import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_volumes import SPLITS, by_split, left_out, save, volume

from medseg_monai.dataset import check_dataset, read_dataset
from medseg_monai.prepare.msd import prepare_msd


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


def test_a_data_set_that_names_a_folder_is_refused(hippocampus: Path, tmp_path: Path) -> None:
    prepare_msd(hippocampus, tmp_path)
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["test"][0]["image"] = str(hippocampus)
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="1 cases name folders, but a data set lists files: .*dcm2niix"):
        check_dataset(read_dataset(tmp_path))


def test_volumes_to_leave_out(hippocampus: Path, tmp_path: Path) -> None:
    before = by_split(prepare_msd(hippocampus, tmp_path / "a").dataset)
    (tmp_path / "leave_out.csv").write_text("image_id,reason\nhippocampus_001.nii.gz,shifted\n")
    prepared = prepare_msd(hippocampus, tmp_path / "b", leave_out=tmp_path / "leave_out.csv")
    assert by_split(prepared.dataset) == {
        split: [name for name in names if name != "hippocampus_001"] for split, names in before.items()
    }
    assert left_out(prepared) == {"hippocampus_001.nii.gz": "named in leave_out.csv: shifted"}
