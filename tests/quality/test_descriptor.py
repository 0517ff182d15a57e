"""What describes a picture: the same at every size, as many numbers for every picture, and what each part is about."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.quality.descriptor import VERSION, describe, number_names, shrunk


def picture(width: int, height: int) -> tuple[Tensor, Tensor]:
    """A reddish slope with a dark ellipse left of the middle, (3, W, H), and the ellipse."""
    x, y = torch.meshgrid((torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height, indexing="ij")
    inside = torch.sigmoid((0.2 - torch.hypot(x - 0.3, y - 0.5)) * 60)
    grey = 0.5 + 0.3 * x - 0.3 * inside
    return torch.stack([grey * 1.1, grey * 0.9, grey * 0.8]), inside


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    """A lesion as the demo draws them, (3, W, H), and where it is."""
    pixels, lesion = draw_dermoscopy(np.random.default_rng(seed), (160, 120))
    return torch.from_numpy(pixels.transpose(2, 1, 0) / 255), torch.from_numpy(lesion.T.astype(np.float32))


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (512, 384), (200, 777)])
def test_neither_size_nor_aspect_matters(size: tuple[int, int]) -> None:
    expected, found = describe(*picture(1024, 1024)), describe(*picture(*size))
    for part in ("colours", "light", "layout"):
        assert np.allclose(found[part], expected[part], atol=0.03), part
    assert np.allclose(found["outline"], expected["outline"], atol=0.1)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_even_pictures_without_anything_found_have_finite_numbers(channels: int, fill: float) -> None:
    found = describe(torch.full((channels, 40, 30), fill), torch.full((40, 30), fill))
    usual = describe(torch.rand(channels, 64, 64), torch.rand(64, 64))
    assert {part: len(numbers) for part, numbers in found.items()} == {part: len(n) for part, n in usual.items()}
    assert all(np.isfinite(numbers).all() for numbers in found.values())
    assert ("colours" in found) == ("grain" in found) == (channels > 1)


def changed(change: str) -> set[str]:
    """The parts that a change of a drawn lesion leaves other than they were."""
    image, inside = drawn(1)
    if change == "grey":
        other = image.mean(dim=0, keepdim=True).expand_as(image), inside
    elif change == "outline":
        other = image, 1 - inside
    elif change == "mirrored":
        other = image.flip(1), inside.flip(0)
    else:
        other = image * 0.5, inside
    before, after = describe(image, inside), describe(*other)
    return {part for part in before if not np.allclose(before[part], after[part], atol=0.05)}


@pytest.mark.parametrize(
    ("change", "parts"),
    [("grey", {"colours", "grain", "outline"}), ("outline", {"outline"}), ("mirrored", {"layout"})],
)
def test_a_part_is_about_what_its_name_says(change: str, parts: set[str]) -> None:
    assert changed(change) == parts


def test_the_layout_by_hand() -> None:
    image = torch.zeros(1, 3, 3).repeat_interleave(64, 1).repeat_interleave(64, 2)
    image[:, :64] = 0.9  # the first third along x is light: mean 0.3; cells at half the size share a column of pixels
    layout = describe(image, torch.zeros(192, 192))["layout"].reshape(3, 3)
    assert np.allclose(layout[0], 0.6, atol=0.04)
    assert np.allclose(layout[1:], -0.3, atol=0.02)


@pytest.mark.parametrize(
    ("channels", "opponents"),
    [
        (["grey"], []),
        (["red", "green"], ["red against green"]),
        (["red", "green", "blue"], ["red against green", "red and green against blue"]),
        (["a", "b", "c", "d"], ["difference of the channels"]),
    ],
)
def test_every_number_has_a_name(channels: list[str], opponents: list[str]) -> None:
    named, found = number_names(channels), describe(torch.rand(len(channels), 64, 64), torch.rand(64, 64))
    assert {part: len(names) for part, names in named.items()} == {part: len(n) for part, n in found.items()}
    assert named["texture"][:4] == [f"detail at {side} pixels a side" for side in (128, 64, 32, 16)]
    assert named.get("colours", [])[: len(opponents)] == opponents


def test_an_even_picture_by_hand() -> None:
    """Red 0.6, green 0.4, blue 0.2 everywhere: the mean is 0.4, nothing varies, and 0.001 stands for 0 in logarithms."""
    nothing = np.log(1e-3)
    image = torch.tensor([0.6, 0.4, 0.2])[:, None, None].expand(3, 50, 40)
    found = describe(image, torch.zeros(50, 40))
    assert found["light"] == pytest.approx([0.4, nothing, *[0.4] * 5], abs=1e-3)
    first, second = 0.2, 0.3  # red less green; the mean of the two less blue
    strength = np.log(np.hypot(first, second) + 1e-3)
    expected = [first, second, nothing, nothing, first, second, first, second, strength, nothing]
    assert found["colours"] == pytest.approx(expected, abs=1e-3)
    assert found["texture"] == pytest.approx([*[nothing] * 4, 0, 1], abs=1e-3)
    assert found["grain"] == pytest.approx([nothing, nothing, 0, 0, 0] * 4, abs=1e-3)
    assert found["outline"][:2] == pytest.approx([np.log(1e-3 / (1 - 1e-3)), 0], abs=1e-3)


def test_stripes_of_one_pixel_are_detail_of_the_finest_scale_alone() -> None:
    """0.3 and 0.7 in turn along x, at the side that is measured: 0.2 off the mean of each two, everywhere."""
    image = torch.tensor([0.3, 0.7]).repeat(64)[None, :, None].expand(1, 128, 128)
    texture = describe(image, torch.zeros(128, 128))["texture"]
    expected = [np.log(0.2 + 1e-3), *[np.log(1e-3)] * 3, np.log(0.4 + 1e-3) - np.log(1e-3), np.sqrt(0.5)]
    assert texture == pytest.approx(expected, abs=1e-3)


def test_the_grain_of_stripes_in_one_channel_by_hand() -> None:
    """Blue 0.3 and 0.7 in turn, in stripes of two pixels along x, which at half of the side are stripes of one.

    Red and green stay even. The second opponent, their mean less blue, is 0.2 off everywhere, against light, whose details are a third of
    blue's; of red against green there is nothing to agree with.
    """
    image = torch.full((3, 128, 128), 0.5)
    image[2] = torch.tensor([0.3, 0.3, 0.7, 0.7]).repeat(32)[:, None]
    grain = describe(image, torch.zeros(128, 128))["grain"].reshape(4, 5)
    assert grain[0] == pytest.approx([np.log(1e-3), np.log(0.2), 0, -1, 0], abs=1e-3)
    assert grain[1:, :2] == pytest.approx(np.log(1e-3), abs=1e-3)


def test_noise_that_channels_share_is_grey_and_other_noise_is_not() -> None:
    """Painted pictures may have noise as strong as a camera's; whether it is the channels' own is what the grain tells."""
    noise = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(0))
    own, shared = (
        describe(0.5 + 0.05 * values, torch.zeros(128, 128)) for values in (noise, noise[:1].expand(3, 128, 128))
    )
    finest = [found["grain"][:2] for found in (own, shared)]
    assert (finest[0] > np.log(0.01)).all()
    assert finest[1] == pytest.approx(np.log(1e-3), abs=0.01)


def test_a_smaller_input_that_was_shrunk_before_is_described_alike() -> None:
    """What is linear may be done after the picture was shrunk, where it costs less."""
    image, foreground = torch.rand(3, 300, 200), torch.rand(300, 200)
    before, after = describe(image * 0.25 + 0.5, foreground), describe(shrunk(image) * 0.25 + 0.5, foreground)
    for part in before:
        assert after[part] == pytest.approx(before[part], abs=1e-4)


def test_numbers_that_mean_something_else_are_of_a_new_version() -> None:
    """If this fails, what weights have learnt of pictures no longer fits: raise VERSION, and write the new numbers here."""
    found = {part: float(np.sqrt(np.mean(numbers**2))) for part, numbers in describe(*picture(160, 120)).items()}
    version_1 = {"light": 0.929, "layout": 0.115, "texture": 4.244, "colours": 1.953, "grain": 3.728, "outline": 2.172}
    assert VERSION == 1
    assert found == pytest.approx(version_1, abs=0.002)
