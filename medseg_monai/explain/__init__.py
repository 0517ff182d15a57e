"""Explaining a segmentation: CAM and Grad-CAM maps, and whether they can be trusted."""

from medseg_monai.program.callable_package import make_callable

make_callable(__name__)
