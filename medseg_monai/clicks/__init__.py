"""Correction of a predicted mask by clicks or a box, at once and without another run of the network.

`correct` is a pure function of a mask, its probabilities, the image and the clicks; `medseg_monai.predictor.Prediction.correct`,
`medseg correct` and the MONAI Label server call it.
"""

from typing import TYPE_CHECKING

from medseg_monai.clicks.click import Box, Click

if TYPE_CHECKING:
    from medseg_monai.clicks.correction import Corrected, correct

__all__ = ["Box", "Click", "Corrected", "correct"]


def __getattr__(name: str) -> object:
    """`correct` and `Corrected`, imported on first use: they import torch, which a command that refuses its arguments need not wait for."""
    if name in ("Corrected", "correct"):
        from medseg_monai.clicks import correction

        return getattr(correction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
