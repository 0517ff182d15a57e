"""The outlines of a mask, including holes, as polygons that follow the edges of pixels.

Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), y downwards: the polygon of that one pixel has these four corners, and the
interior of its polygons is exactly the mask. An outline runs with the mask on its left if y is drawn upwards (positive area by the
shoelace formula), a hole the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

Point = tuple[int, int]
Ring = list[Point]


@dataclass(frozen=True)
class Polygon:
    """One connected part of a mask (pixels that share an edge).

    Attributes:
        outline: its corners, the first not repeated at the end; no three consecutive ones are collinear.
        holes: the outlines of its holes.
    """

    outline: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def area(self) -> int:
        """Area in pixels, without holes."""
        return signed_area(self.outline) + sum(signed_area(hole) for hole in self.holes)


def signed_area(ring: Ring) -> int:
    """Area inside a ring by the shoelace formula: above 0 for outlines, below for holes.

    >>> signed_area([(0, 0), (2, 0), (2, 1), (0, 1)])
    2
    """
    following = [*ring[1:], ring[0]]
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(ring, following, strict=True)) // 2


def polygons(mask: NDArray[np.generic]) -> list[Polygon]:
    """The polygons of a (W, H) mask, in the order in which its rows reach them.

    No ring intersects itself: parts that touch at a corner are separate, and a hole that touches its outline at a corner is a hole.

    >>> polygons(np.ones((2, 1)))
    [Polygon(outline=[(0, 0), (2, 0), (2, 1), (0, 1)], holes=())]
    """
    inside = np.zeros((mask.shape[1] + 2, mask.shape[0] + 2), np.bool_)  # rows, columns, with an empty frame
    inside[1:-1, 1:-1] = mask.T
    numbers, _ = label(inside)  # pixels that share an edge, numbered row by row
    rings: dict[int, list[Ring]] = defaultdict(list)
    for part, corners in _closed_walks(inside, numbers):
        rings[part] += [_without_straight(ring) for ring in _split(corners)]
    found = []
    for part in sorted(rings):
        outlines = [ring for ring in rings[part] if signed_area(ring) > 0]
        holes = tuple(ring for ring in rings[part] if signed_area(ring) < 0)
        found.append(Polygon(outlines[0], holes))
    return found


def _closed_walks(inside: NDArray[np.bool_], numbers: NDArray[np.int32]) -> list[tuple[int, Ring]]:
    """Closed walks along pixel edges with the mask on the left, each with the number of its part."""
    ahead: dict[Point, list[tuple[Point, Point]]] = defaultdict(list)  # corner -> (next corner, the edge's pixel)
    # neighbour that must be empty (dy, dx); where the edge begins and ends, from the pixel's own corner (dx, dy)
    for (dy, dx), begin, end in (
        ((-1, 0), (0, 0), (1, 0)),
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        ys, xs = np.nonzero(inside & ~np.roll(inside, (-dy, -dx), axis=(0, 1)))
        for y, x in zip((ys - 1).tolist(), (xs - 1).tolist(), strict=True):
            ahead[x + begin[0], y + begin[1]].append(((x + end[0], y + end[1]), (x, y)))
    walks = []
    for first in sorted(ahead, key=lambda corner: (corner[1], corner[0])):
        while ahead[first]:
            corner, pixel = ahead[first].pop()
            part, walk = int(numbers[pixel[1] + 1, pixel[0] + 1]), [first]
            while corner != first or (ahead[corner] and _same_pixel(ahead[corner], pixel) is not None):
                walk.append(corner)
                choices = ahead[corner]
                # if two pixels touch at a corner, the walk stays with its pixel's part
                index = _same_pixel(choices, pixel) or 0
                corner, pixel = choices.pop(index)
            walks.append((part, walk))
    return walks


def _same_pixel(choices: list[tuple[Point, Point]], pixel: Point) -> int | None:
    """The edge of this pixel among those that leave a corner."""
    return next((index for index, (_, owner) in enumerate(choices) if owner == pixel), None)


def _split(walk: Ring) -> list[Ring]:
    """A walk that passes a corner twice, divided into rings that do not."""
    rings: list[Ring] = []
    path: Ring = []
    seen: dict[Point, int] = {}
    for corner in walk:
        if corner in seen:
            start = seen[corner]
            rings.append(path[start:])
            for left in path[start + 1 :]:
                del seen[left]
            del path[start + 1 :]
        else:
            seen[corner] = len(path)
            path.append(corner)
    return [*rings, path]


def _without_straight(ring: Ring) -> Ring:
    """Only the corners at which the ring turns."""
    before, after = [ring[-1], *ring[:-1]], [*ring[1:], ring[0]]
    return [here for last, here, following in zip(before, ring, after, strict=True) if not _on_a_line(last, following)]


def _on_a_line(last: Point, following: Point) -> bool:
    return last[0] == following[0] or last[1] == following[1]
