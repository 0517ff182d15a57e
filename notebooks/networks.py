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
# Both ship weights for skin lesions that were trained alike, on the same cases of ISIC 2017. Which one should be used, and is the difference more than chance? First
# they look at five photographs, then at cases that neither has seen, with the true masks. Set `ISIC2017` to the folder of the official download for these;
# without it generated pictures take their place, which shows how it is done but says nothing about patients.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import medseg_monai as mm

out = Path(tempfile.mkdtemp())
photos = sorted((Path(os.environ.get("NOTEBOOKS", ".")) / ".." / "examples").glob("*.jpg"))
networks = {name: mm.Predictor(name) for name in ("unet", "unetpp")}

# %% [markdown]
# ## The same photographs

# %%
found = {name: [network(photo) for photo in photos] for name, network in networks.items()}

figure, rows = plt.subplots(2, len(photos), figsize=(11, 4.4), layout="constrained")
for axes, (name, predictions) in zip(rows, found.items(), strict=True):
    for ax, prediction in zip(axes, predictions, strict=True):
        ax.imshow(prediction.overlay())
        ax.set_title(f"{name}, predicted Dice {prediction.predicted_dice['lesion']:.2f}", fontsize=8)
        ax.set_axis_off()
plt.show()

# %% [markdown]
# How far they agree needs no truth. Where two networks differ, one of them is wrong, and a person should look.

# %%
for photo, one, other in zip(photos, *found.values(), strict=True):
    both, sizes = np.sum((one.mask > 0) & (other.mask > 0)), np.sum(one.mask > 0) + np.sum(other.mask > 0)
    print(
        f"{photo.stem}: Dice of the two masks {2 * both / sizes:.3f}, {np.sum(one.mask != other.mask):,} pixels differ"
    )

# %% [markdown]
# ## Against the truth
# The test split was used for neither training nor tuning.

# %%
raw = os.environ.get("ISIC2017")
if raw:
    table = Path(raw) / "splits.csv"
    data = mm.prepare("isic2017", raw, out=out / "data", splits=table if table.is_file() else None)
else:
    data = mm.prepare("demo", out=out / "data", n=int(os.environ.get("CASES", "60")), size=96)
print(data.spec.name, data.counts())

# %%
evaluations = [mm.evaluate(name, data, out=out / f"scores_{name}") for name in networks]
evaluations[1]

# %% [markdown]
# Means of two networks always differ. The test asks how often a difference of this size would come by chance if each case's two scores could be exchanged. If that is often (p
# above 0.05), these cases do not tell which network is better: then take the quicker one.

# %%
comparison = mm.compare(evaluations)
comparison

# %% [markdown]
# ## Where they differ most
# A mean hides cases in which one fails and the other does not.

# %%
dices = [{row["case"]: row["dice"] for row in evaluation.rows} for evaluation in evaluations]
apart = sorted(dices[0], key=lambda case: -abs(dices[0][case] - dices[1][case]))
for case in apart[:5]:
    print(f"{case}: U-Net {dices[0][case]:.3f}, U-Net++ {dices[1][case]:.3f}")

# %% [markdown]
# ## Where the better one looks
# Grad-CAM of one photograph. More about such maps, and whether to trust them, is in [Explaining](../explain.md).

# %%
best = max(zip(networks, evaluations, strict=True), key=lambda pair: pair[1].mean())[0]
mm.explain(best, photos[0], out=out / "maps")

# %% [markdown]
# ## Training them yourself
# `mm.train("unet", data, minutes=20)` plans size, network and epochs for this machine and the time, and `mm.train("unet", data, start_from="unet")` goes on from
# the shipped weights; `training.evaluate()` gives an evaluation to compare with these.
