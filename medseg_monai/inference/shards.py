"""The images of a run divided among several processes, on one machine or many."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import main_file
from medseg_monai.images.slices import slice_file
from medseg_monai.inference.case_list import CaseList, chosen


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of a run's images.

    Args:
        number: its number, from 1.
        of: how many there are.
        launched: whether ``torchrun`` started this process: it ends all others when one ends with an error.

    Raises:
        ValueError: there is no such shard.
    """

    number: int = 1
    of: int = 1
    launched: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"shard {self.number}/{self.of}: the first number goes from 1 to the second")

    @classmethod
    def of_process(cls, text: str = "") -> Shard:
        """The shard named by a text, ``2/8``; without one that of a process which ``torchrun`` started, else everything.

        Raises:
            ValueError: the text names no shard.
        """
        if text:
            found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", str(text), re.ASCII)
            if not found:
                raise ValueError(f"shard must be NUMBER/COUNT, such as 2/8, not {text!r}")
            return cls(int(found[1]), int(found[2]))
        if "TORCHELASTIC_RUN_ID" in os.environ:
            return cls(int(os.environ["RANK"]) + 1, int(os.environ["WORLD_SIZE"]), launched=True)
        return cls()

    @property
    def is_whole(self) -> bool:
        """Whether this is everything."""
        return self.of == 1

    @property
    def name(self) -> str:
        """As part of a file's name, ``2-of-8``; empty for everything."""
        return "" if self.is_whole else f"{self.number}-of-{self.of}"

    def select(self, cases: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The cases of this shard: every n-th one, counting the slices of a stack as one, since they become one volume.

        >>> [case["image"] for case in Shard(2, 2).select([{"image": name} for name in ("a.png", "b.png", "c.png")])]
        ['b.png']
        """
        if self.is_whole:
            return cases
        numbers: dict[str, int] = {}
        count = 0
        places = array("L")
        for place, case in enumerate(cases):
            image = main_file(case["image"])
            stack = str(Path(image).parent) if slice_file(Path(image)) else ""
            # a list of cases found in folders has no image twice: only stacks need be remembered
            number = count if not stack and isinstance(cases, CaseList) else numbers.setdefault(stack or image, count)
            count += number == count
            if number % self.of == self.number - 1:
                places.append(place)
        return chosen(cases, places)

    def __str__(self) -> str:
        return f"shard {self.number}/{self.of}"
