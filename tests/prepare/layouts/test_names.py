"""Folders and files whose names tell: public sets as they are unpacked, each with its cases counted by hand."""

import re
from pathlib import Path

import pytest
from raw_folders import in_splits, masks, paired, pictures, read, reasons

from medseg_monai.prepare.layouts.names import Spot, spot_of


@pytest.mark.parametrize(
    ("images", "truth", "cases"),
    [
        ("images/a.jpg images/b.jpg", "masks/a_mask.gif masks/b_mask.gif", 2),
        ("train/a.jpg train/b.jpg", "train_masks/a_mask.gif train_masks/b_mask.gif", 2),  # Carvana
        ("Original/1.tif Original/2.tif", "Ground Truth/1.tif Ground Truth/2.tif", 2),  # CVC-ClinicDB
        ("Kvasir-SEG/images/x.jpg Kvasir-SEG/images/y.jpg", "Kvasir-SEG/masks/x.jpg Kvasir-SEG/masks/y.jpg", 2),
        ("train/1_sat.jpg train/2_sat.jpg", "train/1_mask.png train/2_mask.png", 2),  # DeepGlobe
        (
            "benign/benign (1).png malignant/malignant (1).png",
            "benign/benign (1)_mask.png malignant/malignant (1)_mask.png",
            2,
        ),
        (
            "IMD002/IMD002_Dermoscopic_Image/IMD002.bmp IMD003/IMD003_Dermoscopic_Image/IMD003.bmp",  # PH2
            "IMD002/IMD002_lesion/IMD002_lesion.bmp IMD003/IMD003_lesion/IMD003_lesion.bmp",
            2,
        ),
        (
            "ISIC2018_Task1-2_Training_Input/ISIC2018_Task1-2_Training_Input/ISIC_1.jpg",  # as Kaggle doubles them
            "ISIC2018_Task1_Training_GroundTruth/ISIC2018_Task1_Training_GroundTruth/ISIC_1_segmentation.png",
            1,
        ),
        (
            "CXR_png/CHN_1_0.png CXR_png/MC_2_1.png",
            "masks/CHN_1_0_mask.png masks/MC_2_1.png",
            2,
        ),  # Montgomery and Shenzhen
        ("x/1.pgm x/2.pgm", "x_seg/1.pbm x_seg/2.pbm", 2),
        ("c1/imaging.png c2/imaging.png", "c1/segmentation.png c2/segmentation.png", 2),  # as KiTS names its files
        ("n1/images/n1.png n2/images/n2.png", "n1/masks/3f.png n2/masks/8a.png", 2),  # Data Science Bowl 2018
        ("p1/img/s.png p2/img/s.png", "p1/mask/s.png p2/mask/s.png", 2),
    ],
)
def test_every_case_is_found(tmp_path: Path, images: str, truth: str, cases: int) -> None:
    # names may hold spaces: a space between two names follows an ending
    image_names, mask_names = (
        [tmp_path / name for name in re.split(r"(?<=\.\w{3}) ", text)] for text in (images, truth)
    )
    pictures(tmp_path, *map(str, image_names), mode="L" if ".pgm" in images else "RGB")
    masks(tmp_path, *map(str, mask_names), mode="1" if ".pbm" in truth else "L")
    (tmp_path / "README.txt").touch()
    name, found = read(tmp_path)
    assert (name, len(found.pairs), found.left_out) == ("names", cases, ())
    assert [(pair.image, pair.masks) for pair in found.pairs] == [
        (image, (mask,)) for image, mask in zip(image_names, mask_names, strict=True)
    ]


def test_an_archive_unpacked_into_its_own_name_is_stepped_into(tmp_path: Path) -> None:
    pictures(tmp_path, "set/set/images/a.png", "set/set/images/b.png")
    masks(tmp_path, "set/set/masks/a.png", "set/set/masks/b.png")
    assert sorted(paired(tmp_path, read(tmp_path)[1])) == ["a", "b"]


@pytest.mark.parametrize(
    "form", ["{split}/images|{split}/masks", "{split}_images|{split}_labels", "images/{split}|masks/{split}"]
)
def test_splits_that_folders_state_are_kept(tmp_path: Path, form: str) -> None:
    for split, names in (("train", "abc"), ("val", "d"), ("test", "ef")):
        images, truth = (part.format(split=split) for part in form.split("|"))
        pictures(tmp_path, *(f"{images}/{name}.png" for name in names))
        masks(tmp_path, *(f"{truth}/{name}.png" for name in names))
    found = read(tmp_path, layout="names")[1]
    assert in_splits(found) == {"training": ["a", "b", "c"], "validation": ["d"], "test": ["e", "f"]}


