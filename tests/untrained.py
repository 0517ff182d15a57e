"""Folders with weights of a small U-Net that has learnt nothing: its answers are noise, but not alike."""

from pathlib import Path

import torch

from medseg_monai.bundle.trained import Trained, write_weights
from medseg_monai.dataset.spec import DatasetSpec


def untrained(folder: Path, spec: DatasetSpec, *, seed: int, bundle: str = "unet") -> Path:
    """Write the weights; the folder."""
    torch.manual_seed(seed)
    sizes = {"in_channels": spec.in_channels, "out_channels": spec.out_channels, "spatial_dims": spec.spatial_dims}
    network = {"_target_": "medseg_monai.networks.UNet", "features": [4, 8], **sizes}
    trained = Trained(spec, network, bundle, {})
    state = trained.build_network().state_dict()
    state["head.weight"] *= 30  # far from 0.5
    write_weights(folder, state, trained)
    return folder
