"""What users add to a bundle's evaluator, MONAI's metrics, transforms and handlers, sees the masks that are written."""

from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image
from untrained import untrained

from medseg_monai.bundle.workflow import bundle_workflow, run_workflow
from medseg_monai.dataset import read_dataset

SAVE = {
    "_target_": "SaveImaged",
    "keys": "pred",
    "meta_keys": "image_meta_dict",
    "output_ext": ".png",
    "output_dtype": "uint8",
    "scale": 255,
    "resample": False,
    "print_log": False,
    "separate_folder": False,
}


@pytest.fixture
def weights(demo_data: Path, tmp_path: Path) -> Path:
    return untrained(tmp_path / "weights", read_dataset(demo_data).spec, seed=0)


def test_a_metric_and_a_transform_of_monai_get_the_masks(demo_data: Path, weights: Path, tmp_path: Path) -> None:
    images = [case["image"] for case in read_dataset(demo_data).cases("test")[:2]]
    values = {"dataset_dir": images, "weights": str(weights), "output_dir": str(tmp_path / "masks"), "report": False}
    both = "$lambda output: tuple([each['pred'] for each in output] for _ in range(2))"
    added = {
        "evaluator#key_val_metric": {"own_dice": {"_target_": "MeanDice", "output_transform": both}},
        "handlers": [
            {"_target_": "PostProcessing", "transform": {**SAVE, "output_dir": str(tmp_path / "theirs")}},
            "@writer",
        ],
    }
    workflow = bundle_workflow(REPOSITORY / "bundles" / "unet", "inference", values, assignments=added)
    run_workflow(workflow)
    evaluator = workflow.parser.get_parsed_content("evaluator")
    assert evaluator.state.metrics["own_dice"] == 1.0  # a mask beside itself
    for image in images:
        ours = np.asarray(Image.open(tmp_path / "masks" / f"{Path(image).stem}_mask.png"))
        theirs = np.asarray(Image.open(tmp_path / "theirs" / f"{Path(image).stem}_trans.png"))
        assert ours.any()
        assert np.array_equal(ours > 0, theirs > 0)
