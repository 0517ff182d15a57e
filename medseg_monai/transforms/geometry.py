"""Where a photograph lies in the network's input: the one rule that `load` follows forwards and `restore` backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from medseg_monai.dataset.spec import DatasetSpec


class Box(NamedTuple):
    """The photograph's rectangle in the network's input, in its pixels: first column and row, width and height."""

    x: int
    y: int
    width: int
    height: int


def content_box(original_size: Sequence[int], spec: DatasetSpec) -> Box:
    """The rectangle that a photograph of `original_size` (width, height) fills in an input of ``spec.size``.

    ``stretch`` fills the input, changing the aspect ratio. ``pad`` keeps it: the picture is centred, bars
    of 0 lie left and right of it or above and below. Without a ``spec.size`` the picture stays as it is.

    >>> from medseg_monai.dataset.spec import DatasetSpec
    >>> spec = DatasetSpec(name="x", task="binary", classes=("a",), channels=("grey",), size=(64, 64),
    ...     aspect="pad")
    >>> content_box((200, 100), spec)
    Box(x=0, y=16, width=64, height=32)
    """
    if spec.spatial_dims != 2:
        raise ValueError(f"photographs have 2 axes, the spec of {spec.name!r} has {spec.spatial_dims}")
    width, height = (int(side) for side in original_size)
    if spec.size is None:
        return Box(0, 0, width, height)
    full_width, full_height = spec.size
    if spec.aspect == "stretch":
        return Box(0, 0, full_width, full_height)
    scale = min(full_width / width, full_height / height)
    inner_width = min(full_width, max(1, round(width * scale)))
    inner_height = min(full_height, max(1, round(height * scale)))
    return Box((full_width - inner_width) // 2, (full_height - inner_height) // 2, inner_width, inner_height)
