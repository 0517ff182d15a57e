"""medseg_monai: medical image segmentation on MONAI. The pipeline, in the order data flows:

============================== ==================================================================================
prepare/                       a raw download -> a folder with dataset.json
dataset/                       what a network must know of a data set, its cases, and the file that holds both
images/                        photographs, masks, slices and volumes, from disk and back
transforms/                    to the network's grid, random changes, and the way back to the scan's own grid
networks/                      one file per architecture
training/                      cases kept and drawn, losses, schedules, handlers
inference/, engines/           images in, answers out; what computes them: torch, ONNX Runtime, OpenVINO
predictor.py                   a bundle as a function of images
outputs/, formats/             what prediction writes: masks, volumes, tables; polygons, COCO, DICOM-SEG
evaluation/                    scores of a case, means with intervals, comparisons
tuning/                        what validation cases decide: cleaning of masks, and which a person should look at
explain/                       CAM and Grad-CAM of a segmentation, and whether the maps are worth anything
figures/, report/              what is drawn; evaluations and explanations as one HTML file
export/                        files for other runtimes; a bundle as a zip
label/                         bundles in a MONAI Label server
bundle/                        where bundles and weights lie; weights that describe themselves; a config run, checked
cli/                           the `medseg` command
files/                         text written whole or not at all: tables, Markdown
program/                       quick to start, log lines, messages, signals; what is installed
============================== ==================================================================================
"""

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> object:
    """`Predictor`, imported when it is asked for: it takes MONAI along, which takes seconds."""
    if name == "Predictor":
        from medseg_monai.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
