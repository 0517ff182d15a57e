"""Trained weights that describe themselves: ``spec.json`` beside ``model.pt``, and loading both without trusting them.

The spec describes the data set and how the network was built, so prediction, evaluation and export need nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import logging
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg_monai.bundle.paths import find_weights, trained_on
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import sha256_of, write_whole
from medseg_monai.quality.familiarity import DESCRIPTORS, Familiarity, is_of_another_descriptor
from medseg_monai.quality.learnt import Quality
from medseg_monai.training.folder import LAST_FILE as LAST_FILE  # exported here for code that reads weights
from medseg_monai.training.folder import SPEC_FILE as SPEC_FILE
from medseg_monai.training.folder import WEIGHTS_FILE as WEIGHTS_FILE
from medseg_monai.transforms.cleaning import Cleaning
from medseg_monai.tuning.review import Review

logger = logging.getLogger(__name__)

# A spec.json may come from somebody else: it may name only a network, never any other callable.
TRUSTED_NETWORKS = ("medseg_monai.networks.", "monai.networks.nets.")
ENSEMBLE = "medseg_monai.inference.averaging.NetworkEnsemble"
"""The target of weights that hold several networks, each of which must be one of those."""
_LEARNT: Mapping[str, Any] = {"cleaning": Cleaning, "review": Review, "familiarity": Familiarity, "quality": Quality}
"""What is learnt after training, by its key."""


@dataclass(frozen=True)
class Trained:
    """What a set of weights was trained for: the content of ``spec.json``.

    Attributes:
        dataset: classes, channels, geometry and intensity that the network knows.
        architecture: ``_target_`` of the network and its keyword arguments.
        bundle: name of the bundle that trained it.
        training: facts of the run (epochs, seconds, score, versions), for people to read.
        cleaning: how masks are cleaned, if `medseg tune` found something better than plain thresholds.
        review: which predictions a person should look at, if `medseg review` has learnt it on the validation split.
        familiarity: what is usual in pictures like those of training, if `medseg review` has learnt it.
        quality: how far answers can be trusted (calibration, predicted Dice, promises), if `medseg review` has learnt it.
        weights_sha256: checksum of ``model.pt``, to detect damage; several while the file is being replaced, none in files of
            earlier versions.
    """

    dataset: DatasetSpec
    architecture: Mapping[str, Any]
    bundle: str
    training: Mapping[str, Any] = field(default_factory=dict)
    cleaning: Cleaning | None = None
    review: Review | None = None
    familiarity: Familiarity | None = None
    quality: Quality | None = None
    weights_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # masks are written as class numbers, whatever the values in the data set's files
        object.__setattr__(self, "dataset", self.dataset.in_class_numbers())

    def build_network(self, **overrides: Any) -> nn.Module:
        """The network with fresh weights; ``overrides`` replace its keyword arguments (for example ``inference_depth=2``)."""
        return network_of({**self.architecture, **overrides})

    def check_channels(self) -> None:
        """Raise a ValueError if the network's channels do not match the data set's."""
        for key, wanted in (("in_channels", self.dataset.in_channels), ("out_channels", self.dataset.out_channels)):
            if self.architecture.get(key, wanted) != wanted:
                names = self.dataset.channels if key == "in_channels" else self.dataset.classes
                raise ValueError(
                    f"its network has {key} {self.architecture[key]!r}, but needs {wanted} for {', '.join(names)} "
                    f"({self.dataset.task})"
                )

    def to_dict(self) -> dict[str, Any]:
        """The content of ``spec.json``."""
        content = {**asdict(self), "dataset": self.dataset.to_dict()}
        for key in _LEARNT:  # earlier versions do not know these keys: each is written only if something was learnt
            learnt = getattr(self, key)
            del content[key]
            if learnt is not None:
                content[key] = learnt.to_dict()
        del content["weights_sha256"]
        if self.weights_sha256:
            several = list(self.weights_sha256)
            content["weights_sha256"] = several[0] if len(several) == 1 else several
        return content

    def write(self, folder: Path) -> None:
        """Write ``folder/spec.json``, whole or not at all."""
        write_whole(folder / SPEC_FILE, (json.dumps(self.to_dict(), indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Trained:
        """Read ``folder/spec.json``.

        Raises:
            FileNotFoundError: it does not exist, so it is unknown what the weights are for.
            ValueError: it is not such a file, or names something other than a network.
        """
        path = folder / SPEC_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: copy it from where the weights were trained")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["dataset"] = DatasetSpec.from_dict(content["dataset"])
            if is_of_another_descriptor(content.get("familiarity"), DESCRIPTORS[content["dataset"].spatial_dims]):
                _say_other(path)
                del content["familiarity"]
            for key, kind in _LEARNT.items():
                if content.get(key) is not None:
                    content[key] = kind.from_dict(content[key])
            checksums = content.get("weights_sha256", ())
            content["weights_sha256"] = (checksums,) if isinstance(checksums, str) else tuple(checksums)
            trained = cls(**content)
            trained.check_channels()
            if trained.quality is not None:
                trained.quality.check(trained.dataset)
            target = str(trained.architecture["_target_"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not describe trained weights: {error}") from error
        check_trusted(target, path)
        return trained


@cache
def _say_other(path: Path) -> None:
    """Once for each file."""
    logger.warning(
        "%s: another version learnt what usual images look like; until medseg review has run again, none are flagged as unlike them",
        path,
    )


def network_of(architecture: Mapping[str, Any]) -> nn.Module:
    """A network with fresh weights, from its ``_target_`` and arguments.

    Raises:
        ValueError: they name something other than a network.
    """
    arguments = dict(architecture)
    # the trained weights come next: nothing is fetched for them to replace
    arguments.update(
        {name: value for name, value in (("pretrained", False), ("weights_file", None)) if name in arguments}
    )
    module_name, _, class_name = str(arguments.pop("_target_")).rpartition(".")
    network_class = getattr(importlib.import_module(module_name), class_name, None)
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        raise ValueError(f"{SPEC_FILE} names {module_name}.{class_name}, which is not a network: refused")
    network: nn.Module = network_class(**arguments)
    return network


def check_trusted(target: str, path: object) -> None:
    """Refuse what a spec.json names, unless it is a network of ours or MONAI's.

    Raises:
        ValueError: it is something else.
    """
    if not target.startswith(TRUSTED_NETWORKS) and target != ENSEMBLE:
        raise ValueError(f"{path} names {target}, which is not a network of medseg_monai or MONAI: refused")


def describe(architecture: partial[nn.Module] | type[nn.Module]) -> dict[str, Any]:
    """A config's ``architecture`` (a network class with bound arguments) as a dictionary for JSON."""
    network = architecture.func if isinstance(architecture, partial) else architecture
    keywords = architecture.keywords if isinstance(architecture, partial) else {}
    # the short public path, so that moving a class between files does not make old weights unusable
    package = (
        ".".join(network.__module__.split(".")[:2])
        if network.__module__.startswith("medseg_monai.")
        else network.__module__
    )
    return {"_target_": f"{package}.{network.__name__}", **keywords}


