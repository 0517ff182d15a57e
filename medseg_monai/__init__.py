"""medseg_monai: medical image segmentation on MONAI.

In Python, ``import medseg_monai as mm``: a function for each command (`medseg_monai.api`), and `Predictor`::

    data = mm.prepare("demo", out="data/demo")
    training = mm.train("unet", data, minutes=2)
    mm.evaluate("unet", data, weights=training.folder)
    mm.Predictor("unet")("photograph.jpg").overlay()

The pipeline, in the order data flows:

============================== ==================================================================================
prepare/                       a raw download -> a folder with dataset.json
dataset/                       what a network must know about a data set, its cases, and the file with both
images/                        photographs, masks, slices and volumes, from disk and back
transforms/                    to the network's grid, random changes, and back to the image's own grid
networks/                      one file per architecture
training/                      caching and sampling of cases, losses, schedules, handlers
inference/, engines/           from images to answers; the engines: torch, ONNX Runtime, OpenVINO
predictor.py, prediction.py    a bundle as a function of images, and what it finds
clicks/                        a mask corrected by clicks and boxes
api/                           the Python face: a function for each command, results that notebooks show
outputs/, formats/             the files of a prediction: masks, volumes, tables; polygons, COCO, DICOM-SEG
evaluation/                    scores of a case, means with intervals, comparisons
distillation/                  what other networks answer, as soft labels for a smaller one
tuning/                        settings chosen on validation cases: cleaning of masks, and which a person should look at
explain/                       CAM and Grad-CAM of a segmentation, and whether the maps can be trusted
figures/, report/              pictures and plots; evaluations and explanations as one HTML file
export/                        files for other runtimes; a bundle as a zip
label/                         bundles in a MONAI Label server
bundle/                        where bundles and weights are; weights that describe themselves; running a config with checks
app/                           `medseg app`: a page to drop pictures on
cli/                           the `medseg` command: parses, calls api/, says how it ended
files/                         text written whole or not at all: tables, Markdown
program/                       quick start-up, log lines, messages, signals; what is installed
============================== ==================================================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers; at run time `__getattr__` imports what is used
    from medseg_monai.api.audit import LabelAudit, audit
    from medseg_monai.api.compare import Comparison, compare
    from medseg_monai.api.correct import Correction, correct
    from medseg_monai.api.datasets import ImageDataset, LabelledCase, load_dataset
    from medseg_monai.api.distill import distill
    from medseg_monai.api.drift import ImageDrift, drift
    from medseg_monai.api.evaluate import Evaluation, evaluate
    from medseg_monai.api.explain import Explanations, explain, list_layers
    from medseg_monai.api.export import ExportedWeights, export
    from medseg_monai.api.plan import plan
    from medseg_monai.api.predict import Predictions, predict
    from medseg_monai.api.prepare import prepare
    from medseg_monai.api.rerun import RepeatedTraining, rerun
    from medseg_monai.api.review import ReviewedWeights, review
    from medseg_monai.api.train import train
    from medseg_monai.api.training import Training
    from medseg_monai.api.tune import TunedWeights, tune
    from medseg_monai.clicks import Box, Click
    from medseg_monai.planning.plan import Plan
    from medseg_monai.prediction import Prediction
    from medseg_monai.predictor import Predictor

__version__ = "0.1.0"
__all__ = [
    "Box",
    "Click",
    "Comparison",
    "Correction",
    "Evaluation",
    "Explanations",
    "ExportedWeights",
    "ImageDataset",
    "ImageDrift",
    "LabelAudit",
    "LabelledCase",
    "Plan",
    "Prediction",
    "Predictions",
    "Predictor",
    "RepeatedTraining",
    "ReviewedWeights",
    "Training",
    "TunedWeights",
    "__version__",
    "audit",
    "compare",
    "correct",
    "distill",
    "drift",
    "evaluate",
    "explain",
    "export",
    "list_layers",
    "load_dataset",
    "plan",
    "predict",
    "prepare",
    "rerun",
    "review",
    "train",
    "tune",
]
_PLACES = {
    "Box": "clicks",
    "Click": "clicks",
    "Comparison": "api.compare",
    "Correction": "api.correct",
    "Evaluation": "api.evaluate",
    "Explanations": "api.explain",
    "ExportedWeights": "api.export",
    "ImageDataset": "api.datasets",
    "ImageDrift": "api.drift",
    "LabelAudit": "api.audit",
    "LabelledCase": "api.datasets",
    "Plan": "planning.plan",
    "Prediction": "prediction",
    "Predictions": "api.predict",
    "Predictor": "predictor",
    "RepeatedTraining": "api.rerun",
    "ReviewedWeights": "api.review",
    "Training": "api.training",
    "TunedWeights": "api.tune",
    "compare": "api.compare",
    "correct": "api.correct",
    "distill": "api.distill",
    "drift": "api.drift",
    "evaluate": "api.evaluate",
    "list_layers": "api.explain",
    "load_dataset": "api.datasets",
    "plan": "api.plan",
    "predict": "api.predict",
    "rerun": "api.rerun",
    "review": "api.review",
    "train": "api.train",
    "tune": "api.tune",
}
_PACKAGES = ("audit", "explain", "export", "prepare")
"""Functions that are packages too, see `medseg_monai.program.callable_package`."""


def __getattr__(name: str) -> object:
    """A name of `__all__`, imported on first use: MONAI takes seconds to import."""
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, imported or not."""
    return sorted({*globals(), *__all__})
