"""Find bundles, and the weights they trained, which describe themselves.

A bundle is a folder of JSON: one network and its recipe. What it trains goes to ``<bundle>/models/<data set name>/``:
``model.pt`` (weights) with ``spec.json`` (what they were trained for and on which architecture) beside it, so that prediction,
evaluation and export need nothing else. Weights that a bundle ships lie in ``<bundle>/models/`` itself.
"""

from __future__ import annotations

import importlib
import json
import logging
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset
from medseg_monai.files import write_whole
from medseg_monai.spec import did_you_mean

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "model.pt"
LAST_FILE = "last.pt"
SPEC_FILE = "spec.json"
# A spec.json may come from somebody else: it may name a network, never any other callable.
TRUSTED_NETWORKS = ("medseg_monai.networks.", "monai.networks.nets.")


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


@dataclass(frozen=True)
class Trained:
    """What a set of weights was trained for: the content of ``spec.json``.

    Attributes:
        dataset: classes, channels, geometry and intensity that the network knows.
        architecture: ``_target_`` of the network and its keyword arguments.
        bundle: name of the bundle that trained it.
        training: facts of the run (epochs, seconds, score, versions), for people to read.
    """

    dataset: DatasetSpec
    architecture: Mapping[str, Any]
    bundle: str
    training: Mapping[str, Any] = field(default_factory=dict)

    def build_network(self, **overrides: Any) -> nn.Module:
        """The network with fresh weights; ``overrides`` replace its keyword arguments (``inference_depth=2``, say)."""
        arguments = {**self.architecture, **overrides}
        # the trained weights come next: nothing is fetched for them to replace
        arguments.update(
            {name: value for name, value in (("pretrained", False), ("weights_file", None)) if name in arguments}
        )
        module_name, _, class_name = str(arguments.pop("_target_")).rpartition(".")
        network_class = getattr(importlib.import_module(module_name), class_name, None)
        if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
            raise ValueError(f"{SPEC_FILE} names {module_name}.{class_name}, which is no network: refused")
        network: nn.Module = network_class(**arguments)
        return network

    def write(self, folder: Path) -> None:
        """Write ``folder/spec.json``, whole or not at all."""
        content = {**asdict(self), "dataset": self.dataset.to_dict()}
        write_whole(folder / SPEC_FILE, (json.dumps(content, indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Trained:
        """Read ``folder/spec.json``.

        Raises:
            FileNotFoundError: it is not there, so nobody can know what the weights beside it are for.
            ValueError: it is not such a file, or names something other than a network.
        """
        path = folder / SPEC_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: weights are used with the spec.json they were trained with")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            trained = cls(**{**content, "dataset": DatasetSpec.from_dict(content["dataset"])})
            target = str(trained.architecture["_target_"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not describe trained weights: {error}") from error
        if not target.startswith(TRUSTED_NETWORKS):
            raise ValueError(f"{path} names {target}, which is no network of medseg_monai or MONAI: refused")
        return trained


def describe(architecture: partial[nn.Module] | type[nn.Module]) -> dict[str, Any]:
    """A config's ``architecture`` (a network class with bound arguments) as a dictionary that JSON can hold."""
    network = architecture.func if isinstance(architecture, partial) else architecture
    keywords = architecture.keywords if isinstance(architecture, partial) else {}
    # the short public path, so that moving a class between files does not orphan weights
    package = (
        ".".join(network.__module__.split(".")[:2])
        if network.__module__.startswith("medseg_monai.")
        else network.__module__
    )
    return {"_target_": f"{package}.{network.__name__}", **keywords}


def find_weights(bundle_root: str | Path, weights: str | Path | None = None) -> Path:
    """The weights file to use.

    Args:
        bundle_root: the bundle's folder.
        weights: a file, a folder with ``model.pt``, or the name of a data set the bundle was trained on. By default the weights
            that the bundle ships, else those of its only training.

    Raises:
        FileNotFoundError: there are none, or several and none was named.
    """
    models = Path(bundle_root) / "models"
    if weights:
        candidates = [Path(weights), Path(weights) / WEIGHTS_FILE, models / weights / WEIGHTS_FILE]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise FileNotFoundError(
                f"no weights '{weights}': neither a file, nor a folder with {WEIGHTS_FILE}, nor in {models}"
            )
        return found[0]
    shipped = models / WEIGHTS_FILE
    if shipped.is_file():
        return shipped
    trained = sorted(models.glob(f"*/{WEIGHTS_FILE}"))
    if len(trained) == 1:
        return trained[0]
    if not trained:
        raise FileNotFoundError(
            f"{bundle_root} has no trained weights yet: run `medseg train {Path(bundle_root).name}` first"
        )
    names = ", ".join(path.parent.name for path in trained)
    raise FileNotFoundError(f"{bundle_root} has several trained weights ({names}): say which with --weights")


def find_trained(bundle_root: str | Path, weights: str | Path | None = None) -> Trained:
    """What the weights in use were trained for; the bundle's own default when it has not been trained yet.

    The default lets tools that only look at the network (MONAI's ``verify_net_in_out``) work on a bundle without weights.
    """
    try:
        return Trained.read(find_weights(bundle_root, weights).parent)
    except FileNotFoundError:
        if weights or any((Path(bundle_root) / "models").glob(f"**/{WEIGHTS_FILE}")):
            raise
        return untrained(bundle_root)


def untrained(bundle_root: str | Path) -> Trained:
    """What the bundle's ``train.json`` would build for the demo data set."""
    from monai.bundle import ConfigParser

    from medseg_monai.prepare.demo import demo_spec

    spec = demo_spec()
    config = ConfigParser.load_config_file(Path(bundle_root) / "configs" / "train.json")
    # the imports are the config's own; the spec is given, so that nothing looks for data
    parser = ConfigParser({**config, "spec": spec})
    architecture = describe(parser.get_parsed_content("architecture"))
    return Trained(dataset=spec, architecture=architecture, bundle=Path(bundle_root).resolve().name)


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load a checkpoint of tensors into ``network`` and return it.

    Never unpickles code: only tensors and plain containers are read (``weights_only``).

    Raises:
        ValueError: the file is no checkpoint, holds code, or fits another network (other classes, channels or widths).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch on old pickle formats: they are refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it is no plain checkpoint of weights, and unpickling it could run code"
        ) from error
    except OSError:
        raise
    except Exception as error:  # a damaged file makes the unpickler fail in any way
        raise ValueError(f"{path} is no checkpoint, or a damaged one") from error
    state = state.get("network", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no network's weights")
    _check_fit(network.state_dict(), state, path)
    try:
        network.load_state_dict(state)
    except (
        RuntimeError
    ) as error:  # a network may accept more than it keeps, so it has the last word on what is too much
        unknown = sorted(state.keys() - network.state_dict().keys())
        raise ValueError(f"{path} is for another network: it also holds {', '.join(unknown[:1])}") from error
    return network


def _check_fit(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Raise a ValueError that names the first difference between the network's tensors and the file's."""
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, the network needs {tuple(tensor.shape)}"
            raise ValueError(f"{path} was trained for other classes, channels or widths: {name} is {shapes}")
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(
            f"{path} is for another network: it lacks {missing[0]} ({len(missing)} of {len(expected)} tensors)"
        )


def open_dataset(dataset_dir: str | Path | None, *, demo_dir: str | Path = "data/demo") -> Dataset:
    """The data set to work on, checked; with none named, the generated demo, announced loudly.

    Raises:
        FileNotFoundError, ValueError: as `read_dataset` and `check_dataset` say: before any training, not in the middle of it.
    """
    if dataset_dir:
        dataset = read_dataset(Path(dataset_dir))
        check_dataset(dataset)
        return dataset
    from medseg_monai.prepare.demo import prepare_demo

    folder = Path(demo_dir)
    if not (folder / "dataset.json").is_file():
        prepare_demo(folder)
    logger.warning(
        "NO DATA SET WAS NAMED: using the GENERATED demo pictures in %s. They are drawings, not patients. "
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
