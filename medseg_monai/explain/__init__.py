"""Why the network said so: CAM and Grad-CAM of a segmentation, and whether the maps are worth anything."""
