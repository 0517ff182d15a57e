"""Segmentation networks, one file per architecture, each reading like its paper's figure.

What every network keeps to, because training, explanation and export rely on it; ``tests/networks/test_all.py`` checks each that is
exported here:

- **Arguments**: ``Network(in_channels, out_channels, *, …)`` for any numbers of channels. All others are keyword-only, have defaults and
  can stand in JSON. Widths are called ``features`` (a list, fine to coarse) and ``width`` or ``…_width``, so that tests can make it narrow.
- **Any size**: (B, in_channels, *S) goes in for any S of at least 32 a side; nobody pads.
- **Logits out**: (B, out_channels, *S), without sigmoid or softmax.
- **A tensor in eval mode**, and in training mode too, unless the network has several heads: then a list ``[main, auxiliary, …]``, each
  of the same shape.
- **``bottleneck`` and ``last_stage``**: modules that run once and give the coarsest features and those that the logits are made of, where
  Grad-CAM and CAM look; ``nn.Identity`` will do.
- **``head``**: the 1x1 convolution from features to logits (several in an ``nn.ModuleDict`` ``heads``), whose class weights CAM takes.
- **Export**: ``torch.jit.script`` and ``trace``, ``torch.export`` and ONNX take it and give the same logits, at other sizes too.
"""

from medseg_monai.networks.deeplabv3plus import DeepLabV3Plus
from medseg_monai.networks.pspnet import PSPNet
from medseg_monai.networks.resunetpp import ResUNetPlusPlus
from medseg_monai.networks.unet import UNet
from medseg_monai.networks.unetpp import UNetPlusPlus

__all__ = ["DeepLabV3Plus", "PSPNet", "ResUNetPlusPlus", "UNet", "UNetPlusPlus"]
