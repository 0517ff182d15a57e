"""The weights that a training starts from: those of an earlier one, as far as they fit the network."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from medseg_monai.bundle.paths import find_named_weights
from medseg_monai.bundle.trained import ENSEMBLE, SPEC_FILE, Trained, describe, read_weights
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import sha256_of
from medseg_monai.grids.kinds import kind_of
from medseg_monai.training.continuing import recorded_start, wanted

logger = logging.getLogger(__name__)

Network = partial[nn.Module] | type[nn.Module]

OF_THE_DATA = ("in_channels", "out_channels", "spatial_dims", "input_normalisation")
"""Arguments of a network that the data set decides, not the weights."""
NOT_FETCHED = ("pretrained", "weights_file")
"""Arguments that name other weights to start from."""
SHOWN = 4


class Start:
    """Weights that a training starts from.

    Args:
        file: a checkpoint of tensors; a ``spec.json`` beside it says of which network.
        freeze_encoder: leave the encoder as it is: its parameters, and the running statistics of its normalisation layers.
        recorded: what `facts` said of it when a training began that now goes on: the file is not read, because it may be gone.

    Raises:
        ValueError: the weights are an ensemble's, or spec.json cannot be used.
    """

    def __init__(self, file: Path, *, freeze_encoder: bool = False, recorded: Mapping[str, Any] | None = None) -> None:
        self.file = file
        self.freeze_encoder = freeze_encoder
        self.recorded = recorded
        self.kept: tuple[str, ...] = ()
        self.new: tuple[str, ...] = ()
        self.architecture: Mapping[str, Any] | None
        self.learnt_from: DatasetSpec | None = None
        if recorded is not None:
            self.sha256, self.architecture = str(recorded["sha256"]), recorded.get("architecture")
            return
        self.sha256 = sha256_of([file])
        described = Trained.read(file.parent) if (file.parent / SPEC_FILE).is_file() else None
        self.architecture, self.learnt_from = (described.architecture, described.dataset) if described else (None, None)
        if self.architecture is not None and self.architecture["_target_"] == ENSEMBLE:
            raise ValueError(f"{file} holds an ensemble: a training starts from one network, of one of its folds say")

    def arguments_for(self, network: Network) -> dict[str, Any] | None:
        """The arguments with which a network class is built as the weights' network was.

        Returns:
            None if they are another class's; nothing if the weights do not say, in which case they may be the published network's.
        """
        if self.architecture is None:
            return {}
        if describe(network)["_target_"] != self.architecture["_target_"]:
            return None
        known = inspect.signature(network.func if isinstance(network, partial) else network).parameters
        given = {key: value for key, value in self.architecture.items() if key in known and key not in OF_THE_DATA}
        return {**given, **{key: value for key, value in zip(NOT_FETCHED, (False, None), strict=True) if key in known}}

    def scale_for(self, spec: DatasetSpec) -> dict[str, Any]:
        """At which scale the weights have learnt to see, as knobs of a plan: the size of pictures, the spacing of volumes.

        Args:
            spec: the data set that is to be trained on; nothing if its images are of another kind.
        """
        theirs = self.learnt_from
        if theirs is None or theirs.spatial_dims != spec.spatial_dims:
            return {}
        known = {"spacing_mm": theirs.spacing_mm} if kind_of(spec).in_patches else {"size": theirs.size}
        return {key: list(value) for key, value in known.items() if value is not None}

    def put_into(self, network: nn.Module) -> nn.Module:
        """Replace those tensors of a network that the weights have, with the same name and shape, and say which stay as they are.

        Raises:
            ValueError: none fits, the file cannot be used, or there is no encoder to freeze.
        """
        if self.recorded is not None:
            return self._as_recorded(network, self.recorded)
        own, state = network.state_dict(), read_weights(self.file)
        self.kept = tuple(name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape)
        self.new = tuple(name for name in own if name not in self.kept)
        if not any(own[name].dim() > 1 for name in self.kept):  # biases and normalisation layers alone fit by chance
            raise ValueError(
                f"{self.file} is for another network: none of its convolutions fits {type(network).__name__}"
            )
        network.load_state_dict({**own, **{name: state[name] for name in self.kept}})
        if self.freeze_encoder:
            self._freeze(network)
        logger.info("%s", self.describe())
        return network

    def _as_recorded(self, network: nn.Module, recorded: Mapping[str, Any]) -> nn.Module:
        """The network as it is: a checkpoint brings its weights."""
        self.new = tuple(map(str, recorded.get("new") or ()))
        self.kept = tuple(name for name in network.state_dict() if name not in self.new)
        if self.freeze_encoder:
            self._freeze(network)
        logger.warning("%s, which the training started from, is gone; its checkpoint has all that it needs", self.file)
        return network

    def describe(self) -> str:
        """How much of the network is the weights', in one line."""
        names = ", ".join(self.new[:SHOWN]) + (f" and {len(self.new) - SHOWN} more" if len(self.new) > SHOWN else "")
        rest = f"; new, since they are absent or of another shape there: {names}" if self.new else ""
        return f"Starts from {self.file}: {len(self.kept)} of {len(self.kept) + len(self.new)} tensors kept{rest}"

    def facts(self) -> dict[str, Any]:
        """What a record of the run says of it."""
        return {
            "file": str(self.file),
            "sha256": self.sha256,
            "kept": len(self.kept),
            "tensors": len(self.kept) + len(self.new),
            "new": list(self.new),
            "architecture": self.architecture,
        }

    def _freeze(self, network: nn.Module) -> None:
        """Take what was kept of the encoder out of training; what is new in it has to learn."""
        encoder = getattr(network, "encoder", None)
        if not isinstance(encoder, nn.Module):
            raise ValueError(f"freeze_encoder: {type(network).__name__} has no part called encoder")
        kept = set(self.kept)
        for name, parameter in encoder.named_parameters(prefix="encoder"):
            parameter.requires_grad_(name not in kept)
        network.register_forward_pre_hook(_encoder_as_in_use)


def _encoder_as_in_use(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Let the frozen encoder's normalisation layers use their statistics without changing them: a trainer sets all to training."""
    if network.training:
        network.get_submodule("encoder").eval()


def find_start(
    weights: str | Path | None,
    bundle_root: str | Path,
    *,
    freeze_encoder: bool = False,
    folder: str | Path | None = None,
    resume: bool | str | None = None,
) -> Start | None:
    """The weights that a training starts from; None for random ones.

    Args:
        weights: a file, a folder with ``model.pt``, a data set that the bundle was trained on, or the name of a bundle; None for none.
        bundle_root: folder of the bundle to train.
        freeze_encoder: as for `Start`.
        folder: where the training goes; one that goes on there needs its starting weights no more.
        resume: whether it goes on, as the config's key.

    Raises:
        FileNotFoundError: there are none.
        ValueError: an encoder is to be frozen that nothing has trained.
    """
    if not weights:
        if freeze_encoder:
            raise ValueError("freeze_encoder: nothing has trained the encoder; name weights with start_from (--from)")
        return None
    try:
        file = find_named_weights(bundle_root, weights)
    except FileNotFoundError:
        recorded = None if folder is None else recorded_start(Path(folder), wanted(resume))
        if recorded is None:
            raise
        return Start(Path(recorded["file"]), freeze_encoder=freeze_encoder, recorded=recorded)
    return Start(file, freeze_encoder=freeze_encoder)


def first_network(network: Callable[[], nn.Module], start: Start | None) -> nn.Module:
    """The network before its first step: fresh, or with the weights that it starts from."""
    return network() if start is None else start.put_into(network())
