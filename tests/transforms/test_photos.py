"""The sure half: what reaches the network, and that it comes from the right place of the photograph."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import Box, PhotoGrid
from medseg_monai.transforms import Augmentation, LoadPhotod, load, load_and_augment, normalise
from medseg_monai.transforms.photos import _resize_label

RGB = ("red", "green", "blue")


def spec(size=(12, 8), task="binary", classes=("lesion",), channels=RGB, **more):
    return DatasetSpec("d", task, classes=classes, channels=channels, size=size, **more)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return str(path)


@pytest.fixture
def case(tmp_path):
    """48 x 16 (width x height): a red square at the left edge, its mask, on grey."""
    image = np.full((16, 48, 3), 100, np.uint8)
    image[4:12, 0:8] = (200, 0, 0)
    mask = (image[..., 0] == 200).astype(np.uint8) * 255
    return {"image": save(tmp_path / "a.png", image), "label": save(tmp_path / "a_mask.png", mask), "id": "a"}


@pytest.mark.parametrize(
    ("original", "size", "box"),
    [
        ((200, 100), (64, 64), Box(0, 16, 64, 32)),
        ((100, 200), (64, 64), Box(16, 0, 32, 64)),
        ((50, 50), (64, 32), Box(16, 0, 32, 32)),
        ((64, 32), (64, 32), Box(0, 0, 64, 32)),
        ((10_000, 4), (64, 32), Box(0, 15, 64, 1)),
    ],
)
def test_padded_content_is_centred(original, size, box):
    assert PhotoGrid.of(original, spec(size, aspect="pad")).box == box
    assert PhotoGrid.of(original, spec(size, aspect="stretch")).box == Box(0, 0, *size)


def test_volumes_are_not_photographs():
    volumes = DatasetSpec("d", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8))
    with pytest.raises(ValueError, match="photographs have 2 axes, but the spec of 'd' has 3"):
        PhotoGrid.of((8, 8), volumes)


def test_stretched_case(case):
    loaded = load(spec((12, 8)))(case)  # a quarter of the width, half of the height
    assert loaded["image"].shape == (3, 12, 8)
    assert (loaded["image"].dtype, loaded["label"].dtype) == (torch.uint8, torch.uint8)
    assert loaded["image"][:, 0, 4].tolist() == [200, 0, 0]
    assert loaded["image"][:, 11, 4].tolist() == [100, 100, 100]
    expected = torch.zeros(12, 8, dtype=torch.uint8)
    expected[0:2, 2:6] = 1
    assert torch.equal(loaded["label"][0], expected)
    assert loaded["image_meta_dict"]["spatial_shape"].tolist() == [48, 16]
    assert loaded["image_meta_dict"]["filename_or_obj"] == case["image"]
    assert loaded["id"] == "a"


def test_padded_case(case):
    loaded = load(spec((12, 8), aspect="pad"))(case)  # 12 x 4 with two rows of bars above and below
    assert torch.equal(loaded["image"].amax(dim=(0, 1)) > 0, torch.tensor([0, 0, 1, 1, 1, 1, 0, 0], dtype=torch.bool))
    expected = torch.zeros(12, 8, dtype=torch.uint8)
    expected[0:2, 3:5] = 1
    assert torch.equal(loaded["label"][0], expected)


def test_plain_tensors_and_a_compose(case):
    transform = load(spec())
    assert isinstance(transform, Compose)
    assert type(transform(case)["image"]) is torch.Tensor


def test_case_without_a_label(case):
    loaded = normalise(spec())(load(spec())({"image": case["image"]}))
    assert set(loaded) == {"image", "image_meta_dict"}
    assert loaded["image"].dtype == torch.float32
    assert "label" not in load(spec(), keys=("image",))({"image": case["image"]})


def test_native_label_stays_as_drawn(case):
    loaded = load(spec(), label_size="native")(case)
    assert loaded["label"].shape == (1, 48, 16)
    assert int(loaded["label"].sum()) == 64
    with pytest.raises(ValueError, match="label_size must be 'network' or 'native', not 'original'"):
        load(spec(), label_size="original")


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
@pytest.mark.parametrize("size", [(16, 16), (31, 20), (300, 200)])
def test_symmetric_masks_stay_symmetric(tmp_path, aspect, size):
    """A centred mask on unequal axes: any half-pixel shift breaks the mirror image."""
    mask = np.zeros((60, 90), np.uint8)
    mask[20:40, 35:55] = 255
    case = {"image": save(tmp_path / "a.png", mask), "label": save(tmp_path / "m.png", mask)}
    loaded = load(spec(size, aspect=aspect))(case)
    for tensor in (loaded["image"], loaded["label"]):
        assert tensor.any()
        assert (
            torch.equal(tensor, tensor.flip(1))
            or size[0] % 2 != PhotoGrid.of((90, 60), spec(size, aspect=aspect)).box.width % 2
        )
        assert (
            torch.equal(tensor, tensor.flip(2))
            or size[1] % 2 != PhotoGrid.of((90, 60), spec(size, aspect=aspect)).box.height % 2
        )


def test_image_and_label_turn_alike(tmp_path):
    image = np.zeros((16, 48, 3), np.uint8)
    image[0:8, 0:8] = 255
    tags = Image.Exif()
    tags[0x0112] = 6
    case = {
        "image": save(tmp_path / "a.jpg", image, exif=tags, quality=95),
        "label": save(tmp_path / "m.png", image[..., 0]),  # drawn on the stored pixels
    }
    loaded = load(spec((8, 24)))(case)
    assert loaded["image_meta_dict"]["spatial_shape"].tolist() == [16, 48]
    bright = (loaded["image"].float().mean(0) > 127).to(torch.uint8)
    assert torch.equal(bright, loaded["label"][0])
    assert loaded["label"][0, 7, 0] == 1  # top right


def test_label_pixels_go_to_the_class_that_covers_most(tmp_path):
    numbers = np.zeros((8, 8), np.uint8)
    numbers[:, 2:8] = 2
    numbers[0:4, 0:4] = 1  # shares the second column of the 4 x 4 output with class 2 below
    case = {"image": save(tmp_path / "a.png", numbers), "label": save(tmp_path / "m.png", numbers)}
    organs = spec((4, 4), task="multiclass", classes=("a", "b"), channels=("grey",))
    assert load(organs)(case)["label"][0].T.tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [0, 2, 2, 2],
        [0, 2, 2, 2],
    ]
    coarse = spec((4, 2), task="multiclass", classes=("a", "b"), channels=("grey",))
    numbers[3, 3] = 2
    case["label"] = save(tmp_path / "m2.png", numbers)
    assert load(coarse)(case)["label"][0].T.tolist() == [
        [1, 1, 2, 2],
        [0, 2, 2, 2],
    ]  # 7 of 8 pixels stay class 1


def test_overlapping_classes(tmp_path):
    image = save(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    masks = [np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)]
    masks[0][:, :4] = masks[1][:, 2:] = 255
    case = {"image": image, "label": [save(tmp_path / f"{n}.png", m) for n, m in enumerate(masks)]}
    label = load(spec((4, 4), task="multilabel", classes=("a", "b"), channels=("grey",)))(case)["label"]
    assert label.shape == (2, 4, 4)
    assert label[:, :, 0].tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]


def test_uint8_intensity_by_hand(case):
    colours = spec((12, 8), intensity=Intensity("uint8", mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1)))
    image = normalise(colours)(load(colours)(case))["image"]
    np.testing.assert_allclose(image[:, 0, 4], [(200 / 255 - 0.5) / 0.25, -2.0, -3.0], atol=1e-6)
    assert image.is_contiguous()


def test_sixteen_bits_as_a_photograph(tmp_path):
    path = save(tmp_path / "a.png", np.full((8, 12), 25700, np.uint16))
    loaded = load(spec())({"image": path})
    assert loaded["image"].dtype == torch.uint8
    assert loaded["image"].unique().tolist() == [100]


def test_percentiles_of_sixteen_bits_by_hand(tmp_path):
    """Values 0, 100, ..., 10000; percentiles 10 and 60 are 1000 and 6000."""
    values = np.resize(np.arange(0, 10_100, 100, dtype=np.uint16), (8, 101))
    slices = spec(
        (101, 8), channels=("mr",), intensity=Intensity("percentile", lower=10, upper=60, mean=(0,), std=(1,))
    )
    loaded = load(slices)({"image": save(tmp_path / "a.png", values)})
    assert loaded["image"].dtype == torch.uint16
    row = normalise(slices)(loaded)["image"][0, :, 0]
    assert row[10] == 0
    np.testing.assert_allclose(row[35], 0.5, atol=1e-6)
    assert row[60] == row[100] == 1
    assert row[0] == 0


def test_bars_have_no_part_in_percentiles(tmp_path):
    values = np.tile(np.arange(1000, 1064, dtype=np.uint16), (16, 1))
    slices = spec((64, 64), channels=("mr",), aspect="pad", intensity=Intensity("percentile", lower=0, upper=100))
    window = load(slices)({"image": save(tmp_path / "a.png", values)})["image_meta_dict"]["window"]
    assert window.tolist() == [[1000, 1063]]


def test_even_picture_is_finite(tmp_path):
    slices = spec((8, 8), channels=("mr",), intensity=Intensity("percentile", mean=(0,), std=(1,)))
    loaded = load(slices)({"image": save(tmp_path / "a.png", np.full((8, 8), 700, np.uint16))})
    assert normalise(slices)(loaded)["image"].abs().max() == 0


def test_window_by_hand(tmp_path):
    values = np.tile(np.array([0, 100, 150, 200, 255], np.uint8), (8, 1))
    slices = spec((5, 8), channels=("ct",), intensity=Intensity("window", lower=100, upper=200, mean=(0,), std=(1,)))
    image = normalise(slices)(load(slices)({"image": save(tmp_path / "a.png", values)}))["image"]
    np.testing.assert_allclose(image[0, :, 0], [0, 0, 0.5, 1, 1], atol=1e-6)


def test_rule_for_volumes_is_refused(tmp_path):
    slices = spec(channels=("mr",), intensity=Intensity("zscore"))
    with pytest.raises(ValueError, match="'zscore' is for volumes"):
        load(slices)({"image": save(tmp_path / "a.png", np.zeros((8, 8), np.uint8))})


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(tmp_path, channels):
    names = tuple("abcde"[:channels])
    paths = [save(tmp_path / f"{n}.png", np.full((20, 30), 50 * n, np.uint8)) for n in range(channels)]
    mask = save(tmp_path / "m.png", np.zeros((20, 30), np.uint8))
    several = spec((12, 8), channels=names)
    loaded = load_and_augment(several, strength="strong")({"image": paths, "label": mask})
    assert loaded["image"].shape == (channels, 12, 8)
    assert loaded["image"].isfinite().all()


def test_paths_are_wanted():
    with pytest.raises(TypeError, match="'image' is a Tensor; expected a path or a list of paths"):
        load(spec())({"image": torch.zeros(3, 8, 8)})


def test_errors_arrive_unwrapped(case, tmp_path):
    case["label"] = save(tmp_path / "other.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"mask .*other\.png is 9x9 but image .*a\.png is 48x16"):
        load(spec())(case)


@pytest.mark.parametrize(
    "other",
    [
        {"size": (12, 9)},
        {"aspect": "pad"},
        {"intensity": Intensity("percentile")},
        {"intensity": Intensity("percentile", lower=1)},
        {"task": "multilabel"},
        {"task": "multiclass"},
        {"channels": ("grey",)},
    ],
)
def test_settings_tell_loads_apart(other):
    assert LoadPhotod(("image", "label"), spec=spec(**other)).settings != load(spec()).transforms[0].settings


def test_settings_ignore_what_load_does_not_use():
    shown = spec(intensity=Intensity("uint8", mean=(0.1,), std=(0.2,)), description="other words", classes=("mole",))
    assert load(shown).transforms[0].settings == load(spec()).transforms[0].settings
    assert load(spec(), label_size="native").transforms[0].settings != load(spec()).transforms[0].settings


def test_without_strength_augmenting_is_normalising(case):
    plain = normalise(spec())(load(spec())(case))
    still = load_and_augment(spec(), strength=Augmentation.of("off"))(case)
    assert torch.equal(plain["image"], still["image"])
    assert torch.equal(plain["label"], still["label"])


@pytest.mark.parametrize(("task", "classes"), [("binary", ("a",)), ("multiclass", ("a", "b"))])
def test_a_pixel_is_ignored_if_that_covers_most_of_it(tmp_path, task, classes):
    """Columns of 0, 1 and 9 (ignored) at half the size: 8 | 8 | 8 of 24 become 4 | 4 | 4."""
    label = np.repeat([0, 1, 9], 8)[None].repeat(8, axis=0).astype(np.uint8)
    made = DatasetSpec("d", task, classes=classes, channels=("grey",), size=(12, 4), ignore=9)
    image = save(tmp_path / "i.png", np.zeros((8, 24), np.uint8))
    loaded = load(made)({"image": image, "label": save(tmp_path / "l.png", label)})
    assert loaded["label"][0, :, 1].tolist() == [0] * 4 + [1] * 4 + [255] * 4


def test_how_labels_are_written_is_a_setting_of_the_cache():
    settings = [
        load(DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(8, 8), **more)).transforms[0].settings
        for more in ({}, {"ignore": 9}, {"label_values": {"a": 2}}, {"label_values": {"a": 3}})
    ]
    assert all(settings.count(one) == 1 for one in settings)


@pytest.mark.parametrize("shift", [0, 4, 8])
def test_the_same_picture_in_8_12_and_16_bits(tmp_path, shift):
    values = np.arange(20, 148, dtype=np.uint16).reshape(8, 16)
    path = save(
        tmp_path / "a.png", values.astype(np.uint8) if shift == 0 else values << shift if shift == 4 else values * 257
    )
    context = pytest.warns(UserWarning, match=r"values of 320 to 2352, read as 12-bit") if shift == 4 else nullcontext()
    with context:
        loaded = load(spec((16, 8), channels=("grey",)))({"image": path})
    assert np.abs(loaded["image"][0].numpy().T.astype(int) - values).max() <= 1


def test_sixteen_bits_that_fill_a_quarter_are_named(tmp_path):
    path = save(tmp_path / "a.png", np.resize(np.array([0, 16000], np.uint16), (8, 16)))
    with pytest.warns(UserWarning, match=r"a\.png: 16-bit file with values of 0 to 16000, read as 16-bit"):
        load(spec((16, 8), channels=("grey",)))({"image": path})


@pytest.mark.parametrize(
    ("task", "drawn", "expected"),
    [
        ("binary", [[1, 1, 1, 1], [0, 0, 0, 0]], [1, 1]),  # half of each pixel: foreground
        ("multilabel", [[1, 1, 0, 0], [1, 1, 0, 0]], [1, 0]),
        ("binary", [[1, 1, 255, 255], [1, 1, 255, 255]], [1, 255]),
        ("binary", [[0, 0, 255, 255], [0, 0, 255, 255]], [0, 255]),
        ("multiclass", [[1, 1, 2, 2], [1, 1, 2, 2]], [1, 2]),
        ("multiclass", [[1, 1, 255, 255], [1, 1, 255, 255]], [1, 255]),
        ("multiclass", [[2, 2, 0, 0], [2, 2, 0, 0]], [2, 0]),
    ],
)
def test_a_label_of_4_by_2_on_2_by_1_by_hand(task, drawn, expected):
    """Each new pixel is 6/7 the two columns that it covers, and 1/7 the next one (triangle filter)."""
    spec = DatasetSpec("d", task, classes=("a", "b")[: 1 if task == "binary" else 2], channels=("grey",), size=(2, 1))
    label = np.array(drawn, np.uint8).T[None]
    assert _resize_label(label, (2, 1), spec).tolist() == [[[number] for number in expected]]


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_soft_labels_lie_on_the_label(case, tmp_path, aspect):
    """That a pixel belongs to the class is as likely as the class covers it; beyond the photograph it does not."""
    with Image.open(case["label"]) as mask:
        mask.save(tmp_path / "soft.png")
    case["soft_label"] = [str(tmp_path / "soft.png")]
    sized = spec(size=(24, 16), aspect=aspect)
    loaded = load(sized, keys=("image", "label", "soft_label"))(case)
    soft = loaded["soft_label"]
    assert (soft.dtype, soft.shape) == (torch.uint8, (1, 24, 16))
    assert torch.equal((soft >= 128).to(torch.uint8), loaded["label"])
    assert torch.equal(loaded["image"], load(sized)(case)["image"])


def test_soft_labels_of_another_size_are_named(case, tmp_path):
    case["soft_label"] = save(tmp_path / "soft.png", np.zeros((16, 47), np.uint8))
    with pytest.raises(ValueError, match=r"soft\.png: 47x16 probabilities for a photograph of 48x16"):
        load(spec(), keys=("image", "label", "soft_label"))(case)


def test_the_key_of_soft_labels_alone_changes_no_cache():
    plain, soft = load(spec()), load(spec(), keys=("image", "label", "soft_label"))
    assert plain.transforms[0].settings == soft.transforms[0].settings
