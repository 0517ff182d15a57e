"""Draw what augmentation does to a photograph: docs/images/augmentation.jpg.

    python scripts/draw_augmentation.py

Two photographs of examples/ as they are, and with one change at a time, each as strong as it is named above it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.figures.cases import new_figure, save_figure
from medseg_monai.transforms.augment_ranges import Augmentation
from medseg_monai.transforms.photo_artefacts import Artefacts, draw_hairs
from medseg_monai.transforms.photo_augment import draw

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = ("ISIC_0000262", "ISIC_0000501")
SIDE = 256
UNIT = Intensity("uint8", mean=(0,), std=(1,))
ARTEFACTS = {
    "hairs: 15": lambda seed: Artefacts(hairs=draw_hairs(np.random.default_rng(seed), 15, size=(SIDE, SIDE))),
    "constancy: cast removed": lambda _: Artefacts(constancy=1.0),
    "constancy: cast doubled": lambda _: Artefacts(constancy=-1.0),
    "jpeg: quality 15": lambda _: Artefacts(quality=15),
}


def read(name: str) -> NDArray[np.uint8]:
    """(3, W, H) of an example."""
    with Image.open(REPOSITORY / "examples" / f"{name}.jpg") as picture:
        return np.array(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)).transpose(2, 1, 0)


def versions(image: NDArray[np.uint8], seed: int) -> dict[str, NDArray[np.float32]]:
    """(H, W, 3) of 0..1 by title."""
    stored, window = torch.from_numpy(image), torch.tensor([[0.0, 255.0]] * 3)
    default = draw(np.random.default_rng(seed), Augmentation(), size=(SIDE, SIDE), channels=3)
    shown = {"as it is": stored / 255, "default": default.apply(stored, None, window, UNIT)[0]}
    shown |= {title: make(seed).apply(stored / 255) for title, make in ARTEFACTS.items()}
    return {title: values.numpy().T for title, values in shown.items()}


def main() -> None:
    """Draw all."""
    rows = [versions(read(name), seed) for seed, name in enumerate(FILES, 1)]
    columns = len(rows[0])
    figure = new_figure(2.2 * columns, 2.2 * len(rows) + 0.3)
    for row, all_axes in zip(rows, figure.subplots(len(rows), columns), strict=True):
        for (title, picture), axes in zip(row.items(), all_axes, strict=True):
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[], title=title if row is rows[0] else "")
            axes.title.set_fontsize(10)
    save_figure(figure, REPOSITORY / "docs" / "images" / "augmentation.jpg")


if __name__ == "__main__":
    main()
