"""What bundles work with: the data they train on, and what their weights say of themselves.

A bundle is a folder of JSON: one network and its recipe. What it trains goes to ``<bundle>/models/<data set name>/``, or to
``./models/<bundle>/<data set name>/`` if the bundle came with the installed program. Weights that it ships lie in ``<bundle>/models/``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.bundle_files import BUNDLES, folder_to_write, models_folder, program_bundles, trained_on
from medseg_monai.bundle_files import find_bundle as find_bundle  # what works with bundles asks for them here
from medseg_monai.bundle_files import find_weights as find_weights
from medseg_monai.bundle_files import list_bundles as list_bundles
from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset
from medseg_monai.trained import Trained, describe

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind

logger = logging.getLogger(__name__)

LEAST_SIDE = {2: 8, 3: 4}
"""Pixels, or voxels, of the shortest side that networks are trained at, by the number of spatial axes."""


def default_root(name: str) -> str:
    """A bundle's folder as its own configs see it: a config does not know where it lies, only where it is run.

    Returns:
        ``.`` if this is run inside the bundle, else its place in ``./bundles``, else that of the program's bundle of this name.
    """
    if Path("configs/metadata.json").is_file():
        return "."
    here, with_program = Path(BUNDLES) / name, program_bundles() / name
    return str(with_program if with_program.is_dir() and not here.is_dir() else here)


def find_trained(bundle_root: str | Path, weights: str | Path | None = None, *, dataset: str | None = None) -> Trained:
    """What the weights in use were trained for; the bundle's own default when it has not been trained yet.

    The default lets tools that only look at the network (MONAI's ``verify_net_in_out``) work on a bundle without weights.
    The arguments are those of `find_weights`.
    """
    try:
        return Trained.read(find_weights(bundle_root, weights, dataset=dataset).parent)
    except FileNotFoundError:
        if weights or trained_on(Path(bundle_root)):
            raise
        return untrained(bundle_root)


def evaluation_folder(bundle_root: str | Path, weights: str | Path | None, *, dataset: str, split: str) -> str:
    """Where an evaluation's tables go unless the user says: beside the weights.

    Before a first training it is where they will be: MONAI's federated client asks a bundle that has no weights yet.
    """
    try:
        folder = folder_to_write(bundle_root, find_weights(bundle_root, weights, dataset=dataset))
    except FileNotFoundError:
        folder = models_folder(bundle_root) / dataset
    return str(folder / f"evaluation_{split}")


def untrained(bundle_root: str | Path) -> Trained:
    """What the bundle's ``train.json`` would build for its demo data set."""
    from monai.bundle import ConfigParser

    from medseg_monai.prepare.demo import demo_spec

    config = ConfigParser.load_config_file(Path(bundle_root) / "configs" / "train.json")
    spec = demo_spec(config["demo"])
    # the imports are the config's own; the spec is given, so that nothing looks for data
    parser = ConfigParser({**config, "spec": spec})
    architecture = describe(parser.get_parsed_content("architecture"))
    return Trained(dataset=spec, architecture=architecture, bundle=Path(bundle_root).resolve().name)


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


def training_spec(spec: DatasetSpec, size: Sequence[int] | None) -> DatasetSpec:
    """The data set's spec, with the network's input size replaced when the config or the user names one.

    Raises:
        ValueError: ``size`` is not a list of numbers, one per spatial axis, or leaves a network nothing to see.
    """
    if isinstance(size, str) or not isinstance(size, Sequence | None):
        raise ValueError(f"size is a list, [width, height], not {size!r}")
    sized = spec if size is None else replace(spec, size=tuple(size))
    if sized.size is not None and min(sized.size) < LEAST_SIDE[sized.spatial_dims]:
        least, unit = LEAST_SIDE[sized.spatial_dims], "pixels" if sized.spatial_dims == 2 else "voxels"
        raise ValueError(f"size: {list(sized.size)} leaves nothing to see; {least} {unit} a side are the least")
    return sized
