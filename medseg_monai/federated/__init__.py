"""Federated training: several sites train one network together; weights travel, images and labels stay where they are.

What happens at a site (`site.py`) and at the server (`server.py`), what they agree on (`agreement.py`) and what they exchange
(`weights.py`) need no framework. `flare/` connects them to NVFlare, `job.py` writes what NVFlare runs, and `simulate.py` runs it on
one machine.
"""
