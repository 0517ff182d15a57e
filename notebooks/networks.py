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
# # U-Net against U-Net++
# Two networks on the same cases in the same time, and whether the difference is more than chance. By default the data are generated pictures, so the
# scores say nothing about patients; set `ISIC2017` to the folder of the official download for real ones, and `MINUTES` to the time for each network.

# %%
import os
import tempfile
from pathlib import Path

import medseg_monai as mm

out = Path(tempfile.mkdtemp())
raw, minutes = os.environ.get("ISIC2017"), float(os.environ.get("MINUTES", "1"))
if raw:
    data = mm.prepare("isic2017", raw, out=out / "data")
else:
    data = mm.prepare("demo", out=out / "data", n=int(os.environ.get("CASES", "60")), size=96)
data

# %% [markdown]
# A data set is a sequence of cases, by number, slice, id or split; images and masks are arrays.

# %%
case = data["test"][0]
print(len(data), data.counts(), case.id, case.image.shape, case.mask.shape)

# %% [markdown]
# ## Train
# `mm.train` plans size, network, batch and epochs for this machine and the time.

# %%
trainings = {name: mm.train(name, data, minutes=minutes, out=out / name, seed=0) for name in ("unet", "unetpp")}
trainings["unet"]

# %%
for name, training in trainings.items():
    print(
        name,
        training.trained.dataset.size,
        training.epochs,
        "epochs",
        {k: round(v, 2) for k, v in training.scores.items()},
    )

# %% [markdown]
# ## Compare

# %%
evaluations = [training.evaluate() for training in trainings.values()]
evaluations[1]

# %%
mm.compare(evaluations)

# %% [markdown]
# ## Where the better one looks

# %%
best = trainings["unet" if evaluations[0].mean() > evaluations[1].mean() else "unetpp"]
mm.explain(best.bundle, data["test"][0], weights=best.folder, out=out / "maps", region="truth", truth=data.file)
