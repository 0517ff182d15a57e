"""Pictures and plots of masks and scores; those of explanations are in `medseg_monai.explain`."""
