"""nnU-Net's 2D trainer for a given processor time: a peer of `accuracy.py`, if nnunetv2 is installed.

Isensee et al., nnU-Net, Nature Methods 2021. What is its own: the plan (network, normalisation, deep supervision), the preprocessing,
the augmentation, the loss, SGD with momentum 0.99 and a polynomial fall of the rate, float32 on a CPU, mirrored views in prediction.
What is changed: batches of 8 instead of the planned ones, which a CPU would take minutes for; the rate falls with the processor's
clock instead of over 1,000 epochs; nothing is validated while training; data are read and augmented in the same process, so that
their time counts, as it does for all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from medseg_monai.dataset import read_dataset

ID, NAME = 17, "Dataset017_photographs"
BATCH = 8


def train(dataset: Path, size: int, *, seconds: float, out: Path) -> tuple[float, int, str, nn.Module]:
    """Convert, plan and preprocess, then train for so many seconds of processor time; the weights go to ``model.pt`` in `out`.

    Returns:
        Seconds used, pictures seen, the precision, and the network.
    """
    trainer = _trainer(dataset, size, out)
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 (its name); no process besides this one reads data
    trainer.on_train_start()
    trainer.train_step(next(trainer.dataloader_train))  # the first step of a process imports for seconds
    trainer.network.train()
    began, steps, rate = time.process_time(), 0, trainer.initial_lr
    while (share := (time.process_time() - began) / seconds) < 1:
        for group in trainer.optimizer.param_groups:
            group["lr"] = rate * (1 - share) ** 0.9
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
    used = time.process_time() - began
    torch.save(trainer.network.state_dict(), out / "model.pt")
    return used, steps * BATCH, "fp32", trainer.network


def masks_of(dataset: Path, files: Sequence[str], size: int, out: Path) -> Iterator[NDArray[np.bool_]]:
    """The mask of each photograph by the weights in `out`, (H, W): nnU-Net's probabilities enlarged bilinearly, then 0.5."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer = _trainer(dataset, size, out)
    trainer.initialize()
    trainer.set_deep_supervision_enabled(False)
    weights = torch.load(out / "model.pt", weights_only=True)
    predictor = nnUNetPredictor(device=torch.device("cpu"), verbose=False, allow_tqdm=False)
    mirrored = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()[3]
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [weights],
        trainer.dataset_json,
        type(trainer).__name__,
        mirrored,
    )
    for file in files:
        with Image.open(file) as picture:
            width, height = picture.size
            pixels = np.array(picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
        image = pixels.transpose(2, 0, 1)[:, None].astype(
            np.float32
        )  # (3, 1, H, W), as its reader of photographs gives
        _, probabilities = predictor.predict_single_npy_array(image, {"spacing": (999, 1, 1)}, None, None, True)
        enlarged = F.interpolate(
            torch.from_numpy(probabilities[1:2, :1].astype(np.float32)), (height, width), mode="bilinear"
        )
        yield (enlarged[0, 0] > 0.5).numpy()


def _trainer(dataset: Path, size: int, out: Path) -> Any:
    """nnU-Net's own trainer on the converted data set, with batches of `BATCH`."""
    root = out / "nnunet"
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = str(root / kind)
        (root / kind).mkdir(parents=True, exist_ok=True)
    os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 (its name); its planner takes no fewer
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    prepared = root / "preprocessed" / NAME
    if not (prepared / "splits_final.json").is_file():
        _prepare(dataset, size, root)
    plans = json.loads((prepared / "nnUNetPlans.json").read_text())
    (out / "plans.json").write_text(json.dumps(plans["configurations"]["2d"], indent=1))
    plans["configurations"]["2d"]["batch_size"] = BATCH
    plans["continue_training"] = False
    description = json.loads((prepared / "dataset.json").read_text())
    torch.manual_seed(0)
    np.random.seed(0)
    return nnUNetTrainer(plans, "2d", 0, description, device=torch.device("cpu"))


def _prepare(dataset: Path, size: int, root: Path) -> None:
    """The training cases in its layout, planned and preprocessed by its own commands; none is held out."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    cases = read_dataset(dataset).cases("training")
    raw = root / "raw" / NAME
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    names = [_convert(case, size, raw) for case in cases]
    channels, labels = {"0": "red", "1": "green", "2": "blue"}, {"background": 0, "lesion": 1}
    facts = {"channel_names": channels, "labels": labels, "numTraining": len(names), "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps(facts))
    api.extract_fingerprints([ID], num_processes=1)
    api.plan_experiments([ID])
    api.preprocess([ID], configurations=("2d",), num_processes=(1,))
    (root / "preprocessed" / NAME / "splits_final.json").write_text(
        json.dumps([{"train": names, "val": names[:BATCH]}])
    )


def _convert(case: Mapping[str, Any], size: int, raw: Path) -> str:
    """A case's two files."""
    name = Path(str(case["image"])).stem
    with Image.open(str(case["image"])) as picture:
        picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR).save(raw / f"imagesTr/{name}_0000.png")
    with Image.open(str(case["label"])) as picture:
        mask = np.array(picture.convert("L").resize((size, size), Image.Resampling.NEAREST)) > 127
    Image.fromarray(mask.astype(np.uint8)).save(raw / f"labelsTr/{name}.png")
    return name
