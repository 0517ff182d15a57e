"""Bundles in MONAI Label: `serve` starts a server, `server/` is what runs inside it.

====================== =====================================================================
serve.py               the app's folder, the environment and the command of a server
labels.py              labels as annotators save them and clients show them
names.py               what a request brings as text: names and JSON, checked
choice.py              which image to label next, from how unsure a model is of each
server/                runs in MONAI Label's environment: app.py (what is offered), segment.py (models), learn.py (trainers),
                       active.py (the next image), studies.py and sessions.py (where images lie); each request passes gate.py,
                       requests.py says what its fields may be, routes/ what is done
====================== =====================================================================
"""
