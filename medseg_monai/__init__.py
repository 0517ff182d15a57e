"""medseg_monai: medical image segmentation on MONAI. The pipeline, in the order data flows:

====================================== ==========================================================================
prepare/                               a raw download -> a folder with dataset.json
spec.py, dataset.py, cases.py, leaks.py what a network must know of a data set; its file, its cases, its leaks
readers.py, masks.py                   photographs and masks, from disk and back
volumes.py, grid.py                    volumes and label volumes, from disk and back: nifti.py, itk_files.py, dicom.py
geometry.py, intensity.py, transforms.py decode, resize, normalise; postprocess.py is the way back
volume_geometry.py, volume_transforms.py volumes on the network's grid; volume_restore.py is the way back
slices.py, stack_transforms.py         a scan's slices by their names; neighbours as channels (2.5D)
augmentation.py, augment.py            the random half: what is drawn, and its one warp; volume_augment.py: patches
cache.py, diskcache.py, sampling.py    decoded images kept on disk; which cases an epoch shows
networks/, losses.py                   one file per architecture; losses per task, over several heads
handlers.py                            what training does besides: keep weights, clip, stop, record
inference.py, outputs.py               scans in, in the right precision; what is written for each
engines/, agreement.py                 torch, ONNX Runtime, OpenVINO, held against plain float32; startup.py
averaging.py, uncertainty.py           mirrored views and several networks as one; how sure they are
review.py, review_run.py               which predictions a person should look at
formats/, prediction_tables.py         polygons, COCO, DICOM-SEG; the tables of a run
predictor.py                           a bundle as a function of images
volume_inference.py, memory.py         whole volumes window by window; patch and batch that fit a budget
volume_scans.py, volume_outputs.py     volumes to segment; their label maps and millilitres (label_names.py)
slice_outputs.py, submission.py, rle.py slices as a volume, and as run lengths
cleaning.py                            thresholds per class; small components, holes and isolated slices
metrics.py, surfaces.py, hausdorff.py  scores of a case; distances between surfaces
scan_scores.py, selection.py           scores of scans from their slices; which score picks the best epoch
tuning.py, tuning_cases.py, tuning_run.py cleaning chosen on validation cases
scoring.py, summary.py, scores.py      the evaluation: case by case (volume_scoring.py), means with intervals, its files
compare.py, significance.py            several evaluations in one table, with a paired test
drawing.py, figures.py, plots.py       masks drawn into pictures; figures of cases; plots of numbers
axial.py, overlap.py                   volumes as slices to look at; which class was taken for which
case_pictures.py, histogram.py         the cases worth a look, and the distributions, of a report
report.py, explanation_report.py       one HTML file (page.py, templates/) of an evaluation or of explanations
tensorboard.py                         what TensorBoard shows of a training
explain.py, explain_layers.py          CAM and Grad-CAM of a class's mean logit over a region; a network's layers
explain_regions.py, explain_grid.py    which region; to the network's grid and back
explain_cases.py, explain_files.py     explanations of many scans: maps, panels (explain_figures.py), table
faithfulness.py, explain_checks.py     are maps worth anything; what they are checked by (explain_plots.py)
convert.py, export.py, exported.py     files for other runtimes, checked against torch, and opened again
metadata.py, package.py, check.py      metadata.json; a bundle as a zip; the model zoo's rules
label/                                 bundles in a MONAI Label server
trained.py, bundle.py                  weights that describe themselves; find them, and bundles
schedules.py, workflow.py              the learning rate over a run; run a config, checked
cli/, doctor.py                        the `medseg` command
====================================== ==========================================================================
"""

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> object:
    """`Predictor`, imported when it is asked for: it takes MONAI along, which takes seconds."""
    if name == "Predictor":
        from medseg_monai.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
