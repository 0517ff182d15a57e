"""Random patches: where they are cut, what happens to them, and that the same seed gives the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms import augment
from medseg_monai.transforms.augment_ranges import VolumeAugmentation
from medseg_monai.transforms.volume_augment import (
    DrawnVolume,
    choose_centre,
    cut_patch,
    draw_volume,
    inside,
    rotation,
)
from medseg_monai.transforms.volumes import STEPS, class_positions

RAW = Intensity("window", lower=0, upper=1, mean=(0.0,), std=(1.0,))
SIZE = (6, 8, 4)


def spec_of(size: tuple[int, int, int] | None = SIZE) -> DatasetSpec:
    return DatasetSpec(
        "x", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=size,
        spacing_mm=(1.0, 1.0, 2.0), intensity=RAW,
    )  # fmt: skip


def case_of(shape: tuple[int, int, int] = (20, 16, 12)) -> dict[str, object]:
    """A smooth volume whose values and label say where a voxel came from."""
    i, j, k = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = (i * 1000 + j * 1000 + k * 1000).astype(np.uint16)[None]
    label = (1 * (i > 10) + (i > 14)).astype(np.uint8)[None]
    meta = {
        "window": torch.tensor([[0.0, STEPS]]),
        "positions": torch.from_numpy(class_positions(label)),
        "spatial_shape": torch.tensor(shape),
        "affine": torch.eye(4, dtype=torch.float64),
        "box": torch.tensor([[0, n] for n in shape]),
        "filename_or_obj": "x.nii",
    }
    return {"image": torch.from_numpy(image), "label": torch.from_numpy(label), "image_meta_dict": meta, "id": "x"}


def test_off_is_a_plain_cut() -> None:
    case = case_of()
    patch = augment(spec_of(), strength="off", foreground=0)({**case, "augment_seed": 5})
    stored, label = case["image"].int(), case["label"]  # type: ignore[attr-defined]
    corner = round(float(patch["image"][0, 0, 0, 0]) * STEPS)
    matches = torch.nonzero(stored[0] == corner).tolist()
    assert patch["image"].shape == (1, *SIZE)
    assert any(
        torch.allclose(stored[0, i : i + 6, j : j + 8, k : k + 4] / STEPS, patch["image"][0])
        and torch.equal(label[0, i : i + 6, j : j + 8, k : k + 4], patch["label"][0])  # type: ignore[index]
        for i, j, k in matches
        if i <= 14 and j <= 8 and k <= 8
    )
    assert "positions" not in patch["image_meta_dict"]
    assert "positions" in case["image_meta_dict"]  # type: ignore[operator]


@given(seed=st.integers(0, 2**40), strength=st.sampled_from(["off", "default", "strong", "upright"]))
def test_the_seed_alone_decides(seed: int, strength: str) -> None:
    change = augment(spec_of(), strength=strength)
    one, other = (change({**case_of(), "augment_seed": seed}) for _ in range(2))
    assert torch.equal(one["image"], other["image"])
    assert torch.equal(one["label"], other["label"])
    assert one["image"].shape == one["label"].shape == (1, *SIZE)
    assert one["image"].dtype == torch.float32
    assert one["label"].dtype == torch.uint8


def test_patches_are_balanced_between_classes() -> None:
    positions = class_positions(case_of()["label"].numpy())  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    label = case_of()["label"][0].numpy()  # type: ignore[index]
    centres = [choose_centre(rng, positions, label.shape, foreground=0.6) for _ in range(2000)]
    found = np.bincount([label[tuple(centre.astype(int))] for centre in centres], minlength=3) / 2000
    shares = np.bincount(label.ravel(), minlength=3) / label.size
    assert found[1:] == pytest.approx(0.3 + 0.4 * shares[1:], abs=0.04)  # half of 0.6 each, and what chance gives


def test_without_a_label_patches_come_from_anywhere() -> None:
    case = case_of()
    del case["label"], case["image_meta_dict"]["positions"]  # type: ignore[attr-defined]
    assert augment(spec_of())({**case, "augment_seed": 1})["image"].shape == (1, *SIZE)


@given(shape=st.tuples(*[st.integers(1, 15)] * 3), data=st.data())
def test_a_patch_lies_in_the_volume_or_the_volume_in_the_patch(
    shape: tuple[int, int, int], data: st.DataObject
) -> None:
    near = np.array([data.draw(st.integers(0, n - 1)) for n in shape], float)
    start = inside(near, shape, SIZE) - (np.array(SIZE) - 1) / 2
    assert (start % 1 == 0).all()
    for first, n, length in zip(start, shape, SIZE, strict=True):
        if n >= length:
            assert 0 <= first <= n - length
        else:
            assert first == -((length - n) // 2)
    volume = torch.arange(1, 1 + int(np.prod(shape))).reshape(1, *shape)
    patch = cut_patch(volume, [int(s) for s in start], SIZE)
    assert patch.shape == (1, *SIZE)
    assert int((patch > 0).sum()) == int(np.prod(np.minimum(shape, SIZE)))


def test_the_centre_is_kept_in_the_middle() -> None:
    middle = inside(np.array([10.0, 8.0, 6.0]), (20, 16, 12), (5, 7, 3))
    assert middle.tolist() == [10, 8, 6]


def test_an_affine_change_moves_values_as_it_says() -> None:
    """The image is a linear function of place, so that interpolation is exact and the place can be read off."""
    case = case_of()
    drawn = DrawnVolume(linear=0.8 * rotation((0.1, -0.2, 0.3)), centre=np.array([9.3, 8.1, 5.7]))
    window = torch.tensor([[0.0, STEPS]])
    image, label = drawn.patch(case["image"], case["label"], window, size=SIZE, intensity=RAW)  # type: ignore[arg-type]
    points = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SIZE), indexing="ij"), axis=-1)
    places = points @ drawn.linear.T + drawn.centre
    assert image[0].numpy() * STEPS == pytest.approx(places.sum(-1) * 1000, abs=1)
    first = places[..., 0]
    clear = abs(first % 1 - 0.5) > 1e-3  # not on the edge between two voxels
    assert np.array_equal(label[0].numpy()[clear], (1 * (np.rint(first) > 10) + (np.rint(first) > 14))[clear])  # type: ignore[index]


def test_flips_are_exact() -> None:
    case, window = case_of(), torch.tensor([[0.0, STEPS]])
    at = np.array([9.5, 7.5, 5.5])
    plain, flipped = (
        DrawnVolume(linear=np.diag(signs), centre=at).patch(
            case["image"],
            case["label"],
            window,
            size=SIZE,
            intensity=RAW,  # type: ignore[arg-type]
        )
        for signs in ((1.0, 1.0, 1.0), (-1.0, 1.0, -1.0))
    )
    assert torch.equal(plain[0].flip(1, 3), flipped[0])
    assert torch.equal(plain[1].flip(1, 3), flipped[1])  # type: ignore[union-attr]


def test_outside_the_volume_is_air_and_background() -> None:
    case = case_of((3, 3, 3))
    case["image"] = torch.full((1, 3, 3, 3), STEPS, dtype=torch.int32).to(torch.uint16)
    drawn = DrawnVolume(linear=1.01 * np.eye(3), centre=np.array([1.0, 1.0, 1.0]))
    for change in (drawn, DrawnVolume(linear=np.eye(3), centre=np.array([1.5, 1.5, 1.5]))):
        image, _ = change.patch(case["image"], None, torch.tensor([[0.0, STEPS]]), size=(8, 8, 8), intensity=RAW)
        assert image[0, 0].abs().max() == 0
        assert image.max() == 1


def test_turns_are_turns_in_the_patient() -> None:
    """With voxels of 1 x 1 x 2 mm, a quarter turn about the first axis maps 2 voxels to 1."""
    wide = VolumeAugmentation(flip=0, rotate_degrees=90, scale=0, shift=0, warp_probability=1, grey_probability=0)
    rng = np.random.default_rng(0)
    drawn = draw_volume(rng, wide, centre=np.zeros(3), size=(4, 4, 4), spacing_mm=(1, 1, 2))
    side = np.diag([1.0, 1.0, 2.0])
    in_mm = side @ drawn.linear @ np.linalg.inv(side)
    assert np.allclose(in_mm @ in_mm.T, np.eye(3))
    assert not np.allclose(drawn.linear @ drawn.linear.T, np.eye(3))


def alone(field: str, reach: float) -> VolumeAugmentation:
    """One kind of change, in every sample, and nothing else."""
    off = vars(VolumeAugmentation.of("off"))
    return VolumeAugmentation(**{**off, "warp_probability": 1.0, "grey_probability": 1.0, field: reach})


def drawn_volumes(augmentation: VolumeAugmentation, count: int = 200) -> list[DrawnVolume]:
    return [
        draw_volume(np.random.default_rng(n), augmentation, centre=np.zeros(3), size=(10, 10, 10), spacing_mm=(1, 1, 2))
        for n in range(count)
    ]


MEASURED = {
    "scale": (np.log(1.2), lambda d: np.log(np.diag(d.linear))),
    "shift": (0.05, lambda d: d.centre / 10),
    "brightness": (0.1, lambda d: d.brightness),
    "contrast": (np.log(1.25), lambda d: np.log(d.contrast)),
    "bend": (0.3, lambda d: d.bend),
}


@pytest.mark.parametrize("field", MEASURED)
def test_each_change_reaches_as_far_as_it_says_by_default(field: str) -> None:
    reach, measure = MEASURED[field]
    found = np.array([measure(drawn) for drawn in drawn_volumes(alone(field, getattr(VolumeAugmentation(), field)))])
    assert -1.001 * reach < found.min() < -0.9 * reach
    assert 0.9 * reach < found.max() < 1.001 * reach


@pytest.mark.parametrize(("axis", "turned", "becomes"), [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_quarter_turn_about_an_axis_takes_the_next_to_the_one_after(axis: int, turned: int, becomes: int) -> None:
    angles = np.zeros(3)
    angles[axis] = math.pi / 2
    np.testing.assert_allclose(rotation(angles.tolist()) @ np.eye(3)[turned], np.eye(3)[becomes], atol=1e-12)


def test_turns_and_noise_reach_as_far_as_they_say_by_default() -> None:
    drawn = drawn_volumes(VolumeAugmentation(flip=0, scale=0))
    noise = [d.noise for d in drawn if d.noise]
    assert 0 <= min(noise) < 0.003
    assert 0.027 < max(noise) <= 0.03
    side = np.diag([1.0, 1.0, 2.0])
    turns = [side @ d.linear @ np.linalg.inv(side) for d in drawn]
    angles = np.degrees(np.arccos([np.clip((np.trace(turn) - 1) / 2, -1, 1) for turn in turns]))
    assert 15 < angles.max() < 15 * 3**0.5 + 1  # about three axes, 15 degrees each
    assert np.mean(angles == 0) == pytest.approx(0.2, abs=0.07)
    assert np.mean([d.contrast == 1 for d in drawn]) == pytest.approx(0.2, abs=0.07)
    mirrored = np.mean([np.diag(d.linear) < 0 for d in drawn_volumes(VolumeAugmentation(warp_probability=0))], axis=0)
    assert mirrored == pytest.approx([0.5, 0.5, 0.5], abs=0.1)


def test_a_smooth_bend_moves_by_so_many_millimetres() -> None:
    bent = VolumeAugmentation(
        flip=0, rotate_degrees=0, scale=0, shift=0, bend_mm=3, warp_probability=1, grey_probability=0
    )
    drawn = draw_volume(np.random.default_rng(1), bent, centre=np.full(3, 10.0), size=SIZE, spacing_mm=(1, 1, 2))
    assert drawn.displaced is not None
    assert (np.abs(drawn.displaced).reshape(3, -1).max(1) <= [3, 3, 1.5]).all()
    moved = drawn._points(SIZE) - DrawnVolume(linear=drawn.linear, centre=drawn.centre)._points(SIZE)
    assert 0.5 < moved.abs().max() <= 3


def test_values_change_on_the_scale_of_0_to_1() -> None:
    case, window = case_of(), torch.tensor([[0.0, STEPS]])
    at = np.array([9.5, 7.5, 5.5])
    plain, _ = DrawnVolume(np.eye(3), at).patch(case["image"], None, window, size=SIZE, intensity=RAW)  # type: ignore[arg-type]
    changed, _ = DrawnVolume(np.eye(3), at, contrast=1.5, brightness=0.1).patch(
        case["image"],
        None,
        window,
        size=SIZE,
        intensity=RAW,  # type: ignore[arg-type]
    )
    mean = plain.mean()
    assert torch.allclose(changed, (mean + 1.5 * (plain - mean) + 0.1).clamp(0, 1), atol=1e-5)


def test_a_share_of_patches_is_at_most_1() -> None:
    with pytest.raises(ValueError, match="foreground is 2; it must be a share"):
        augment(spec_of(), foreground=2)


def test_a_volume_of_one_slice_lies_where_it_says() -> None:
    """Cut or warped by next to nothing: the slice is at the patch's middle, not a voxel beside it."""
    volume = torch.full((1, 5, 5, 1), STEPS, dtype=torch.int32).to(torch.uint16)
    for linear in (np.eye(3), np.eye(3) * (1 + 1e-6)):
        drawn = DrawnVolume(linear=linear, centre=np.array([2.0, 2.0, 0.0]))
        image, _ = drawn.patch(volume, None, torch.tensor([[0.0, STEPS]]), size=(5, 5, 3), intensity=RAW)
        assert image[0, 2, 2].numpy() == pytest.approx([0, 1, 0], abs=1e-4)


