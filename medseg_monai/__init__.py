"""medseg_monai: medical image segmentation on MONAI. The pipeline, in the order data flows:

============================== ==================================================================================
prepare/                       a raw download -> a folder with dataset.json
dataset/                       what a network must know about a data set, its cases, and the file with both
images/                        photographs, masks, slices and volumes, from disk and back
transforms/                    to the network's grid, random changes, and back to the scan's own grid
networks/                      one file per architecture
training/                      caching and sampling of cases, losses, schedules, handlers
inference/, engines/           from images to answers; the engines: torch, ONNX Runtime, OpenVINO
predictor.py                   a bundle as a function of images
clicks/                        a mask corrected by clicks and boxes
outputs/, formats/             the files of a prediction: masks, volumes, tables; polygons, COCO, DICOM-SEG
evaluation/                    scores of a case, means with intervals, comparisons
tuning/                        settings chosen on validation cases: cleaning of masks, and which a person should look at
explain/                       CAM and Grad-CAM of a segmentation, and whether the maps can be trusted
figures/, report/              pictures and plots; evaluations and explanations as one HTML file
export/                        files for other runtimes; a bundle as a zip
label/                         bundles in a MONAI Label server
bundle/                        where bundles and weights are; weights that describe themselves; running a config with checks
cli/                           the `medseg` command
files/                         text written whole or not at all: tables, Markdown
program/                       quick start-up, log lines, messages, signals; what is installed
============================== ==================================================================================
"""

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> object:
    """`Predictor`, imported on first use: it imports MONAI, which takes seconds."""
    if name == "Predictor":
        from medseg_monai.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
