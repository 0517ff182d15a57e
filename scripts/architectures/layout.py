"""Where the boxes of a network's figure stand: the further right, the later; the further down, the coarser. Nothing is placed by hand."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import cycle

from torch import nn

from architectures.diagrams import ACROSS_THEN_UP, STRAIGHT, TINTS, UP_THEN_ACROSS, Arrow, Box, Diagram
from architectures.facts import as_label, example
from architectures.tracing import IMAGE, Stage, trace

ROW = 0.8  # inches from box to box, downwards
GAP, LETTER = 0.2, 0.068  # between boxes; a letter's width
MARGIN, TITLE, KEY_LINE = 0.3, 0.9, 0.2
HEIGHT, LEAST_WIDTH = 0.48, 10.0
ABOVE = -1.4  # the row of heads that have no place in their own, clear of the arcs there
LINES = {"flow": "data flow", "down": "to a coarser map", "up": "to a finer map", "skip": "skip connection"}
LONGEST = 120  # letters of a line in the key
COLOURS = [kind for kind in TINTS if kind != IMAGE]
Place = tuple[int, float]  # column, row


def diagram_of(network: nn.Module, title: str) -> Diagram:
    """The figure of a network, as it runs."""
    stages = trace(network)
    picture = tuple(example(network).shape[1:])
    places = _places(stages, side=picture[-1])
    texts = {name: f"{short(name)}\n{as_label(stage.shape)}" for name, stage in stages.items()}
    texts[IMAGE] = f"{IMAGE}\n{as_label(picture)}"
    meanings = {name: describe(stage.module) for name, stage in stages.items()}
    colours = dict(zip(dict.fromkeys(meanings.values()), cycle(COLOURS), strict=False))

    box = (LETTER * max(len(line) for text in texts.values() for line in text.split("\n")) + 0.1, HEIGHT)
    column = box[0] + GAP
    first, last = min(row for _, row in places.values()), max(row for _, row in places.values())
    top = MARGIN + KEY_LINE * (len(colours) + 2) + HEIGHT / 2 + ROW * (last - first)
    width = max(LEAST_WIDTH, 2 * MARGIN + box[0] + column * max(across for across, _ in places.values()))
    boxes = {}
    for name, (across, row) in places.items():
        at = (MARGIN + box[0] / 2 + column * across, top - ROW * (row - first))
        boxes[name] = Box(texts[name], at, IMAGE if name == IMAGE else colours[meanings[name]], box)
    arrows = list(_arrows(stages, places, column))
    lines = {kind: text for kind, text in LINES.items() if any(arrow.kind == kind for arrow in arrows)}
    kinds = [(colour, text) for text, colour in colours.items()]
    return Diagram(title, (width, top + HEIGHT / 2 + TITLE), kinds, lines, boxes, arrows)


def _places(stages: Mapping[str, Stage], *, side: int) -> dict[str, Place]:
    """Column and row of each stage: a column further than what it is made of, in the row of its map's size.

    A head, which nothing follows, stands there too, or all heads stand on top if one of them would be in the way of what comes later.
    """
    sides = sorted({side, *(stage.shape[-1] for stage in stages.values())}, reverse=True)
    followed = {source for stage in stages.values() for source in stage.sources}
    places: dict[str, Place] = {IMAGE: (0, 0)}
    ordered = [*(name for name in stages if name in followed), *(name for name in stages if name not in followed)]
    for name in ordered:
        stage = stages[name]
        column, row = 1 + max(places[source][0] for source in stage.sources), sides.index(stage.shape[-1])
        while (column, row) in places.values():
            column += 1
        places[name] = (column, row)
    inner = [place for name, place in places.items() if name in followed]
    heads = [name for name in stages if name not in followed]
    if any(row == places[name][1] and column > places[name][0] for name in heads for column, row in inner):
        places |= {name: (max(places[source][0] for source in stages[name].sources), ABOVE) for name in heads}
    return places


def _arrows(stages: Mapping[str, Stage], places: Mapping[str, Place], width: float) -> Iterator[Arrow]:
    """From each stage's sources: around the boxes between, over them in a row, with a corner if rows lie between."""
    for name, stage in stages.items():
        for source in sorted(stage.sources, key=list(places).index):
            (start, start_row), (end, end_row) = places[source], places[name]
            route = STRAIGHT
            if start_row == end_row and any(row == end_row and start < c < end for c, row in places.values()):
                route = arc_over(end - start, width)
            elif end_row - start_row > 1:
                route = UP_THEN_ACROSS
            elif start_row - end_row > 1 and end > start:
                route = ACROSS_THEN_UP
            yield Arrow(source, name, _kind(places[source], places[name]), route)


def _kind(source: Place, target: Place) -> str:
    if source[1] == target[1] or target[1] == ABOVE:
        return "skip" if target[0] - source[0] > 1 else "flow"
    return "down" if target[1] > source[1] else "up"


def arc_over(columns: int, width: float) -> str:
    """A connection over so many columns, the higher the further it goes."""
    return f"arc3,rad={-2 * (0.36 + 0.05 * (columns - 2)) / (width * columns)}"


def short(name: str) -> str:
    """A module's name for its box: without what it lies in, unless it is a mere number there.

    >>> short("encoder.stages.0"), short("nodes.x_0_1"), short("head")
    ('stages.0', 'x_0_1', 'head')
    """
    parts = name.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() else parts[-1]


def describe(module: nn.Module) -> str:
    """What a kind of module is, for the key: its name and its docstring's first sentence; of a sequence the names of its parts.

    >>> describe(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    '1×1 convolution'
    """
    if type(module) is nn.Sequential:
        return ", ".join(dict.fromkeys(_name(part) for part in module if any(True for _ in part.parameters())))
    if not type(module).__module__.startswith("medseg_monai."):
        return _name(module)
    paragraph = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<!Fig)\. ", paragraph)[0].rstrip(".")
    if not sentence[1:2].isupper():  # an abbreviation
        sentence = sentence[:1].lower() + sentence[1:]
    text = f"{_name(module)}: {sentence}" if sentence else _name(module)
    return textwrap.shorten(text, LONGEST, placeholder=" …")


def _name(module: nn.Module) -> str:
    """Its class's; of a convolution the size."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        return f"{'×'.join(map(str, module.kernel_size))} convolution"
    return type(module).__name__
