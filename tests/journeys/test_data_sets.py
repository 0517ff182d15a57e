"""From a layout to a data set: what the labels that are read from it hold, value by value."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_folders import labels, masks, of_splits, pictures, volumes

from medseg_monai.dataset import Dataset, check_dataset
from medseg_monai.images.label_volumes import read_label_volume
from medseg_monai.images.masks import read_mask
from medseg_monai.images.volumes import read_image_volume
from medseg_monai.prepare.folder import prepare_folder
from medseg_monai.prepare.nifti import prepare_nifti


def cases(dataset: Dataset) -> list[dict]:
    check_dataset(dataset)
    return [case for split in ("training", "validation", "test") for case in dataset.cases(split)]


def test_brats_has_three_classes_and_four_channels(tmp_path: Path) -> None:
    for number in range(3):
        name = f"BraTS20_Training_{number:03}"
        volumes(tmp_path, *(f"raw/{name}/{name}_{kind}.nii.gz" for kind in ("flair", "t1", "t1ce", "t2")))
        labels(tmp_path, f"raw/{name}/{name}_seg.nii.gz", values=(0, 1, 2, 4))
    dataset = prepare_nifti(tmp_path / "raw", tmp_path / "out").dataset
    spec = dataset.spec
    assert (spec.task, spec.classes) == ("multiclass", ("necrotic core", "edema", "enhancing tumour"))
    assert (spec.channels, spec.modality) == (("t1", "t1gd", "t2", "flair"), "MR")
    case = cases(dataset)[0]
    assert [Path(file).name.split("_")[-1] for file in case["image"]] == [
        f"{k}.nii.gz" for k in ("t1", "t1ce", "t2", "flair")
    ]
    assert read_image_volume(case["image"], 4).array.shape == (4, 6, 5, 4)
    label = read_label_volume(case["label"], spec)
    assert [int((label == number).sum()) for number in range(4)] == [
        30,
        30,
        30,
        30,
    ]  # 120 voxels, the four values in turn


def test_regions_of_nnunet_overlap_and_ignored_voxels_are_ignored(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    volumes(raw, *(f"imagesTr/{n}_0000.nii.gz" for n in "abc"))
    labels(raw, *(f"labelsTr/{n}.nii.gz" for n in "abc"), values=(0, 1, 2, 3))
    said = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    (raw / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": said, "reference": "R"}))
    dataset = prepare_nifti(raw, tmp_path / "out").dataset
    assert (dataset.spec.task, dataset.spec.classes, dataset.spec.citation) == ("multilabel", ("whole", "core"), "R")
    assert dataset.spec.intensity.kind == "window"  # the channel's name says CT, though no voxel is below 0
    label = read_label_volume(cases(dataset)[0]["label"], dataset.spec)
    assert [[int((plane == value).sum()) for value in (0, 1, 255)] for plane in label] == [[30, 60, 30], [60, 30, 30]]


def test_organs_of_totalsegmentator(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for n in range(3):
        volumes(raw, f"s{n}/ct.nii.gz")
        for place, organ in enumerate(("liver", "lung", "spleen")):
            values = [0] * 4
            values[place] = 1
            labels(raw, f"s{n}/segmentations/{organ}.nii.gz", values=tuple(values))
    spec = prepare_nifti(raw, tmp_path / "out").dataset.spec
    assert (spec.task, spec.classes, spec.channels) == ("multiclass", ("liver", "lung", "spleen"), ("ct",))
    some = prepare_nifti(raw, tmp_path / "some", classes=["spleen", "liver"]).dataset
    label = read_label_volume(cases(some)[0]["label"], some.spec)
    assert [int((label == number).sum()) for number in range(3)] == [60, 30, 30]
    assert label.ravel()[:4].tolist() == [2, 0, 1, 0]
    labels(raw, "s0/segmentations/lung.nii.gz", values=(1, 1, 0, 0))  # shares voxels with the liver
    assert prepare_nifti(raw, tmp_path / "overlap").dataset.spec.task == "multilabel"
    with pytest.raises(ValueError, match=r"class 'livre': is not one of those in this folder .did you mean 'liver'"):
        prepare_nifti(raw, tmp_path / "none", classes=["livre"])


def test_two_cases_are_a_data_set_without_a_test_split(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for n in range(2):
        volumes(raw, f"s{n}/ct.nii.gz")
        labels(raw, f"s{n}/segmentations/liver.nii.gz")
    prepared = prepare_nifti(raw, tmp_path / "out")
    assert sorted(len(ids) for ids in of_splits(prepared.dataset).values()) == [0, 1, 1]
    assert prepared.left_out[0][1].startswith("2 cases or groups are too few for three splits")


def test_a_class_chosen_from_numbered_labels(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    volumes(raw, *(f"imagesTr/{n}_0000.nii.gz" for n in "abc"))
    labels(raw, *(f"labelsTr/{n}.nii.gz" for n in "abc"), values=(0, 1, 2, 3))
    said = {"background": 0, "kidney": 1, "tumour": 2, "cyst": 3}
    (raw / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": said}))
    dataset = prepare_nifti(raw, tmp_path / "out", classes=["tumour"]).dataset
    assert (dataset.spec.task, dataset.spec.classes) == ("binary", ("tumour",))
    assert read_label_volume(cases(dataset)[0]["label"], dataset.spec).ravel()[:4].tolist() == [0, 0, 1, 0]


def test_voc_ignores_its_border(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "VOC2007"
    pictures(raw, *(f"JPEGImages/{n}.jpg" for n in "abc"))
    (raw / "SegmentationClass").mkdir()
    for n in "abc":
        picture = Image.fromarray(np.resize(np.array([0, 12, 255, 15], np.uint8), (6, 8))).convert("P")
        picture.putpalette(list(range(256)) * 3)
        picture.save(raw / f"SegmentationClass/{n}.png")
    dataset = prepare_folder(tmp_path / "raw", tmp_path / "out").dataset
    assert dataset.spec.classes == ("dog", "person")
    case = cases(dataset)[0]
    label = read_mask(case["label"], dataset.spec, image=case["image"])
    assert label[0, :4, 0].tolist() == [0, 1, 255, 2]


def test_outlines_become_a_data_set(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for split, names in (("train", "ab"), ("valid", "c"), ("test", "d")):
        pictures(raw, *(f"{split}/{name}.jpg" for name in names))
        content = {
            "images": [{"id": n, "file_name": f"{name}.jpg", "width": 8, "height": 6} for n, name in enumerate(names)],
            "annotations": [
                {"id": n, "image_id": n, "category_id": n + 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}
                for n, _ in enumerate(names)
            ],
            "categories": [{"id": 0, "name": "all"}, {"id": 1, "name": "polyp"}, {"id": 2, "name": "tool"}],
        }
        (raw / split / "_annotations.coco.json").write_text(json.dumps(content))
    prepared = prepare_folder(raw, tmp_path / "out")
    assert (prepared.layout, prepared.left_out) == ("coco", ())
    assert prepared.dataset.spec.classes == ("polyp", "tool")  # nothing is annotated as "all"
    assert of_splits(prepared.dataset) == {"training": ["a", "b"], "validation": ["c"], "test": ["d"]}
    case = prepared.dataset.cases("training")[1]
    assert Path(case["label"]).parent == tmp_path / "out/masks"
    assert int((read_mask(case["label"], prepared.dataset.spec, image=case["image"]) == 2).sum()) == 6


def test_channels_that_are_pictures(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    pictures(raw, *(f"imagesTr/{n}_000{k}.png" for n in "abc" for k in (0, 1)), mode="L")
    masks(raw, *(f"labelsTr/{n}.png" for n in "abc"))
    dataset = prepare_folder(raw, tmp_path / "out").dataset
    assert dataset.spec.channels == ("grey 1", "grey 2")
    assert [file[-9:] for file in dataset.cases("training")[0]["image"]] == ["_0000.png", "_0001.png"]
    said = {"channel_names": {"0": "white light", "1": "blue light"}, "labels": {"background": 0, "polyp": 1}}
    (raw / "dataset.json").write_text(json.dumps(said))
    spec = prepare_folder(raw, tmp_path / "named").dataset.spec
    assert (spec.channels, spec.classes, spec.task) == (("white light", "blue light"), ("polyp",), "binary")


def test_several_masks_are_united(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    pictures(raw, *(f"benign ({n}).png" for n in range(1, 4)))
    for name, column in (("_mask", 0), ("_mask_1", 7)):
        for n in range(1, 4):
            plane = np.zeros((6, 8), np.uint8)
            plane[:, column] = 255
            Image.fromarray(plane).save(raw / f"benign ({n}){name}.png")
    dataset = prepare_folder(raw, tmp_path / "out").dataset
    case = cases(dataset)[0]
    assert read_mask(case["label"], dataset.spec, image=case["image"])[0, :, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def test_folders_layouts_and_patterns_exclude_each_other(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png")
    masks(tmp_path, "masks/a.png")
    with pytest.raises(ValueError, match="exclude each other; give one"):
        prepare_folder(tmp_path, tmp_path / "out", images="images", layout="voc")
    with pytest.raises(ValueError, match="exclude each other; give one"):
        prepare_folder(tmp_path, tmp_path / "out", layout="voc", pattern="{case}.png -> {case}_m.png")


def test_names_that_do_not_match_are_shown_once(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"images/scan_{n:02}.png" for n in range(40)))
    masks(tmp_path, *(f"masks/{n:02}_truth.png" for n in range(40)))
    with pytest.raises(
        ValueError, match=r"none of 40 pictures has a mask of the same name; the nearest two names are"
    ) as caught:
        prepare_folder(tmp_path, tmp_path / "out")
    said, _, advice = str(caught.value).partition(" Rename them, ")
    assert (said.count(".png"), advice.count(".png")) == (2, 2)  # an image and a mask, and the pattern of each