@pytest.mark.parametrize("side", [1, 6])
@pytest.mark.parametrize("centre", [-30.0, 0.0, 40.0])
def test_a_patch_wholly_outside_is_air(centre: float, side: int) -> None:
    """As far as a strong shift of a small volume reaches, on either side."""
    volume = torch.full((1, side, 6, 6), STEPS, dtype=torch.int32).to(torch.uint16)
    drawn = DrawnVolume(linear=1.01 * np.eye(3), centre=np.array([centre, 3.0, 3.0]))
    image, label = drawn.patch(
        volume,
        torch.ones(1, side, 6, 6, dtype=torch.uint8),
        torch.tensor([[0.0, STEPS]]),
        size=(4, 4, 4),
        intensity=RAW,
    )
    assert label is not None
    assert bool(image.any()) == (centre == 0)
    assert centre == 0 or not label.any()


@pytest.mark.parametrize("seed", range(6))
def test_soft_labels_go_where_the_label_goes(seed: int) -> None:
    """One that says in 100ths which class a voxel has stays so in every patch; the image is changed as without it."""
    case = case_of()
    label = case["label"]
    assert isinstance(label, torch.Tensor)
    change = augment(spec_of(), strength="strong", keys=("image", "label", "soft_label"))
    alone = change({**case, "augment_seed": seed})
    both = change({**case, "soft_label": torch.cat([label * 100, label * 50]), "augment_seed": seed})
    assert torch.equal(both["image"], alone["image"])
    assert torch.equal(both["label"], alone["label"])
    assert torch.equal(both["soft_label"], torch.cat([both["label"] * 100, both["label"] * 50]))
