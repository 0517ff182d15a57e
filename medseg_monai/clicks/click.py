"""What a person says about a mask: this pixel is inside, that one is not; the object lies in this box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from medseg_monai.program.messages import did_you_mean

Index = tuple[int, ...]


@dataclass(frozen=True)
class Click:
    """A pixel or voxel that a person has judged. Whole numbers, counted from 0 at the top left.

    Attributes:
        row: of the picture; in a volume the second index, j.
        column: of the picture; in a volume the first index, i.
        inside: whether the pixel belongs to the class.
        slice: of a volume: its third index, k.
        class_name: which class. May be left out if there is only one. Without it, a click that is not inside says of exclusive classes that
            the pixel is background.
    """

    row: int
    column: int
    inside: bool = True
    slice: int | None = None
    class_name: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("row", self.row), ("column", self.column), ("slice", self.slice)):
            if value is not None or name != "slice":
                _check_whole(f"a click's {name}", value)

    @classmethod
    def at(cls, index: Sequence[int], *, inside: bool = True, class_name: str | None = None) -> Click:
        """The click with an index in a mask: the inverse of `index`."""
        if len(index) == 2:
            return cls(index[0], index[1], inside, class_name=class_name)
        return cls(index[1], index[0], inside, index[2], class_name=class_name)

    def index(self, shape: Sequence[int]) -> Index:
        """The click's index in a mask: (row, column), in a volume (column, row, slice), as masks are (H, W) and (I, J, K).

        Raises:
            ValueError: the click lies outside, or has a slice in a photograph, or none in a volume.
        """
        place = (self.row, self.column) if self.slice is None else (self.column, self.row, self.slice)
        if len(place) != len(shape):
            raise ValueError(
                f"{self.where}: in a volume a click needs a slice"
                if len(shape) == 3
                else f"{self.where}: a photograph has no slices"
            )
        if not all(0 <= at < side for at, side in zip(place, shape, strict=True)):
            raise ValueError(f"{self.where}: outside the image, which has {_sides(shape)}, counted from 0")
        return place

    @property
    def where(self) -> str:
        """The click in words, for messages."""
        return f"click at row {self.row}, column {self.column}" + (
            "" if self.slice is None else f", slice {self.slice}"
        )


@dataclass(frozen=True)
class Box:
    """A rectangle or cuboid that a class just fits into: nothing of it lies outside, and it reaches every side.

    Attributes:
        first: row and column of its first pixel; in a volume row, column and slice.
        last: of its last pixel, which belongs to the box.
        class_name: which class; may be left out if there is only one.
    """

    first: Index
    last: Index
    class_name: str | None = None

    def __post_init__(self) -> None:
        if len(self.first) != len(self.last) or len(self.first) not in (2, 3):
            raise ValueError(f"a box needs two corners of 2 or 3 numbers each, got {self.first} and {self.last}")
        for value in (*self.first, *self.last):
            _check_whole("a box's corner", value)
        if any(low > high for low, high in zip(self.first, self.last, strict=True)):
            raise ValueError(f"a box's first corner must not lie behind its last one, got {self.first} and {self.last}")

    def corners(self, shape: Sequence[int]) -> tuple[Index, Index]:
        """The first and the last pixel as indices of a mask.

        Raises:
            ValueError: the box reaches beyond the image.
        """
        try:
            return _at(self.first).index(shape), _at(self.last).index(shape)
        except ValueError as error:
            raise ValueError(f"box, {error}") from None


def class_number(name: str | None, classes: Sequence[str], what: str) -> int:
    """Position of a class among `classes`.

    Raises:
        ValueError: there is no such class, or there are several and none was named.
    """
    if name is None and len(classes) == 1:
        return 0
    if name is None:
        raise ValueError(f"{what}: say which class is meant: {', '.join(classes)}")
    if name not in classes:
        raise ValueError(f"{what}: no class {name!r}{did_you_mean(name, classes)}")
    return list(classes).index(name)


def said_of_classes(
    clicks: Sequence[Click], shape: Sequence[int], classes: Sequence[str], *, exclusive: bool
) -> dict[int, dict[Index, bool]]:
    """For each class that clicks concern, index in the mask -> whether the class is there, in the order of the indices.

    Where classes exclude each other, what is inside one of them is outside all others.

    Raises:
        ValueError: a click is outside the image, names no class, or contradicts another.
    """
    said: dict[int, dict[Index, bool]] = {}
    for click in clicks:
        index = click.index(shape)
        everywhere = exclusive and not click.inside and click.class_name is None
        number = None if everywhere else class_number(click.class_name, classes, click.where)
        concerned = range(len(classes)) if everywhere or (exclusive and click.inside) else [number or 0]
        for other in concerned:
            inside = click.inside and other == number
            points = said.setdefault(other, {})
            if points.setdefault(index, inside) != inside:
                raise ValueError(f"{click.where}: another click says the opposite of the same pixel; undo one of them")
    return {number: dict(sorted(points.items())) for number, points in sorted(said.items())}


def _at(corner: Index) -> Click:
    """A box's corner as a click: one way to check a place."""
    row, column, *rest = corner
    return Click(row, column, slice=rest[0] if rest else None)


def _check_whole(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{what} must be a whole number, got {value!r}")


def _sides(shape: Sequence[int]) -> str:
    if len(shape) == 2:
        return f"{shape[0]} rows and {shape[1]} columns"
    return f"{shape[1]} rows, {shape[0]} columns and {shape[2]} slices"
