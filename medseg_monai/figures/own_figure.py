"""Matplotlib's figure, drawn without a display and without pyplot's global state; it imports matplotlib."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class OwnFigure(Figure):
    """A figure that notebooks show: of a plain one they show its name, unless somebody has imported pyplot."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows."""
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()
