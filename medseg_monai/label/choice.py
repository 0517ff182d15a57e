"""Which image to label next, from a model's uncertainty about each: numbers that MONAI Label stores with the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNUSABLE = -1.0
"""The number of an unreadable image: it is offered last."""


def most_uncertain(known: Mapping[str, Mapping[str, Any]], name: str, strategy: str) -> str:
    """The image with the highest number; among equals the one offered longest ago, then the first by name.

    >>> most_uncertain({"b": {"uncertainty_unet": 0.4}, "a": {"uncertainty_unet": 0.4}, "c": {}}, "unet", "uncertainty")
    'a'
    """

    def order(image: str) -> tuple[float, float, str]:
        info = known[image]
        offered = info.get("strategy", {}).get(strategy, {}).get("ts", 0)
        return (-float(info.get(key(name), UNUSABLE)), float(offered), image)

    return min(known, key=order)


def key(name: str, what: str = "") -> str:
    """The key of the number in an image's information."""
    return f"uncertainty_{name}" + (f"_{what}" if what else "")
