import numpy as np
from PIL import Image
from scipy import ndimage

from medseg_monai.audit.twins import detail_of, find_twins


def pictures(count: int) -> list[np.ndarray]:
    """Dark blobs on a light ground, alike in the coarse, each with details of its own, (3, W, H)."""
    rows, columns = np.ogrid[:120, :160]
    blob = 150 - 90 * np.exp(-((rows - 60) ** 2 + (columns - 80) ** 2) / 800)
    made = []
    for number in range(count):
        detail = ndimage.gaussian_filter(np.random.default_rng(number).normal(size=(120, 160)), 2) * 60
        made.append(np.repeat((blob + detail).clip(0, 255).astype(np.uint8)[None], 3, axis=0).swapaxes(1, 2))
    return made


def again(image: np.ndarray) -> np.ndarray:
    """Smaller and brighter."""
    small = Image.fromarray(image.transpose(2, 1, 0)).resize((136, 102))
    return (np.asarray(small) * 1.15).clip(0, 255).astype(np.uint8).transpose(2, 1, 0)


def test_the_same_picture_saved_again_is_a_twin_and_no_other_is() -> None:
    images = [*pictures(6)]
    details = [detail_of(image) for image in [*images, again(images[2])]]
    (twins,) = find_twins(details, list("abcdefg"))
    assert (twins.first, twins.second) == (2, 6)
    assert twins.alike > 0.95


def test_details_are_those_of_the_mean_of_the_channels_whatever_their_unit() -> None:
    image = pictures(1)[0].astype(np.float32)
    opposite = np.stack([image[0], 500 - image[0]])  # what one channel shows the other takes away
    assert not detail_of(opposite).any()
    np.testing.assert_allclose(detail_of(image / 1e6), detail_of(image), atol=1e-5)


def test_two_pictures_of_one_patient_may_be_alike() -> None:
    images = pictures(3)
    details = [detail_of(image) for image in [*images, images[0]]]
    assert [(one.first, one.second) for one in find_twins(details, list("abcd"))] == [(0, 3)]
    assert list(find_twins(details, list("abca"))) == []


def test_pictures_without_details_are_nobodys_twins() -> None:
    flat = [detail_of(np.full((3, 40, 40), level, np.uint8)) for level in (0, 90, 90)]
    assert all(not detail.any() for detail in flat)
    assert list(find_twins(flat, list("abc"))) == []
    assert list(find_twins([], [])) == []


def test_volumes_are_compared_too() -> None:
    chance = np.random.default_rng(0)
    scans = [ndimage.gaussian_filter(chance.normal(size=(1, 40, 44, 36)), (0, 2, 2, 2)) for _ in range(3)]
    noisy = 3 * scans[1] + 100 + chance.normal(0, 0.01, scans[1].shape)
    (twins,) = find_twins([detail_of(scan) for scan in [*scans, noisy]], list("abcd"))
    assert (twins.first, twins.second) == (1, 3)
