"""Segmentation networks, one file per architecture, each reading like its paper's figure.

All take (B, in_channels, *S) of any size and return logits (B, out_channels, *S): one tensor in eval mode; in training mode a list
``[main, auxiliary, ...]`` where the network has several heads.
"""

from medseg_monai.networks.deeplabv3plus import DeepLabV3Plus
from medseg_monai.networks.pspnet import PSPNet
from medseg_monai.networks.resunetpp import ResUNetPlusPlus
from medseg_monai.networks.unet import UNet
from medseg_monai.networks.unetpp import UNetPlusPlus

__all__ = ["DeepLabV3Plus", "PSPNet", "ResUNetPlusPlus", "UNet", "UNetPlusPlus"]
