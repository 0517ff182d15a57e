"""What the strength of random changes stands for."""

import pytest

from medseg_monai.transforms.augment_ranges import Augmentation, VolumeAugmentation


def test_strength_scales_ranges():
    assert Augmentation.of(0.5).rotate_degrees == 15
    assert Augmentation.of("light") == Augmentation.of(0.5)
    assert Augmentation.of("strong") == Augmentation.of(1.6)
    assert Augmentation.of({"shear": 0.3}) == Augmentation(shear=0.3)
    assert Augmentation.of(1) == Augmentation() == Augmentation.of("default")
    assert Augmentation.of(100).rotate_degrees == 180
    assert (Augmentation.of(100).flip_x, Augmentation.of(0).flip_x) == (0.5, 0)
    own = Augmentation(tint=0)
    assert Augmentation.of(own) is own


@pytest.mark.parametrize(
    ("field", "most"),
    [
        *((field, 1) for field in ("flip_x", "flip_y", "quarter_turn", "warp_probability", "colour_probability")),
        ("rotate_degrees", 180),
        ("shear", 0.5),
        ("bend", 1),  # beyond it middle grey would be darker than black
        ("sharpness", 1),
        ("constancy", 1),
        ("hairs", 100),
        ("jpeg", 95),
        *((field, 1) for field in ("hair_probability", "jpeg_probability")),
    ],
)
def test_values_end_where_they_lose_their_meaning(field, most):
    assert getattr(Augmentation(**{field: most}), field) == most
    with pytest.raises(ValueError, match=f"{field} is .*; it must be 0 to {most:g}"):
        Augmentation(**{field: most * 1.01})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augmentation.of("stron"), "'stron' is not one of off, light, default, strong, upright"),
        (lambda: Augmentation.of(-1), "strength is -1; it must be 0 or more"),
        (lambda: Augmentation.of([1]), r"strength is \[1\]; it must be a number, a name or a mapping of ranges"),
        (lambda: Augmentation.of({"hairz": 9}), "hairz.*did you mean 'hairs'"),
        (lambda: Augmentation.of({"hairs": "many"}), "hairs is 'many'; it must be 0 to 100"),
        (lambda: VolumeAugmentation.of({"hairs": 9}), "augmentation of volumes: .*hairs"),
        (lambda: Augmentation(flip_x=1.5), "flip_x is 1.5; it must be 0 to 1"),
        (lambda: Augmentation(shift=-0.1), "shift is -0.1; it must be 0 or more"),
    ],
)
def test_wrong_strengths(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_strengths_of_volumes() -> None:
    assert VolumeAugmentation.of("upright").flip == 0
    assert VolumeAugmentation.of(0).warp_probability == 0
    assert VolumeAugmentation.of(2).rotate_degrees == 2 * VolumeAugmentation().rotate_degrees
    assert VolumeAugmentation.of({"flip": 0.25}).flip == 0.25
    with pytest.raises(ValueError, match="augmentation flip is 2; it must be 0 to 1"):
        VolumeAugmentation(flip=2)
    with pytest.raises(ValueError, match="is not one of off, light, default, strong, upright"):
        VolumeAugmentation.of("much")


def test_ranges_of_the_other_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="VolumeAugmentation is needed here, not Augmentation"):
        VolumeAugmentation.of(Augmentation())
    with pytest.raises(TypeError, match="augmentation: Augmentation is needed here, not VolumeAugmentation"):
        Augmentation.of(VolumeAugmentation())
