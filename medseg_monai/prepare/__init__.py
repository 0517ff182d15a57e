"""From a raw download to a data set: one module per source, each with a function that writes dataset.json.

isic.py    ISIC 2017 and 2018       folder.py  any folder of images and masks    demo.py    generated pictures
uwmadison.py  MR slices of the UW-Madison competition
patients.py  splits of many slices of few patients
msd.py, amos.py, nifti.py  volumes: the Decathlon, AMOS 2022, any folders    volume_pairs.py  what they share
layouts/   the layouts of folders, detected from their names
pairs.py   matching images and masks  splits.py  training, validation or test    prepared.py  the last step, shared by all
"""

from medseg_monai.program.callable_package import make_callable

make_callable(__name__)
