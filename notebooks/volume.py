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
# # A volume
# A scan segmented on its own grid, in millilitres. By default the 3D U-Net learns from generated volumes for a minute, and segments one that it has not
# seen; set `VOLUME` to a NIfTI, NRRD, MHA or DICOM folder to segment a scan of the hippocampus with the weights that it ships.

# %%
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import medseg_monai as mm

out = Path(tempfile.mkdtemp())
volume = os.environ.get("VOLUME")
if volume:
    predictor = mm.Predictor("unet3d")
else:
    data = mm.prepare("demo", out=out / "data", kind="volumes", n=12, size=32)
    training = mm.train("unet3d", data, minutes=float(os.environ.get("MINUTES", "1")), out=out / "weights", seed=0)
    predictor, volume = training.predictor(), data["test"][0].image_files[0]
found = predictor(volume)
found

# %% [markdown]
# The mask has the scan's own voxels, whatever the network's are.

# %%
print(found.mask.shape, found.geometry.orientation, [round(side, 2) for side in found.geometry.spacing_mm], "mm")
print({name: f"{count * found.geometry.voxel_ml:.1f} ml" for name, count in found.pixels().items()})

# %% [markdown]
# ## Look at all of it
# In a notebook with `ipyniivue` the scan can be turned and scrolled; without it axial slices are drawn.

# %%
(mask_file,) = found.save(out / "mask.nii.gz")
if find_spec("ipyniivue") and str(volume).endswith((".nii", ".nii.gz")):
    from ipyniivue import NiiVue

    view = NiiVue()
    view.load_volumes([{"path": str(volume)}, {"path": str(mask_file), "colormap": "red", "opacity": 0.5}])
else:
    view = found.plot()
view
