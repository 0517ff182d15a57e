"""Whose process this is: the `medseg` program's, or that of a Python program that uses this package."""

from __future__ import annotations

from contextvars import ContextVar

IS_PROGRAM: ContextVar[bool] = ContextVar("IS_PROGRAM", default=False)
"""Whether it is the `medseg` program's: it then does one thing, and bundles may set up its logging, as MONAI lets them."""
