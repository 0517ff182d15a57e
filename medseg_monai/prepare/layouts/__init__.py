"""Common layouts of data sets, one file each: from the contents of a folder to images with their masks.

contents.py  a layout's input and result    choose.py  which layout a folder has    pattern.py  one that the user describes
nnunet.py, totalsegmentator.py, brats.py  volumes (nnU-Net: pictures too)    voc.py, vessels.py, glas.py, coco.py, labelme.py  pictures
names.py  all others, by the words in their names    drawn.py  masks drawn from outlines
"""

from medseg_monai.prepare.layouts.choose import read_layout
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents

__all__ = ["Drawing", "FolderContents", "read_layout"]
