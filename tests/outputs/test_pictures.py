from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.outputs.pictures import LONGEST_SIDE, write_picture
from medseg_monai.prepare.demo import demo_spec


def test_small_pictures_are_enlarged_and_large_ones_made_small(tmp_path: Path) -> None:
    spec = demo_spec()
    for side in (40, 3000):
        Image.fromarray(np.full((side, side // 2, 3), 200, np.uint8)).save(tmp_path / "image.png")
        mask = np.zeros((1, side // 2, side), np.uint8)
        mask[:, : side // 4] = 1
        with Image.open(write_picture(tmp_path, "a", str(tmp_path / "image.png"), mask, spec)) as picture:
            width, height = picture.size
            left, right = (np.asarray(picture)[height // 2, x].astype(int) for x in (width // 8, width * 7 // 8))
        assert LONGEST_SIDE / 2 < height <= LONGEST_SIDE
        assert abs(right - 200).max() < 8
        assert (left - right)[0] < -10  # tinted: less red
