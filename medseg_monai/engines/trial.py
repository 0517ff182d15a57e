"""Which engine and precision to use: the fastest of those that give the masks of plain float32, tried on real images.

The result is stored in the cache folder, by weights, image size, versions and machine.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import Task
from medseg_monai.engines.agreement import MIN_DICE, agreement
from medseg_monai.engines.fusing import fused
from medseg_monai.engines.precision import precision_of
from medseg_monai.engines.runners import (
    ENGINES,
    PLAIN,
    Runner,
    export_onnx,
    is_installed,
    layout_of,
    onnx_runner,
    openvino_runner,
    plain_runner,
    torch_runner,
)
from medseg_monai.files.writing import write_whole

logger = logging.getLogger(__name__)

SAMPLE_IMAGES = 8
"""Number of images to measure agreement on; mirrored images make up for those that the first batch lacks."""
KEPT_EXPORTS = 8
"""Number of exported networks to keep in the cache folder."""
FP32 = "fp32"
_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", None: FP32}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


@dataclass(frozen=True)
class Choice:
    """An engine and precision, and why.

    Attributes:
        engine: ``torch``, ``onnx``, ``openvino``, or ``plain`` if the user left the choice free and no other agreed.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        why: how it agrees with plain float32, and the results of the others; for people to read.
    """

    engine: str
    precision: str
    why: str = ""


class Trial:
    """The ways of running one network on images of one shape.

    Args:
        network: in eval mode, on its device.
        images: (B, C, *S), the first real images.
        task: of the data set.
        cache: folder for exports and decisions.
    """

    def __init__(self, network: nn.Module, images: Tensor, *, task: Task, cache: Path) -> None:
        self.network = network
        self.images = images
        self.task = task
        self.folder = cache / "engines"
        self.digest = _digest(network, tuple(images.shape[1:]))
        self._fused: nn.Module | None = None

    def runner(self, choice: Choice) -> Runner:
        """The prepared network."""
        if choice.engine == PLAIN:
            return plain_runner(self.network)
        if choice.engine == "torch":
            return torch_runner(self._fuse(), _DTYPES[choice.precision])
        file = self.folder / f"{self.digest}.onnx"
        if file.is_file():
            try:
                return self._exported_runner(file, choice)
            except Exception as error:  # each runtime has its own errors; ONNX Runtime's are not RuntimeErrors
                logger.warning("%s cannot be used and is exported again (%s)", file, _line(error))
        try:
            export_onnx(self._fuse(), self.images, file)
            _keep_newest(self.folder, KEPT_EXPORTS)
        except OSError as error:
            _say_not_kept(error)
            spare = tempfile.mkdtemp(prefix="medseg-")
            atexit.register(shutil.rmtree, spare, ignore_errors=True)
            file = export_onnx(self._fuse(), self.images, Path(spare) / file.name)
        return self._exported_runner(file, choice)

    def _exported_runner(self, file: Path, choice: Choice) -> Runner:
        file.touch()
        if choice.engine == "onnx":
            return onnx_runner(file)
        return openvino_runner(file, _DTYPES[choice.precision], tuple(self.images.shape[1:]))

    def choose(self, engine: str, precision: str) -> Choice | None:
        """The choice, from the cache or by trying; None if these images cannot decide, because they have no foreground.

        Raises:
            ValueError: the requested engine does not give the masks of plain float32.
        """
        file = self._memory(engine, precision)
        try:
            return Choice(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            pass
        choice = self._try_all(engine, precision)
        if (
            choice is not None and choice.engine != PLAIN
        ):  # other images may decide otherwise: a structure of two voxels proves little
            try:
                write_whole(file, json.dumps(asdict(choice), indent=2), sync=False)
            except OSError as error:
                _say_not_kept(error)
        return choice

    def _try_all(self, engine: str, precision: str) -> Choice | None:
        plain = plain_runner(self.network)
        found = plain(self.images)
        if not agreement(found, found, task=self.task).says_something:  # before mirrored images are run in vain
            return None
        sample = _sample(self.images)
        mirrored = sample[len(self.images) :]
        expected = torch.cat([found, plain(mirrored)]) if len(mirrored) else found
        if not torch.isfinite(expected).all():  # not usable as a reference: later steps refuse such answers
            return None
        refused: list[str] = []
        good: list[tuple[float, Choice]] = []
        for candidate in candidates(engine, precision, self.images.device):
            name = f"{candidate.engine} {candidate.precision}"
            if engine != "auto" and good:
                break  # the first that agrees: candidates are in order of speed
            try:
                run = self.runner(candidate)
                measured = agreement(expected, run(sample), task=self.task)
            except Exception as error:
                refused.append(f"{name} does not run here ({_line(error)})")
                continue
            if measured.holds:
                seconds = _seconds(run, self.images) if engine == "auto" else 0.0
                good.append((seconds, Choice(candidate.engine, candidate.precision, str(measured))))
            else:
                refused.append(f"{name} differs from plain float32 ({measured}; required is at least {MIN_DICE})")
        if not good and precision == "auto" and engine in ("auto", "torch"):
            return Choice(PLAIN, FP32, "; ".join(refused))
        return _best(good, refused, engine, precision)

    def _fuse(self) -> nn.Module:
        if self._fused is None:
            self._fused = fused(self.network, self.images[:1]).to(memory_format=layout_of(self.images))
        return self._fused

    def _memory(self, engine: str, precision: str) -> Path:
        """The file that remembers the choice for these weights, shape, request, versions and machine."""
        device = self.images.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
        packages = [version(package) for other, package in ENGINES.items() if is_installed(other)]
        # an environment variable may switch off what the processor can do
        lower = _NAMES[precision_of(precision, device)]
        facts = [self.digest, engine, precision, lower, self.task, name, torch.get_num_threads(), packages]
        key = hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()
        return self.folder / f"{key}.json"


def candidates(engine: str, precision: str, device: torch.device) -> list[Choice]:
    """The ways to try, for each engine the faster precision first.

    Raises:
        ValueError: the engine does not run on this device.
    """
    if engine not in ("auto", "torch") and device.type != "cpu":
        raise ValueError(f"engine {engine} runs on the CPU: use engine torch for {device.type}, or device cpu")
    engines = [name for name in ENGINES if is_installed(name)] if engine == "auto" else [engine]
    dtype = precision_of(precision, device)
    found = []
    for name in engines if device.type == "cpu" else ["torch"]:
        kinds = [FP32] if name == "onnx" else [_NAMES[dtype]]
        kinds += [FP32] if precision == "auto" and FP32 not in kinds else []
        found += [Choice(name, kind) for kind in kinds]
    return found


def _best(good: Sequence[tuple[float, Choice]], refused: Sequence[str], engine: str, precision: str) -> Choice:
    if not good:
        raise ValueError(
            f"engine {engine} with precision {precision} is refused: {'; '.join(refused)}. "
            "Use engine plain: torch as it is, in float32"
        )
    ranked = sorted(good, key=lambda pair: pair[0])
    best = ranked[0][1]
    times = ", ".join(f"{choice.engine} {choice.precision} {1000 * seconds:.0f} ms" for seconds, choice in ranked)
    tried = [f"per image {times}"] if engine == "auto" else []
    return Choice(best.engine, best.precision, "; ".join([best.why, *tried, *refused]))


def _line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _sample(images: Tensor) -> Tensor:
    """At least `SAMPLE_IMAGES` images if the batch and its mirrored images are that many."""
    views = [images]
    for axes in ((-1,), (-2,), (-2, -1)):
        if sum(map(len, views)) < SAMPLE_IMAGES:
            views.append(images.flip(axes))
    return torch.cat(views)


def _seconds(run: Runner, images: Tensor) -> float:
    """Seconds per image, the better of three; the first run, which warms up, is not counted."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        run(images)
        if images.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:]) / len(images)


def _digest(network: nn.Module, shape: tuple[int, ...]) -> str:
    """One key for the weights, the architecture and the image's shape."""
    digest = hashlib.blake2b(repr((str(network), shape)).encode(), digest_size=12)
    state: Mapping[str, Any] = network.state_dict()
    for name, value in state.items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _cpu() -> str:
    """The processor's name, if the system reports it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()} x {os.cpu_count()}"


def _say_not_kept(error: OSError) -> None:
    """Report that a decision cannot be stored: the cache only saves time, so the next run chooses again."""
    logger.warning("the chosen engine cannot be stored, so the next run will choose again (%s)", _line(error))


def _keep_newest(folder: Path, count: int) -> None:
    """Remove all but the `count` most recently used exports."""
    files = sorted(folder.glob("*.onnx"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[count:]:
        file.unlink(missing_ok=True)
