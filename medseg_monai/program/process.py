"""Whose process this is: the `medseg` program's, or that of a Python program that uses this package."""

from __future__ import annotations

import os
from contextvars import ContextVar

IS_PROGRAM: ContextVar[bool] = ContextVar("IS_PROGRAM", default=False)
"""Whether it is the `medseg` program's: it then does one thing, and bundles may set up its logging, as MONAI lets them."""


def take_huge_pages() -> None:
    """Let torch take memory for large maps in pages of 2 MB, if Linux offers them; the user's own ``THP_MEM_ALLOC_ENABLE`` remains.

    To be called before torch takes any memory. In a 3D network a seventh of the time and more is otherwise spent on getting its maps'
    memory, in pages of 4 kB (benchmarks/windows.py). Not for training, whose peak memory would grow by up to a sixth.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
