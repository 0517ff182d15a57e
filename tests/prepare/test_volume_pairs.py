"""Preparing volumes: Decathlon, AMOS and any folders. Layouts are made up; spacing, splits and names are known beforehand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_volumes import gappy, save

from medseg_monai.dataset import DatasetSpec, read_dataset
from medseg_monai.grids.geometry import Geometry
from medseg_monai.prepare.msd import prepare_msd
from medseg_monai.prepare.pairs import Pair
from medseg_monai.prepare.volume_pairs import (
    VolumeFacts,
    VolumeOverrides,
    guessed_modality,
    look_at_volume,
    median_spacing,
    patch_size,
    spec_of,
)


def test_wishes_come_before_the_rules(hippocampus: Path, tmp_path: Path) -> None:
    overrides = VolumeOverrides(spacing_mm=(2, 2, 2), size=(32, 32, 16), modality="ct", window=(-50, 50))
    spec = prepare_msd(hippocampus, tmp_path / "out", overrides=overrides).dataset.spec
    assert (spec.spacing_mm, spec.size) == ((2, 2, 2), (32, 32, 16))
    assert (spec.intensity.kind, spec.intensity.bounds) == ("window", (-50, 50))


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


def pair_of(folder: Path, *masks: np.ndarray) -> Pair:
    save(folder / "x.nii.gz", np.arange(-5, 55, dtype=np.int16).reshape(3, 4, 5), (1, 2, 3))
    files = tuple(save(folder / f"{number}.nii.gz", mask, (1, 2, 3)) for number, mask in enumerate(masks))
    return Pair(folder / "x.nii.gz", files)


def test_facts_of_a_pair_by_hand(tmp_path: Path) -> None:
    left, right = np.zeros((2, 3, 4, 5), np.uint8)
    left[0], right[1:] = 1, 255
    alone = look_at_volume(pair_of(tmp_path, np.where(right > 0, 3, left).astype(np.uint8)))
    assert (alone.levels, alone.overlap, alone.filled) == ((1, 3), False, (True,))
    assert (alone.channels, alone.lowest, alone.geometry.spacing_mm) == (1, -5, (1, 2, 3))
    two = look_at_volume(pair_of(tmp_path, left, right))
    assert (two.levels, two.overlap, two.filled) == ((0, 1), False, (True, True))  # 255 is 1 if files are classes
    right[0, 0, 0] = 1
    assert look_at_volume(pair_of(tmp_path, left, right)).overlap
    empty = look_at_volume(pair_of(tmp_path, left * 0, left * 0))
    assert (empty.levels, empty.overlap, empty.filled) == ((0,), False, (False, False))
    full = look_at_volume(pair_of(tmp_path, np.ones_like(left), left * 0))
    assert (full.levels, full.filled) == ((0, 1), (True, False))


def test_spacing_and_patch_follow_from_the_training_pairs_or_from_all_without_any() -> None:
    pairs = [Pair(Path(f"{number}.nii.gz"), ()) for number in range(3)]
    sides = (1.0, 1.23456, 4.0)
    seen = {pair: looks((40, 40, 40), np.diag([side, 1, 1, 1])) for pair, side in zip(pairs, sides, strict=True)}
    draft = DatasetSpec("d", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(16, 16, 16))
    spec = spec_of(draft, seen, VolumeOverrides())
    assert spec(pairs[2:]).spacing_mm == (4, 1, 1)
    assert spec([]).spacing_mm == (1.235, 1, 1), "the median of all three, to a thousandth of a millimetre"
    assert spec(pairs[2:]).size == (48, 48, 48)
