"""Memory that is freed is kept for the next step, on Linux with glibc.

glibc returns large blocks to the system as soon as they are freed. A training step then gets the same blocks anew for each map, and the
system clears them page by page: half a million pages in a step of a 3D U-Net, a quarter of its time (`benchmarks/freed_memory.py`). Kept
blocks cost memory, a fifth more for that network, and one that lies between two others in use serves nobody; so training returns them at
the end of an epoch, and ends the keeping when it is over. Programs whose blocks differ from one to the next would gain little and could
grow.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names for settings of `mallopt`, from malloc.h."""
LARGEST_KEPT = 256 * 2**20
"""Bytes of the largest block that is kept: larger ones, such as whole volumes, go back to the system when they are freed."""
LARGEST_IN_OLD = 32 * 2**20
"""The most that versions of glibc before 2.35 accept."""
NEVER = 2**31 - 1
"""Bytes at the end of the heap from which it is shortened: the largest number that fits."""
USUAL_MAPPED, USUAL_TRIM = 32 * 2**20, 64 * 2**20
"""What glibc's own rule comes to in a program that has freed large blocks: the most that it lets these two grow to by itself."""
CHOSEN_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which somebody has chosen."""


def _glibc() -> Any:
    """The C library of this process if it is glibc, else None."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _adjustable() -> Any:
    """`_glibc`, unless somebody has chosen."""
    return None if any(name in os.environ for name in CHOSEN_BY_USER) else _glibc()


def keep_freed_memory() -> bool:
    """Keep freed blocks of this process for its next step; return whether that is so.

    Nothing changes with another C library, or if the environment (`CHOSEN_BY_USER`) says how freed memory is to be treated.
    """
    glibc = _adjustable()
    if glibc is None:
        return False
    kept = any(glibc.mallopt(M_MMAP_THRESHOLD, size) for size in (LARGEST_KEPT, LARGEST_IN_OLD))
    return bool(kept and glibc.mallopt(M_TRIM_THRESHOLD, NEVER))


def return_freed_memory() -> None:
    """Give back what has been kept so far, so that what is in use can be measured; later blocks are kept again."""
    glibc = _adjustable()
    if glibc is not None:
        glibc.malloc_trim(0)


def end_keeping() -> None:
    """Give back what has been kept, and keep no more than glibc does by itself."""
    glibc = _adjustable()
    if glibc is not None:
        glibc.mallopt(M_MMAP_THRESHOLD, USUAL_MAPPED)
        glibc.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
        glibc.malloc_trim(0)
