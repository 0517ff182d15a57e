"""Ways of running a trained network: torch, ONNX Runtime, OpenVINO; each checked against plain float32 before its answers are used.

=========== =================================================================================================================
fusing.py   convolution and batch norm in one
runners.py  a network made ready for one engine and precision: a function from images to logits
trial.py    which of them agree with plain float32, which is fastest here, and remembering it
inferer.py  what a config's ``inferer`` is: prepares the network it meets on the first images, then runs it
=========== =================================================================================================================
"""

from medseg_monai.engines.inferer import EngineInferer
from medseg_monai.engines.runners import ENGINES

__all__ = ["ENGINES", "EngineInferer"]
