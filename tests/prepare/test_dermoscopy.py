import numpy as np
import pytest
from scipy import ndimage

from medseg_monai.prepare.dermoscopy import draw_dermoscopy


@pytest.mark.parametrize("seed", range(8))
def test_lesion_is_one_piece_without_holes_and_darker_than_skin(seed):
    pixels, lesion = draw_dermoscopy(np.random.default_rng(seed), (96, 80))
    assert pixels.shape == (80, 96, 3)
    assert lesion.shape == (80, 96)
    assert ndimage.label(lesion)[1] == 1
    assert (ndimage.binary_fill_holes(lesion) == lesion).all()
    around = ndimage.binary_dilation(lesion, iterations=8) & ~ndimage.binary_dilation(lesion, iterations=3)
    assert pixels[lesion].mean() < pixels[around].mean()
