"""Loaded bundles. One picture at a time goes through a network: two tabs take turns, and neither waits for the other to finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from medseg_monai.bundle.paths import find_weights, list_bundles, trained_on
from medseg_monai.files.state import FileState, state_of
from medseg_monai.predictor import Predictor

T = TypeVar("T")
MOST_LOADED = 4
_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")


@dataclass(frozen=True)
class Choice:
    """Weights that can be chosen.

    Attributes:
        bundle: its name.
        weights: a data set's name; "" for those that come with the bundle.
    """

    bundle: str
    weights: str = ""

    @property
    def label(self) -> str:
        """How the list calls it."""
        return f"{self.bundle} ({self.weights or 'shipped weights'})"

    @property
    def file(self) -> Path:
        """The weights."""
        return find_weights(next(path for path in list_bundles() if path.name == self.bundle), self.weights or None)


def choices() -> list[Choice]:
    """All weights of all bundles, a bundle's shipped ones first."""
    shipped = "shipped weights"
    return [
        Choice(bundle.name, "" if name == shipped else name) for bundle in list_bundles() for name in trained_on(bundle)
    ]


@lru_cache(MOST_LOADED)
def _loaded(choice: Choice, state: FileState) -> Predictor:
    """The bundle with its weights; `state` is the file's: new weights of the same name are loaded anew."""
    return Predictor(choice.bundle, weights=choice.weights or None, uncertainty=True)


def predictor(choice: Choice) -> Predictor:
    """The bundle, loaded at its first use. Call it in the network's thread.

    Raises:
        FileNotFoundError, ValueError: the bundle or the weights cannot be loaded.
    """
    return _loaded(choice, state_of(choice.file))


async def in_turn(work: Callable[[], T]) -> T:
    """Do something with a network, when it is this one's turn."""
    return await asyncio.get_running_loop().run_in_executor(_worker, work)
