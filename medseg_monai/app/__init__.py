"""`medseg app`: a page on this machine to drop pictures on. Needs the extra ``app`` (NiceGUI).

=============== ======================================================================================
guard.py        who may talk to the server: this machine's browser, with the token, from the page itself
received.py     what was dropped: stored under safe names, zips unpacked, within bounds
network.py      loaded bundles, one picture at a time, from all tabs
views.py        an image as it is looked at: a photograph, or a volume slice by slice
maps.py         probabilities, uncertainty, CAM and Grad-CAM
opened.py       a case on the page: its mask, what was corrected, and the way back
layers.py       what the viewer puts on top of one another: picture, fill, outline, maps
saving.py       the files of a case, as `medseg predict` writes them
commands.py     the commands that do the same as the page
jobs.py         commands that take long, as processes of their own
trainings.py    training on corrections: the plan, the curves, the new weights
scoring.py      dropped images against true masks
files.py        the addresses from which the browser fetches pictures and to which it sends files
tab.py          what one tab works on
page/           what the browser shows
serve.py        the server, and the browser
=============== ======================================================================================
"""
