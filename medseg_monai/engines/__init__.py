"""Ways of running a trained network: torch, ONNX Runtime, OpenVINO; each checked against plain float32 before its answers are used.

============= =================================================================================================================
precision.py  float32, bfloat16 or float16, and the memory layout; training uses it too
fusing.py     fusing convolution and batch norm
onednn.py     convolutions and instance norms as a CPU computes them fastest
convert.py    a network as TorchScript, torch.export, ONNX or OpenVINO
streams.py    images side by side on a CPU's cores
runners.py    a network prepared for one engine and precision: a function from images to logits
agreement.py  whether two ways of running a network agree
trial.py      which runners agree with plain float32 and which of them is fastest here, remembered
inferer.py    what a config's ``inferer`` is: prepares the network it meets on the first images, then runs it
============= =================================================================================================================
"""

from medseg_monai.engines.engine_inferer import EngineInferer
from medseg_monai.engines.runners import ENGINES

__all__ = ["ENGINES", "EngineInferer"]
