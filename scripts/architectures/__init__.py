"""The figures and cost tables of the model cards; `scripts/draw_architectures.py` makes them."""