def test_the_same_name_in_two_splits_is_two_cases(tmp_path: Path) -> None:
    for split in ("train", "val"):
        pictures(tmp_path, f"{split}/images/1.png")
        masks(tmp_path, f"{split}/masks/1.png")
    found = read(tmp_path)[1]
    assert paired(tmp_path, found) == {
        f"{split}/images/1": ([f"{split}/images/1.png"], [f"{split}/masks/1.png"]) for split in ("train", "val")
    }


def test_one_split_alone_says_nothing(tmp_path: Path) -> None:
    pictures(tmp_path, "train/a.png", "valid/b.png")
    masks(tmp_path, "train/a_mask.png")
    found = read(tmp_path)[1]
    assert (in_splits(found), reasons(found)) == ({"": ["a"]}, {"b.png": "no mask of the same name"})


def test_masks_of_another_patient_are_none(tmp_path: Path) -> None:
    pictures(tmp_path, "images/p1/a.png", "images/p2/b.png")
    masks(tmp_path, "gt/p2/a.png", "gt/p2/b.png")
    pictures(tmp_path, "images/p3/c.png")
    masks(tmp_path, "gt/p3/d.png")  # the only two of their patient, but not of one name
    found = read(tmp_path)[1]
    assert paired(tmp_path, found) == {"b": (["images/p2/b.png"], ["gt/p2/b.png"])}
    assert reasons(found)["a.png"] in ("no mask of the same name", "no image of the same name")


def test_several_masks_of_one_image(tmp_path: Path) -> None:
    pictures(tmp_path, "benign (1).png", "benign (2).png")
    masks(tmp_path, "benign (1)_mask.png", "benign (1)_mask_1.png", "benign (2)_mask.png")
    assert {name: len(files) for name, (_, files) in paired(tmp_path, read(tmp_path)[1]).items()} == {
        "benign (1)": 2,
        "benign (2)": 1,
    }


def test_instances_that_have_names_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path, "stage1_train/n1/images/n1.png", "stage1_train/n2/images/n2.png")
    masks(tmp_path, *(f"stage1_train/n1/masks/{name}.png" for name in "xyz"), "stage1_train/n2/masks/q.png")
    assert {name: len(files) for name, (_, files) in paired(tmp_path, read(tmp_path)[1]).items()} == {"n1": 3, "n2": 1}


def test_a_folder_for_each_class_below_each_split(tmp_path: Path) -> None:
    for split, names in (("train", "ab"), ("test", "c")):
        pictures(tmp_path, *(f"{split}/images/{name}.png" for name in names))
        masks(tmp_path, *(f"{split}/masks/{organ}/{name}.png" for name in names for organ in ("spleen", "liver")))
    (tmp_path / "test/masks/spleen/c.png").unlink()
    found = read(tmp_path)[1]
    assert (found.classes, found.class_files) == (("liver", "spleen"), True)
    assert paired(tmp_path, found)["a"][1] == ["train/masks/liver/a.png", "train/masks/spleen/a.png"]
    assert reasons(found) == {"c.png": "no mask of spleen; an empty mask says that a class is absent"}


def test_regions_of_interest_are_neither(tmp_path: Path) -> None:
    pictures(tmp_path, "I1/I1_Dermoscopic_Image/I1.bmp", "I1/I1_roi/I1_R1.bmp")
    masks(tmp_path, "I1/I1_lesion/I1_lesion.bmp")
    found = read(tmp_path)[1]
    assert (len(found.pairs), reasons(found)) == (1, {"I1_R1.bmp": "neither among the images nor among the masks"})


@pytest.mark.parametrize(
    ("folders", "spot"),
    [
        ("imagesTr", Spot("image", "training", "")),
        ("labelsVal", Spot("mask", "validation", "")),
        ("Testing/lesion_images", Spot("image", "test", "")),
        ("valid/p1/image-masks", Spot("mask", "validation", "p1")),
        ("trainannot", Spot("mask", "training", "")),
        ("latest/contrast", Spot("", "", "latest/contrast")),
    ],
)
def test_what_folders_say(folders: str, spot: Spot) -> None:
    assert spot_of(folders.split("/")) == spot
