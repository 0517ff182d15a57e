"""Explaining a segmentation: CAM and Grad-CAM maps, and whether they can be trusted."""
