"""The ``inferer`` of a bundle's inference and evaluation: runs the network by the requested engine."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from medseg_monai.dataset.spec import Task
from medseg_monai.engines.precision import precision_of
from medseg_monai.engines.runners import PLAIN, Runner, check_installed, plain_runner
from medseg_monai.engines.trial import Choice, Trial

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder for files that can be made again; ``MEDSEG_CACHE`` moves it. Without a home folder (in a container) a temporary one."""
    try:
        return Path(os.environ.get("MEDSEG_CACHE", "~/.cache/medseg_monai")).expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"medseg_monai-{os.getuid() if hasattr(os, 'getuid') else 0}"


class EngineInferer(Inferer):
    """Run a network by an engine. The first images decide how: see `medseg_monai.engines.trial`.

    A network is prepared once for each shape of image, and again when its weights change. Until an image with foreground has been seen,
    nothing can be compared: images are then run as plain float32, which is slower but correct.

    Args:
        engine: ``torch``, ``onnx``, ``openvino``; ``auto`` for the fastest one installed; ``plain`` for the unchanged network.
        precision: as in `medseg_monai.engines.precision.precision_of`; ``auto`` falls back to float32 if lower precision changes masks.
        device: where the network runs.
        task: of the data set.
        cache: folder for exports and decisions; by default the package's own.

    Attributes:
        choice: the latest choice, None before the first images.
        preparation_seconds: total time spent so far on choosing and preparing.

    Raises:
        ValueError, ImportError: an engine or precision is unknown, not installed or not for this device.
    """

    def __init__(
        self,
        engine: str = "torch",
        *,
        precision: str = "auto",
        device: str | torch.device = "cpu",
        task: Task = "binary",
        cache: str | Path | None = None,
    ) -> None:
        self.device = torch.device(device)
        if engine not in ("auto", PLAIN):
            check_installed(engine)
        if engine in ("onnx", "openvino") and self.device.type != "cpu":
            raise ValueError(f"engine {engine} runs on the CPU: use engine torch for {self.device.type}")
        precision_of(precision, self.device)
        self.engine = engine
        self.precision = precision
        self.task = task
        self.cache = Path(cache) if cache else cache_folder()
        self.choice: Choice | None = None
        self.preparation_seconds = 0.0
        self._ready: WeakKeyDictionary[nn.Module, dict[Any, Runner]] = WeakKeyDictionary()

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits of ``inputs``, (B, C, *S), float32, on their device."""
        images = inputs.as_subclass(Tensor).float()
        if not isinstance(network, nn.Module) or self.engine == PLAIN:
            return plain_runner(network)(images)  # type: ignore[arg-type]  # any function of images will do
        began = time.perf_counter()
        run = self._runner(network, images)
        self.preparation_seconds += time.perf_counter() - began
        return run(images)

    def _runner(self, network: nn.Module, images: Tensor) -> Runner:
        """The runner for images of this shape, prepared on the first."""
        ready = self._ready.setdefault(network, {})
        key = (tuple(images.shape[1:]), _state(network))
        if key not in ready:
            if any(state != key[1] for _, state in ready):
                ready.clear()
            trial = Trial(network.eval(), images, task=self.task, cache=self.cache)
            choice = trial.choose(self.engine, self.precision)
            if choice is None:
                return plain_runner(network)
            self._say(choice)
            ready[key] = trial.runner(choice)
        return ready[key]

    def _say(self, choice: Choice) -> None:
        if choice != self.choice:
            logger.debug("engine %s, %s: %s", choice.engine, choice.precision, choice.why)
        self.choice = choice


def _state(network: nn.Module) -> tuple[tuple[int, int], ...]:
    """A value that changes whenever a weight is changed, replaced or moved."""
    # asked for each batch, so the modules are walked once, not once for parameters and once for buffers
    tensors = (held for module in network.modules() for held in (module._parameters, module._buffers))
    return tuple(
        (tensor.data_ptr(), tensor._version) for held in tensors for tensor in held.values() if tensor is not None
    )
