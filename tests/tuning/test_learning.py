import numpy as np
import pytest

from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.predictor import Prediction
from medseg_monai.tuning.learning import class_dices


def test_the_dice_of_each_class_by_hand() -> None:
    truth = np.zeros((2, 1, 4), bool)
    truth[0, 0, :2] = truth[1, 0, 3] = True
    mask = np.array([[1, 0, 0, 2]], np.uint8)  # class 1: 1 of 2 pixels, Dice 2/3; class 2: right
    found = Prediction(mask, np.zeros((2, 1, 4)), 0.0, ("a", "b"), PhotoGrid((4, 1)))
    assert class_dices(found, truth) == pytest.approx((2 / 3, 1))
