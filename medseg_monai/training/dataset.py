"""The data set of a training: opened and checked, its cases distributed over processes, its size overridden if requested."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.dataset import Dataset, DatasetSpec, check_splits, read_dataset
from medseg_monai.grids.kinds import kind_of

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind

logger = logging.getLogger(__name__)


def open_dataset(
    dataset_dir: str | Path | None, *, demo: Kind = "dermoscopy", demo_dir: str | Path | None = None
) -> Dataset:
    """The data set to work on, its splits checked; if none is named, a generated demo, with a prominent warning.

    Files may be missing. What looks at one case after the other reports those, as it does unreadable ones, and goes on; what trains
    refuses them (`medseg_monai.dataset.check_files`), since weights do not tell what they have not seen.

    Args:
        dataset_dir: its folder.
        demo: kind of the demo, see `medseg_monai.prepare.demo`.
        demo_dir: folder of the demo; ``data/demo`` for photographs, ``data/demo_<kind>`` for the others.

    Raises:
        FileNotFoundError, ValueError: as in `read_dataset` and `check_splits`.
    """
    if dataset_dir:
        dataset = read_dataset(Path(dataset_dir))
        check_splits(dataset)
        return dataset
    from medseg_monai.prepare.demo import prepare_demo

    folder = Path(demo_dir or ("data/demo" if demo == "dermoscopy" else f"data/demo_{demo}"))
    if not (folder / "dataset.json").is_file():
        prepare_demo(folder, kind=demo)
    logger.warning(
        "NO DATA SET WAS GIVEN: using the GENERATED demo data in %s. They are drawings, not patients. "
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
            f"data set {dataset.spec.name} has no {split} cases: prepare it with a splits.csv that has some, or without official splits"
        )
    return cases


def repeated(cases: Sequence[dict[str, Any]], times: int) -> list[dict[str, Any]]:
    """Each case repeated, with distinct ids: in each epoch that many patches are drawn from it.

    >>> [case["id"] for case in repeated([{"id": "a"}, {"id": "b"}], 2)]
    ['a', 'b', 'a#1', 'b#1']
    """
    again = ({**case, "id": f"{case['id']}#{number}"} for number in range(1, times) for case in cases)
    return [*cases, *again]


def share(cases: Sequence[dict[str, Any]], rank: int, world_size: int) -> list[dict[str, Any]]:
    """The share of the cases for one of several processes.

    A process without cases would keep the others waiting: if there are fewer cases than processes, each gets all of them, so every
    case has the same weight in a mean over all processes.
    """
    return list(cases[rank::world_size]) if len(cases) >= world_size else list(cases)


def training_spec(
    spec: DatasetSpec, size: Sequence[int] | None, spacing_mm: Sequence[float] | None = None
) -> DatasetSpec:
    """The data set's spec, with the network's input size, and the spacing of volumes, replaced if the config or the user gives them.

    Raises:
        ValueError: ``size`` is not a list of numbers, one per spatial axis, or is too small.
    """
    if isinstance(size, str) or not isinstance(size, Sequence | None):
        raise ValueError(f"size must be a list, [width, height], not {size!r}")
    sized = spec if size is None else replace(spec, size=tuple(size))
    sized = sized if spacing_mm is None else replace(sized, spacing_mm=tuple(spacing_mm))
    kind = kind_of(sized)
    if sized.size is not None and min(sized.size) < kind.least_side:
        raise ValueError(
            f"size: {list(sized.size)} is too small; each side must have at least {kind.least_side} {kind.elements}"
        )
    return sized
