"""Bundles in MONAI Label: `serve` starts a server, `server/` is what runs inside it.

====================== =====================================================================
serve.py               the app's folder, the environment and the command of a server
labels.py              labels as annotators save them and clients show them
choice.py              which image to label next, from how unsure a model is of each
server/                runs where MONAI Label is installed: app.py (what is offered), segment.py (models), learn.py (trainers),
                       active.py (the next image)
====================== =====================================================================
"""
