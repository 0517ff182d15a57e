"""Pictures and plots of masks and scores; those for explanations are in `medseg_monai.explain`."""
