import io

import numpy as np
from PIL import Image

from medseg_monai.figures.audit import LONGEST_SIDE, doubt_picture
from medseg_monai.figures.cases import CaseView


def square(low: int, high: int) -> np.ndarray:
    mask = np.zeros((1, 40, 40), np.uint8)
    mask[0, low:high, low:high] = 1
    return mask


def colours(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_the_label_is_yellow_and_the_network_blue() -> None:
    view = CaseView(image=np.full((3, 40, 40), 120, np.uint8), pred=square(4, 16), truth=square(22, 36))
    pixels = colours(doubt_picture(view))
    assert pixels.shape == (LONGEST_SIDE, LONGEST_SIDE, 3)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 1] > 180) & (pixels[..., 2] < 110)
    blue = (pixels[..., 2] > 190) & (pixels[..., 0] < 130)
    factor = LONGEST_SIDE / 40
    assert np.argwhere(yellow).min() > 20 * factor
    assert np.argwhere(blue).max() < 18 * factor


def test_of_a_volume_the_slice_is_drawn_where_they_differ_most() -> None:
    image = np.zeros((1, 20, 20, 9), np.uint8)
    image[..., 6] = 255  # the only bright slice
    both = np.zeros((1, 20, 20, 9), np.uint8)
    both[0, 2:18, 2:18, :5] = 1
    label = both.copy()
    label[0, 8:12, 8:12, 6] = 1
    pixels = colours(doubt_picture(CaseView(image=image, pred=both, truth=label)))
    assert pixels[2, 2].mean() > 200
    same = colours(doubt_picture(CaseView(image=image, pred=both, truth=both)))
    assert same[2, 2].mean() < 60, "if they agree everywhere, the slice with most of them"
