"""medseg_monai: medical image segmentation on MONAI. The pipeline, in the order data flows:

prepare/      a raw download -> a folder with dataset.json        dataset.py    that file: read, check, list cases
readers.py    photographs and masks from disk                     transforms.py decode, resize, augment, restore
cache.py      decoded images on disk, seeded sampling             networks/     one file per architecture
losses.py     per task, over several heads                        handlers.py   what training and evaluation do besides
metrics.py    per-case scores                                     scores.py     the table, intervals, files
inference.py  scans in, masks out                                 figures.py    everything drawn
bundle.py     find bundles, weights that describe themselves      cli.py        the `medseg` command
"""

__version__ = "0.1.0"
