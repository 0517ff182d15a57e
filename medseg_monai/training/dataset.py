"""The data set that a training works on: opened and checked, its cases shared out, its size as wanted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset
from medseg_monai.grids.kinds import kind_of

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind

logger = logging.getLogger(__name__)


def open_dataset(
    dataset_dir: str | Path | None, *, demo: Kind = "dermoscopy", demo_dir: str | Path | None = None
) -> Dataset:
    """The data set to work on, checked; with none named, a generated demo, announced loudly.

    Args:
        dataset_dir: its folder.
        demo: kind of the demo, see `medseg_monai.prepare.demo`.
        demo_dir: where the demo is kept; ``data/demo`` for photographs, ``data/demo_<kind>`` for the others.

    Raises:
        FileNotFoundError, ValueError: as `read_dataset` and `check_dataset` say: before any training, not in the middle of it.
    """
    if dataset_dir:
        dataset = read_dataset(Path(dataset_dir))
        check_dataset(dataset)
        return dataset
    from medseg_monai.prepare.demo import prepare_demo

    folder = Path(demo_dir or ("data/demo" if demo == "dermoscopy" else f"data/demo_{demo}"))
    if not (folder / "dataset.json").is_file():
        prepare_demo(folder, kind=demo)
    logger.warning(
        "NO DATA SET WAS NAMED: using the GENERATED demo data in %s. They are drawings, not patients. "
        "For real data: --dataset_dir FOLDER_WITH_dataset.json (see `medseg prepare --help`).",
        folder,
    )
    return read_dataset(folder)


def split_cases(dataset: Dataset, split: str) -> list[dict[str, Any]]:
    """The cases of a split that training cannot do without.

    Raises:
        ValueError: there are none.
    """
    cases = dataset.cases(split)
    if not cases:
        raise ValueError(
            f"data set {dataset.spec.name} has no {split} cases: prepare it with a splits.csv that names some, or without official splits"
        )
    return cases


def repeated(cases: Sequence[dict[str, Any]], times: int) -> list[dict[str, Any]]:
    """Each case so many times, with ids of their own: in each epoch that many patches are drawn from it.

    >>> [case["id"] for case in repeated([{"id": "a"}, {"id": "b"}], 2)]
    ['a', 'b', 'a#1', 'b#1']
    """
    again = ({**case, "id": f"{case['id']}#{number}"} for number in range(1, times) for case in cases)
    return [*cases, *again]


def share(cases: Sequence[dict[str, Any]], rank: int, world_size: int) -> list[dict[str, Any]]:
    """The part of the cases that one of several processes takes.

    A process without any would keep the others waiting: if there are fewer cases than processes, each takes all of them, so that every
    case counts the same in a mean over all processes.
    """
    return list(cases[rank::world_size]) if len(cases) >= world_size else list(cases)


def training_spec(
    spec: DatasetSpec, size: Sequence[int] | None, spacing_mm: Sequence[float] | None = None
) -> DatasetSpec:
    """The data set's spec, with the network's input size, and the spacing of volumes, replaced when the config or the user names one.

    Raises:
        ValueError: ``size`` is not a list of numbers, one per spatial axis, or leaves a network nothing to see.
    """
    if isinstance(size, str) or not isinstance(size, Sequence | None):
        raise ValueError(f"size is a list, [width, height], not {size!r}")
    sized = spec if size is None else replace(spec, size=tuple(size))
    sized = sized if spacing_mm is None else replace(sized, spacing_mm=tuple(spacing_mm))
    kind = kind_of(sized)
    if sized.size is not None and min(sized.size) < kind.least_side:
        raise ValueError(
            f"size: {list(sized.size)} leaves nothing to see; {kind.least_side} {kind.elements} a side are the least"
        )
    return sized
