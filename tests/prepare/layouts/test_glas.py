"""GlaS: a number for each gland becomes one class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_folders import in_splits, pictures, read, reasons


def test_glands_become_one_class_and_names_state_the_splits(tmp_path: Path) -> None:
    root = tmp_path / "glas"
    pictures(root, "train_1.bmp", "train_2.bmp", "testA_1.bmp", "testB_1.bmp", "train_3.bmp")
    glands = np.zeros((6, 8), np.uint8)
    glands[1:3, 1:3], glands[4:, 5:] = 1, 2
    for name in ("train_1", "train_2", "testA_1", "testB_1"):
        Image.fromarray(glands).save(root / f"{name}_anno.bmp")
    way, found = read(root)
    assert (way, found.classes) == ("glas", ("gland",))
    assert in_splits(found) == {"training": ["train_1", "train_2"], "test": ["testA_1", "testB_1"]}
    assert reasons(found) == {"train_3.bmp": "no mask (_anno)"}
    drawn = np.asarray(Image.open(found.pairs[0].masks[0]))
    assert (np.unique(drawn).tolist(), (drawn > 0).tolist()) == ([0, 255], (glands > 0).tolist())
    assert Image.open(root / "train_1_anno.bmp").getextrema() == (0, 2)  # the source is left as it was


def test_pictures_of_those_names_without_any_mask_have_another_layout(tmp_path: Path) -> None:
    pictures(tmp_path, "train_1.bmp", "train_2.bmp")
    with pytest.raises(ValueError, match="nothing says which are masks"):
        read(tmp_path, layout="glas")


def test_a_mask_in_colour_is_left_out_and_named(tmp_path: Path) -> None:
    root = tmp_path / "glas"
    pictures(root, "train_1.bmp", "train_2.bmp", "train_1_anno.bmp")
    Image.fromarray(np.ones((6, 8), np.uint8)).save(root / "train_2_anno.bmp")
    found = read(root)[1]
    assert [pair.id for pair in found.pairs] == ["train_2"]
    [(path, reason)] = found.left_out
    assert path.name.startswith("train_1")
    assert "train_1_anno.bmp: is in colour; expected grey levels, a number for each gland" in reason
