"""Correction of a predicted mask by clicks or a box, at once and without another run of the network.

`correct` is a pure function of a mask, its probabilities, the image and the clicks; `medseg_monai.predictor.Prediction.correct`,
`medseg correct` and the MONAI Label server call it.
"""

from medseg_monai.clicks.click import Box, Click
from medseg_monai.clicks.correct import Corrected, correct

__all__ = ["Box", "Click", "Corrected", "correct"]
