"""Segmentation networks, one file per architecture, each reading like its paper's figure.

The contract of all networks, on which training, explanation and export rely; ``tests/networks/test_all.py`` checks every network
exported here:

- **Arguments**: ``Network(in_channels, out_channels, *, …)`` for any numbers of channels. All others are keyword-only, have defaults and
  can be written in JSON. Widths are called ``features`` (a list, fine to coarse) and ``width`` or ``…_width``, so that tests can build
  narrow networks.
- **Any size**: input (B, in_channels, *S) with any S of at least 32 per side; callers never pad.
- **Logits out**: (B, out_channels, *S), without sigmoid or softmax.
- **A tensor in eval mode**, and in training mode too, unless the network has several heads: then a list ``[main, auxiliary, …]``, each
  of the same shape.
- **``bottleneck`` and ``last_stage``**: modules that run once and output the coarsest features and those before the head, for
  Grad-CAM and CAM; they may be an ``nn.Identity``.
- **``head``**: the 1x1 convolution from features to logits (several in an ``nn.ModuleDict`` ``heads``), whose class weights CAM uses.
- **Export**: ``torch.jit.script`` and ``trace``, ``torch.export`` and ONNX accept it and give the same logits, at other sizes too.
"""

from medseg_monai.networks.deeplabv3plus import DeepLabV3Plus
from medseg_monai.networks.pspnet import PSPNet
from medseg_monai.networks.resunetpp import ResUNetPlusPlus
from medseg_monai.networks.unet import UNet
from medseg_monai.networks.unetpp import UNetPlusPlus

__all__ = ["DeepLabV3Plus", "PSPNet", "ResUNetPlusPlus", "UNet", "UNetPlusPlus"]
