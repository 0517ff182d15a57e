"""Photographs of the eye: the first person's drawing is the truth, the field of view is not."""

from pathlib import Path

import pytest
from raw_folders import in_splits, masks, paired, pictures, read, reasons


def test_drive(tmp_path: Path) -> None:
    for split, number, name in (("training", 21, "training"), ("test", 1, "test")):
        pictures(tmp_path, f"{split}/images/{number:02}_{name}.tif")
        masks(tmp_path, f"{split}/1st_manual/{number:02}_manual1.gif", f"{split}/mask/{number:02}_{name}_mask.gif")
    masks(tmp_path, "test/2nd_manual/01_manual2.gif")
    name, found = read(tmp_path)
    assert (name, found.classes) == ("vessels", ("vessel",))
    assert paired(tmp_path, found) == {
        "21_training": (["training/images/21_training.tif"], ["training/1st_manual/21_manual1.gif"]),
        "01_test": (["test/images/01_test.tif"], ["test/1st_manual/01_manual1.gif"]),
    }
    assert in_splits(found) == {"training": ["21_training"], "test": ["01_test"]}
    assert reasons(found) == {
        "01_manual2.gif": "a second person's drawing; the first one's is used",
        "01_test_mask.gif": "the camera's field of view, not vessels",
        "21_training_mask.gif": "the camera's field of view, not vessels",
    }


def test_chase(tmp_path: Path) -> None:
    pictures(tmp_path, "Image_01L.jpg", "Image_01R.jpg", "Image_02L.jpg")
    masks(tmp_path, *(f"Image_01{eye}_{who}HO.png" for eye in "LR" for who in ("1st", "2nd")))
    found = read(tmp_path)[1]
    assert paired(tmp_path, found) == {
        f"Image_01{eye}": ([f"Image_01{eye}.jpg"], [f"Image_01{eye}_1stHO.png"]) for eye in "LR"
    }
    assert reasons(found)["Image_02L.jpg"] == "no drawing of vessels"


def test_hrf_and_stare(tmp_path: Path) -> None:
    pictures(tmp_path / "hrf", "images/01_dr.JPG", "images/02_g.JPG")
    masks(tmp_path / "hrf", "manual1/01_dr.tif", "manual1/02_g.tif", "mask/01_dr_mask.tif", "mask/02_g_mask.tif")
    assert [len(pair.masks) for pair in read(tmp_path / "hrf")[1].pairs] == [1, 1]
    pictures(tmp_path / "stare", "im0001.ppm", "im0002.ppm")
    masks(tmp_path / "stare", *(f"im000{n}.{who}.ppm" for n in (1, 2) for who in ("ah", "vk")), mode="RGB")
    assert paired(tmp_path / "stare", read(tmp_path / "stare")[1])["im0002"] == (["im0002.ppm"], ["im0002.ah.ppm"])


def test_a_second_persons_folder_is_not_the_first_persons(tmp_path: Path) -> None:
    """Files without the ending _manual2: the folder alone says whose they are."""
    pictures(tmp_path, "images/01.png", "images/02.png")
    masks(tmp_path, "1st_manual/01.png", "2nd_manual/01.png", "2nd_manual/02.png")
    name, found = read(tmp_path)
    assert name == "vessels"
    assert paired(tmp_path, found) == {"01": (["images/01.png"], ["1st_manual/01.png"])}
    assert sorted((path.relative_to(tmp_path).as_posix(), why.split(";")[0]) for path, why in found.left_out) == [
        ("2nd_manual/01.png", "a second person's drawing"),
        ("2nd_manual/02.png", "a second person's drawing"),
        ("images/02.png", "no drawing of vessels"),
    ]


def test_a_folder_without_the_first_persons_drawings_has_another_layout(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    masks(tmp_path, "a_2ndHO.png", "b_2ndHO.png")
    with pytest.raises(ValueError, match="nothing says which are masks"):
        read(tmp_path, layout="vessels")


def test_a_second_file_beside_the_first_is_not_a_second_drawing_of_it(tmp_path: Path) -> None:
    pictures(tmp_path, "images/01.png")
    masks(tmp_path, "manual/01_1stHO.png", "manual/01_2ndHO.png")
    found = read(tmp_path, layout="vessels")[1]
    assert paired(tmp_path, found) == {"01": (["images/01.png"], ["manual/01_1stHO.png"])}
