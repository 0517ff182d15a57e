# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own photographs
# From photographs to masks, outlines and files for other programs. The photographs are the repository's (`examples/`, ISIC 2017, CC-0); for your own,
# set the variable `PHOTOGRAPHS` to their folder. The weights are those that the U-Net ships: for skin lesions, and not for diagnosis.

# %%
import os
import tempfile
from pathlib import Path

import medseg_monai as mm

here = Path(os.environ.get("NOTEBOOKS", "."))
photographs = Path(os.environ.get("PHOTOGRAPHS", here / ".." / "examples"))
out = Path(tempfile.mkdtemp())
files = sorted(photographs.glob("*.jpg"))[:3]
[file.name for file in files]

# %% [markdown]
# ## One photograph
# A `Predictor` is a function of an image: a path, a PIL image or an array. What it returns draws itself.

# %%
predictor = mm.Predictor("unet")
found = predictor(files[0])
found

# %% [markdown]
# The mask is an array of the photograph's own size; `predicted_dice` says how good it is likely to be.

# %%
print(found.mask.shape, found.pixels(), round(found.predicted_dice["lesion"], 2), found.flagged)

# %% [markdown]
# Outlines follow the edges of pixels. `to_geojson()` is what `medseg predict --format geojson` writes, and what QuPath reads.

# %%
outlines = found.polygons()["lesion"]
print(len(outlines), "outline of", len(outlines[0].outline), "corners around", outlines[0].area, "pixels")
print([file.name for path in ("mole.png", "mole.geojson") for file in found.save(out / path)])

# %% [markdown]
# ## A folder
# `mm.predict` is the command `medseg predict`: files for each image, a table, a page. An image that cannot be used is reported, and the others are done.

# %%
(out / "broken.jpg").write_bytes(b"no picture")
masks = mm.predict("unet", [*files, out / "broken.jpg"], out=out / "masks")
masks

# %%
print(masks.failures[0].reason)
print(masks.rows[0])