def find_trained(bundle_root: str | Path, weights: str | Path | None = None, *, dataset: str | None = None) -> Trained:
    """What the weights in use were trained for; the bundle's own default if it has not been trained yet.

    The default lets tools that only look at the network (MONAI's ``verify_net_in_out``) work on a bundle without weights.
    The arguments are those of `find_weights`.
    """
    try:
        return Trained.read(find_weights(bundle_root, weights, dataset=dataset).parent)
    except FileNotFoundError:
        if weights or trained_on(Path(bundle_root)):
            raise
        return untrained(bundle_root)


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


def write_weights(folder: Path, state: Mapping[str, torch.Tensor] | bytes, trained: Trained) -> None:
    """Write ``model.pt`` and its ``spec.json``, with the checksum, so that a kill at any moment leaves a matching pair.

    Args:
        folder: folder to write to; existing weights are replaced.
        state: the network's tensors, or a file of them.
        trained: what they are for.

    Raises:
        OSError: they cannot be written.
    """
    content = state if isinstance(state, bytes) else _checkpoint(state)
    checksum = hashlib.sha256(content).hexdigest()
    if not (folder / WEIGHTS_FILE).is_file():
        replace(trained, weights_sha256=(checksum,)).write(folder)
    elif (folder / SPEC_FILE).is_file():
        there = Trained.read(folder)
        if there.weights_sha256:  # both are valid while the file is being replaced
            replace(there, weights_sha256=(*there.weights_sha256, checksum)).write(folder)
    write_whole(folder / WEIGHTS_FILE, content)
    replace(trained, weights_sha256=(checksum,)).write(folder)


def _checkpoint(state: Mapping[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load a checkpoint of tensors into ``network`` and return it.

    Never unpickles code: only tensors and plain containers are read (``weights_only``).

    Raises:
        ValueError: the file is not a checkpoint, contains code or numbers that are not finite, is for another network (other classes,
            channels or widths), or is not the ``model.pt`` that the spec.json beside it was written for.
    """
    state = _read_state(path)
    _check_fit(network.state_dict(), state, path)
    _check_content(state, path)  # last, since the messages of the other checks say more
    try:
        network.load_state_dict(state)
    except RuntimeError as error:  # a network may accept more tensors than it keeps, so it decides which are too many
        unknown = sorted(state.keys() - network.state_dict().keys())
        raise ValueError(f"{path} is for another network: it also contains {', '.join(unknown[:1])}") from error
    return network


def read_weights(path: str | Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a checkpoint, by name, on the CPU, for whatever network. Never unpickles code.

    Raises:
        ValueError: as `load_weights` says, except that any network's will do.
    """
    state = _read_state(path)
    _check_content(state, path)
    return state


def _read_state(path: str | Path) -> Mapping[str, torch.Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch warns of old pickle formats, which are refused below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it is not a plain checkpoint of weights, and unpickling it could run code"
        ) from error
    except OSError:
        raise
    except Exception as error:  # a damaged file makes the unpickler fail in any way
        raise ValueError(f"{path} is not a checkpoint, or is damaged: copy it again from its source") from error
    state = state.get("network", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} does not contain the weights of a network")
    return state


def _check_content(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Raise a ValueError if numbers are not finite, or the file is not the one that its spec.json was written for."""
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(
                f"{path} cannot be used: {name} contains numbers that are not finite (NaN or infinite); "
                "use earlier weights, or train again with a lower lr"
            )
    _check_checksum(Path(path))


def _check_checksum(file: Path) -> None:
    """Raise a ValueError if ``model.pt`` is not the file that spec.json was written for; older ones have no checksum."""
    if file.name != WEIGHTS_FILE or not (file.parent / SPEC_FILE).is_file():
        return
    known = Trained.read(file.parent).weights_sha256
    if known and sha256_of([file]) not in known:
        raise ValueError(
            f"{file} is damaged, or not the file that {SPEC_FILE} beside it was written for (its SHA-256 differs): "
            "copy both again from their source"
        )


def _check_fit(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Raise a ValueError that names the first difference between the network's tensors and the file's."""
    for name, tensor in expected.items():
        if name in found and found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, but the network needs {tuple(tensor.shape)}"
            raise ValueError(f"{path} was trained for other classes, channels or widths: {name} is {shapes}")
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(
            f"{path} is for another network: it lacks {missing[0]} ({len(missing)} of {len(expected)} tensors)"
        )
