"""Find bundles, the data they train on, and the weights they trained.

A bundle is a folder of JSON: one network and its recipe. What it trains goes to ``<bundle>/models/<data set name>/``; weights that it ships
lie in ``<bundle>/models/`` itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset
from medseg_monai.spec import did_you_mean
from medseg_monai.trained import WEIGHTS_FILE, Trained, describe
from medseg_monai.training.folder import recover

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind

logger = logging.getLogger(__name__)


def bundles_folder() -> Path:
    """The folder that holds the bundles: ``./bundles``, else the one beside the package."""
    for folder in (Path("bundles"), Path(__file__).resolve().parent.parent / "bundles"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("no bundles/ folder here or beside the package: run this from the repository's root")


def list_bundles() -> list[Path]:
    """Every bundle's folder, by name."""
    return sorted(path.parent.parent for path in bundles_folder().glob("*/configs/train.json"))


def find_bundle(name: str | Path) -> Path:
    """The folder of a bundle given by name (``unetpp``) or by path.

    Raises:
        FileNotFoundError: no such bundle; names the nearest one.
    """
    as_path = Path(name)
    if (as_path / "configs" / "train.json").is_file():
        return as_path
    names = [bundle.name for bundle in list_bundles()]
    if str(name) in names:
        return bundles_folder() / name
    raise FileNotFoundError(f"no bundle '{name}'{did_you_mean(name, names)}")


def default_root(name: str) -> str:
    """A bundle's folder as its own configs see it: a config does not know where it lies, only where it is run.

    Returns:
        ``.`` if this is run inside the bundle, else its place below the repository's root.
    """
    return "." if Path("configs/metadata.json").is_file() else f"bundles/{name}"


def find_weights(bundle_root: str | Path, weights: str | Path | None = None, *, dataset: str | None = None) -> Path:
    """The weights file to use.

    Args:
        bundle_root: the bundle's folder.
        weights: a file, a folder with ``model.pt``, or the name of a data set the bundle was trained on. By default the weights
            trained on `dataset`, else those that the bundle ships, else those of its only training.
        dataset: name of the data set at hand, if there is one.

    Raises:
        FileNotFoundError: there are none, or several and none was named.
    """
    models = Path(bundle_root) / "models"
    if weights:
        candidates = [Path(weights), Path(weights) / WEIGHTS_FILE, models / weights / WEIGHTS_FILE]
        for path in candidates:
            recover(path.parent)
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise FileNotFoundError(
                f"no weights '{weights}': neither a file, nor a folder with {WEIGHTS_FILE}, nor in {models}"
            )
        return found[0]
    for folder in models.glob("*/"):
        recover(folder)
    preferred = [models / dataset / WEIGHTS_FILE] if dataset else []
    for path in (*preferred, models / WEIGHTS_FILE):
        if path.is_file():
            return path
    trained = sorted(models.glob(f"*/{WEIGHTS_FILE}"))
    if len(trained) == 1:
        return trained[0]
    if not trained:
        raise FileNotFoundError(
            f"{bundle_root} has no trained weights yet: run `medseg train {Path(bundle_root).name}` first"
        )
    names = ", ".join(path.parent.name for path in trained)
    raise FileNotFoundError(f"{bundle_root} has several trained weights ({names}): say which with --weights")


def find_trained(bundle_root: str | Path, weights: str | Path | None = None, *, dataset: str | None = None) -> Trained:
    """What the weights in use were trained for; the bundle's own default when it has not been trained yet.

    The default lets tools that only look at the network (MONAI's ``verify_net_in_out``) work on a bundle without weights.
    The arguments are those of `find_weights`.
    """
    try:
        return Trained.read(find_weights(bundle_root, weights, dataset=dataset).parent)
    except FileNotFoundError:
        if weights or any((Path(bundle_root) / "models").glob(f"**/{WEIGHTS_FILE}")):
            raise
        return untrained(bundle_root)


def evaluation_folder(bundle_root: str | Path, weights: str | Path | None, *, dataset: str, split: str) -> str:
    """Where an evaluation's tables go unless the user says: beside the weights.

    Before a first training it is where they will be: MONAI's federated client asks a bundle that has no weights yet.
    """
    try:
        folder = find_weights(bundle_root, weights, dataset=dataset).parent
    except FileNotFoundError:
        folder = Path(bundle_root) / "models" / dataset
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
    """The part of the cases that one of several processes takes, at least one: a process without any would keep the others waiting."""
    return list(cases[rank::world_size]) or list(cases[:1])


def training_spec(spec: DatasetSpec, size: Sequence[int] | None) -> DatasetSpec:
    """The data set's spec, with the network's input size replaced when the config or the user names one.

    Raises:
        ValueError: ``size`` is not a list of numbers, one per spatial axis.
    """
    if size is None:
        return spec
    if isinstance(size, str) or not isinstance(size, Sequence):
        raise ValueError(f"size is a list, [width, height], not {size!r}")
    return replace(spec, size=tuple(size))
