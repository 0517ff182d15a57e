"""Made-up output folders of predictions, for tests of the page."""

from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.images.masks import write_mask
from medseg_monai.outputs.pictures import write_picture
from medseg_monai.outputs.tables import prediction_rows, predictions_table
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.tuning.review import Review

SPEC = demo_spec("mr")  # overlapping classes
REVIEW = Review(threshold=0.4, failure_dice=0.7, cases=10, failures=2, flagged=3, caught=2)
TRAINED = Trained(
    SPEC,
    {"_target_": "medseg_monai.networks.UNet", "in_channels": SPEC.in_channels, "out_channels": SPEC.out_channels},
    "unet",
    review=REVIEW,
)


def predicted(folder: Path, cases: dict[str, tuple[int, float]], *, review: Review | None = REVIEW) -> None:
    """Write what prediction does: of each case a 20 x 10 picture whose first class has so many pixels, and its uncertainty."""
    table = predictions_table(folder)
    for case, (count, uncertainty) in cases.items():
        image = folder.parent / "image.png"
        Image.fromarray(np.full((10, 20), 90, np.uint8)).save(image)
        mask = np.zeros((len(SPEC.classes), 20, 10), np.uint8)
        mask[0].flat[:count] = 1
        write_mask(mask, folder / f"{case}_mask.png", SPEC)
        write_picture(folder, case, str(image), mask, SPEC)
        flagged = None if review is None else review.flags(uncertainty)
        reason = "uncertain outline" if flagged else ""
        table.entries[case] = prediction_rows(case, mask, SPEC, uncertainty=uncertainty, flagged=flagged, reason=reason)
    table.save()
