"""Bundles in MONAI Label: `serve` starts a server, `server/` is what runs inside it.

====================== =====================================================================
serve.py               the app's folder, the environment and the command of a server
labels.py              labels as annotators save them and clients show them
names.py               checks of the text in a request: names and JSON
choice.py              which image to label next, from a model's uncertainty about each
server/                runs in MONAI Label's environment: app.py (the app), segment.py (models), learn.py (trainers),
                       active.py (the next image), studies.py and sessions.py (where images are stored); each request passes
                       gate.py, requests.py defines its fields, routes/ handle it
====================== =====================================================================
"""
