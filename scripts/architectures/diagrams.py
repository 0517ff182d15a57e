"""Boxes and arrows: a diagram as data, and its drawing with matplotlib.

A diagram is described before it is drawn, so that a picture can be compared with what it ought to show: its description is
stored in the PNG. The primitives are here and not in ``medseg_monai.figures.cases``, since only these figures need them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medseg_monai.figures import drawing
from medseg_monai.files.writing import write_whole

Point = tuple[float, float]  # inches from the lower left corner

DOTS_PER_INCH = 160
COLOURS = 128  # of the PNG's palette: enough for a dozen flat colours with smooth edges
DESCRIPTION = "Description"
INK = "#222222"
HINT = "64 @ 1/2: 64 channels at half the image's width and height"

# Tints of Okabe and Ito's colours: told apart by colour-blind readers, light enough for black text.
TINTS: Mapping[str, drawing.Colour] = {
    "image": (150, 150, 150),
    "encoder": drawing.SKY_BLUE,
    "context": drawing.ORANGE,
    "decoder": drawing.GREEN,
    "attention": drawing.PURPLE,
    "skip": drawing.YELLOW,
    "head": drawing.VERMILLION,
}
LINES: Mapping[str, tuple[str, str]] = {  # colour and line style
    "flow": (INK, "-"),
    "down": ("#008060", "-"),
    "up": ("#d55e00", "-"),
    "skip": ("#0072b2", "--"),
}

STRAIGHT = "arc3,rad=0"
UP_THEN_ACROSS = "angle,angleA=90,angleB=0,rad=0"  # or down
ACROSS_THEN_UP = "angle,angleA=0,angleB=90,rad=0"


@dataclass(frozen=True)
class Box:
    """A stage: its text, centre and size in inches, and its kind (a key of `TINTS`)."""

    text: str
    at: Point
    kind: str
    size: Point


@dataclass(frozen=True)
class Arrow:
    """From box to box.

    Attributes:
        source: name of the box it leaves.
        target: name of the box it enters.
        kind: a key of `LINES`.
        route: a connection style of matplotlib.
    """

    source: str
    target: str
    kind: str = "flow"
    route: str = STRAIGHT


@dataclass
class Diagram:
    """A figure of boxes and arrows.

    Attributes:
        title: stands on top.
        size: width and height, in inches.
        kinds: for the key, a kind of box (several may share one) and what it means.
        lines: what each kind of arrow means.
        boxes: by name.
        arrows: in any order.
    """

    title: str
    size: Point
    kinds: Sequence[tuple[str, str]]
    lines: Mapping[str, str]
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)

    def describe(self) -> str:
        """The whole diagram in words, one line per box and arrow."""
        texts = [self.title, *(text for _, text in self.kinds), *self.lines.values()]
        boxes = [f"{name}: {box.text}" for name, box in self.boxes.items()]
        arrows = [f"{arrow.source} -> {arrow.target} ({arrow.kind})" for arrow in self.arrows]
        return "\n".join(line.replace("\n", ", ") for line in (*texts, *boxes, *arrows))


def draw(diagram: Diagram) -> Figure:
    """The diagram as a figure on white, one unit of its axes an inch."""
    figure = Figure(figsize=diagram.size, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, diagram.size[0]), ylim=(0, diagram.size[1]))
    axes.set_axis_off()
    patches = {name: _draw_box(axes, box) for name, box in diagram.boxes.items()}
    for arrow in diagram.arrows:
        _draw_arrow(axes, arrow, diagram.boxes, patches)
    axes.text(0.12, diagram.size[1] - 0.12, diagram.title, ha="left", va="top", fontsize=12, color=INK)
    axes.text(diagram.size[0] - 0.12, diagram.size[1] - 0.12, HINT, ha="right", va="top", fontsize=9, color=INK)
    kinds = [Patch(facecolor=_tint(kind), edgecolor=INK, label=text) for kind, text in diagram.kinds]
    lines = [
        Line2D([], [], color=LINES[kind][0], ls=LINES[kind][1], label=text) for kind, text in diagram.lines.items()
    ]
    figure.legend(
        handles=kinds, loc="lower left", bbox_to_anchor=(0, 0.25 / diagram.size[1]), frameon=False, fontsize=9
    )
    figure.legend(handles=lines, loc="lower left", ncols=len(lines), frameon=False, fontsize=9)
    return figure


def write_png(diagram: Diagram, path: Path) -> None:
    """Draw into a PNG of few colours that holds the diagram's description."""
    raw, png = io.BytesIO(), io.BytesIO()
    draw(diagram).savefig(raw, dpi=DOTS_PER_INCH, format="png")
    facts = PngInfo()
    facts.add_itxt(DESCRIPTION, diagram.describe())
    Image.open(raw).convert("RGB").quantize(COLOURS).save(png, format="png", optimize=True, pnginfo=facts)
    write_whole(path, png.getvalue())


def read_description(path: Path) -> str:
    """What a PNG by `write_png` shows."""
    with Image.open(path) as picture:
        picture.load()
        return str(picture.info.get(DESCRIPTION, ""))


def _draw_box(axes: Axes, box: Box) -> FancyBboxPatch:
    (x, y), (width, height) = box.at, box.size
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.06"
    patch = FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=_tint(box.kind), edgecolor=INK, zorder=3)
    axes.add_patch(patch)
    axes.text(x, y, box.text, ha="center", va="center", fontsize=9, color="black", linespacing=1.25, zorder=4)
    return patch


def _draw_arrow(axes: Axes, arrow: Arrow, boxes: Mapping[str, Box], patches: Mapping[str, FancyBboxPatch]) -> None:
    colour, style = LINES[arrow.kind]
    drawn = FancyArrowPatch(
        boxes[arrow.source].at,
        boxes[arrow.target].at,
        patchA=patches[arrow.source],
        patchB=patches[arrow.target],
        shrinkA=0,
        shrinkB=1.5,
        connectionstyle=arrow.route,
        arrowstyle="-|>",
        mutation_scale=11,
        linewidth=1.3,
        linestyle=style,
        color=colour,
        zorder=2,
    )
    axes.add_patch(drawn)


def _tint(kind: str) -> Point | tuple[float, ...]:
    """A light version of the kind's colour."""
    return tuple((0.45 * value + 0.55 * 255) / 255 for value in TINTS[kind])
