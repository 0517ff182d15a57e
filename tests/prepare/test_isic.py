import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import check_dataset, read_dataset
from medseg_monai.prepare.isic import ISIC2018, prepare_isic2017, prepare_isic2018

FOLDERS_2017 = {
    "training": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
    "validation": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
    "test": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
}
REAL = Path(os.environ.get("MEDSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / "isic2017_native"


def save(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert("1" if "GroundTruth" in path.parent.name else "RGB").save(path)


def official(raw: Path, folders: tuple[str, str], numbers: range) -> None:
    """Pairs with these numbers, as the official archives hold them."""
    for number in numbers:
        save(raw / folders[0] / f"ISIC_{number:07d}.jpg", number)
        save(raw / folders[0] / f"ISIC_{number:07d}_superpixels.png", number)
        save(raw / folders[1] / f"ISIC_{number:07d}_segmentation.png", 0)
    (raw / folders[0] / "LICENSE.txt").touch()


def ids(dataset, split: str) -> list[str]:
    return [case["id"][-2:] for case in dataset.cases(split)]


@pytest.mark.parametrize("above", ["", "isic-2017-challenge/"])
def test_folders_that_kaggle_doubles(tmp_path, above):
    for folders, numbers in zip(FOLDERS_2017.values(), (range(5), range(5, 7), range(7, 10)), strict=True):
        official(tmp_path / "raw" / above, tuple(f"{name}/{name}" for name in folders), numbers)
    prepared = prepare_isic2017(tmp_path / "raw", tmp_path / "out")
    assert prepared.left_out == ()
    assert [len(ids(prepared.dataset, split)) for split in FOLDERS_2017] == [5, 2, 3]


def test_official_splits(tmp_path):
    for (_, folders), numbers in zip(FOLDERS_2017.items(), (range(5), range(5, 7), range(7, 10)), strict=True):
        official(tmp_path / "raw", folders, numbers)
    prepared = prepare_isic2017(tmp_path / "raw", tmp_path / "out")
    dataset = prepared.dataset
    assert prepared.left_out == ()
    assert [ids(dataset, split) for split in FOLDERS_2017] == [
        ["00", "01", "02", "03", "04"],
        ["05", "06"],
        ["07", "08", "09"],
    ]
    assert dataset.test[0] == {
        "image": "../raw/ISIC-2017_Test_v2_Data/ISIC_0000007.jpg",
        "label": "../raw/ISIC-2017_Test_v2_Part1_GroundTruth/ISIC_0000007_segmentation.png",
        "present": ["lesion"],
    }
    assert dataset == read_dataset(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset.json"]
    check_dataset(dataset)


def test_training_folder_alone_is_split_by_the_seed(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(20))
    first, again, other = (
        prepare_isic2017(tmp_path / "raw", tmp_path / "out", seed=seed).dataset for seed in (0, 0, 1)
    )
    assert first == again != other
    assert [len(first.training), len(first.validation), len(first.test)] == [14, 3, 3]


def test_given_table_decides_and_what_it_lacks_is_named(tmp_path):
    for split in ("training", "test"):
        official(tmp_path / "raw", FOLDERS_2017[split], range(3) if split == "training" else range(3, 5))
    table = tmp_path / "mine.csv"
    table.write_text(
        "image_id,split\nISIC_0000000,test\nISIC_0000003,training\nISIC_0000001,training\nISIC_0000099,test\n"
    )
    prepared = prepare_isic2017(tmp_path / "raw", tmp_path / "out", splits=table)
    assert [ids(prepared.dataset, split) for split in FOLDERS_2017] == [["01", "03"], [], ["00"]]
    reasons = {path.name: reason for path, reason in prepared.left_out}
    assert reasons["ISIC_0000002.jpg"] == reasons["ISIC_0000004.jpg"] == "not named in mine.csv"
    assert reasons["mine.csv"] == "1 of its 4 ids have no usable image here: ISIC_0000099"
    assert "has no validation split" in reasons["ISIC-2017_Validation_Data"]


def test_table_in_the_raw_folder_is_found(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(3))
    rows = "".join(f"ISIC_000000{i},{split}\n" for i, split in enumerate(FOLDERS_2017))
    (tmp_path / "raw" / "splits.csv").write_text("image_id,split\n" + rows)
    dataset = prepare_isic2017(tmp_path / "raw", tmp_path / "out").dataset
    assert [ids(dataset, split) for split in FOLDERS_2017] == [["00"], ["01"], ["02"]]


def test_table_that_names_no_image(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(3))
    (tmp_path / "t.csv").write_text("image_id,split\nother,test\n")
    with pytest.raises(ValueError, match=r"t.csv: names none of the 3 images .ids here: ISIC_0000000, "):
        prepare_isic2017(tmp_path / "raw", tmp_path / "out", splits=tmp_path / "t.csv")


def test_image_without_mask_and_mask_without_image_are_listed(tmp_path):
    raw = tmp_path / "raw"
    official(raw, FOLDERS_2017["training"], range(10))
    (raw / FOLDERS_2017["training"][1] / "ISIC_0000003_segmentation.png").unlink()
    (raw / FOLDERS_2017["training"][0] / "ISIC_0000004.jpg").unlink()
    prepared = prepare_isic2017(raw, tmp_path / "out")
    reasons = {path.name: reason.split(" in ")[0] for path, reason in prepared.left_out}
    assert reasons == {"ISIC_0000003.jpg": "no mask", "ISIC_0000004_segmentation.png": "no image"}
    lines = (tmp_path / "out" / "left_out.csv").read_text().splitlines()
    assert lines[0] == "file,reason"
    assert len(lines) == 3


def test_same_picture_in_two_splits_stays_in_test_alone(tmp_path):
    raw = tmp_path / "raw"
    for split, numbers in (("training", range(4)), ("validation", range(4, 6)), ("test", range(6, 8))):
        official(raw, FOLDERS_2017[split], numbers)
    copied = (raw / FOLDERS_2017["test"][0] / "ISIC_0000006.jpg").read_bytes()
    (raw / FOLDERS_2017["training"][0] / "ISIC_0000002.jpg").write_bytes(copied)
    prepared = prepare_isic2017(raw, tmp_path / "out")
    assert [ids(prepared.dataset, split) for split in FOLDERS_2017] == [["00", "01", "03"], ["04", "05"], ["06", "07"]]
    ((path, reason),) = prepared.left_out
    assert path.name == "ISIC_0000002.jpg"
    assert "ISIC_0000006.jpg of the test split" in reason


def test_one_name_in_two_splits_is_refused(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(3))
    official(tmp_path / "raw", FOLDERS_2017["test"], range(2, 4))
    with pytest.raises(
        ValueError, match=r"Test_v2_Data/ISIC_0000002.jpg and .*Training_Data/ISIC_0000002.jpg have the same name"
    ):
        prepare_isic2017(tmp_path / "raw", tmp_path / "out")


def test_groups_from_a_table_are_not_divided(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(12))
    rows = "".join(f"ISIC_{i:07d},lesion{i // 2}\n" for i in range(11))
    (tmp_path / "g.csv").write_text("image_id,group\n" + rows)
    prepared = prepare_isic2017(tmp_path / "raw", tmp_path / "out", groups=tmp_path / "g.csv")
    assert [(p.name, reason) for p, reason in prepared.left_out] == [("ISIC_0000011.jpg", "has no group in g.csv")]
    homes = {(case["group"], split) for split in FOLDERS_2017 for case in prepared.dataset.cases(split)}
    assert len(homes) == 6


def test_2018_layout_with_an_unanswered_test_set(tmp_path):
    raw = tmp_path / "raw"
    official(raw, ISIC2018.folders["training"], range(4))
    official(raw, ISIC2018.folders["validation"], range(4, 6))
    save(raw / "ISIC2018_Task1-2_Test_Input" / "ISIC_0000009.jpg", 9)
    prepared = prepare_isic2018(raw, tmp_path / "out", size=(128, 96))
    assert (raw / "ISIC2018_Task1-2_Training_Input").is_dir()
    assert (raw / "ISIC2018_Task1_Validation_GroundTruth").is_dir()
    assert (prepared.dataset.spec.name, prepared.dataset.spec.size) == ("isic2018", (128, 96))
    assert [ids(prepared.dataset, split) for split in FOLDERS_2017] == [["00", "01", "02", "03"], ["04", "05"], []]
    ((path, reason),) = prepared.left_out
    assert path.name == "ISIC_0000009.jpg"
    assert "ISIC2018_Task1_Test_GroundTruth is missing" in reason


def test_masks_whose_images_are_missing_altogether_are_named(tmp_path):
    official(tmp_path / "raw", FOLDERS_2017["training"], range(3))
    save(tmp_path / "raw" / FOLDERS_2017["test"][1] / "ISIC_0000009_segmentation.png", 0)
    ((path, reason),) = prepare_isic2017(tmp_path / "raw", tmp_path / "out").left_out
    assert path.name == "ISIC-2017_Test_v2_Part1_GroundTruth"
    assert "masks without images" in reason


def test_wrong_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        prepare_isic2017(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"contains none of ISIC-2017_Training_Data, .*; it is empty"):
        prepare_isic2017(tmp_path, tmp_path / "out")
    (tmp_path / "raw" / FOLDERS_2017["training"][0]).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"ISIC-2017_Training_Data: the folder is empty"):
        prepare_isic2017(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_usable_writes_nothing(tmp_path):
    save(tmp_path / "raw" / FOLDERS_2017["training"][0] / "ISIC_0000001.jpg", 1)
    with pytest.raises(ValueError, match=r"no image with a usable mask; left out: .*ISIC_0000001.jpg: no mask"):
        prepare_isic2017(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the ISIC data are not here")
def test_real_download(tmp_path):
    prepared = prepare_isic2017(REAL, tmp_path)
    assert prepared.left_out == ()
    assert sum(len(prepared.dataset.cases(split)) for split in FOLDERS_2017) == 34
    check_dataset(prepared.dataset)


@pytest.mark.parametrize("prepare", [prepare_isic2017, prepare_isic2018])
def test_images_to_leave_out(tmp_path, prepare):
    folders = FOLDERS_2017 if prepare is prepare_isic2017 else ISIC2018.folders
    official(tmp_path / "raw", folders["training"], range(9))
    table = tmp_path / "leave_out.csv"
    table.write_text("image_id\nISIC_0000004\n")
    prepared = prepare(tmp_path / "raw", tmp_path / "out", leave_out=table)
    left = sorted(name for split in FOLDERS_2017 for name in ids(prepared.dataset, split))
    assert left == ["00", "01", "02", "03", "05", "06", "07", "08"]
    assert ("ISIC_0000004.jpg", "named in leave_out.csv") in [(p.name, reason) for p, reason in prepared.left_out]
