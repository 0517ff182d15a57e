"""Masks in the formats of other programs, one module each; `medseg_monai.outputs.predictions` calls them."""
