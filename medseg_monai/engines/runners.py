"""A network made ready for one engine and precision: a function from images to logits, both float32 (B, C, *S)."""

from __future__ import annotations

import importlib.util
import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medseg_monai.engines.convert import INPUT, OUTPUT, needed
from medseg_monai.files import write_whole

Runner = Callable[[Tensor], Tensor]

ENGINES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""Engine -> the package that it is."""
CPU_PIXELS = 256 * 256
"""On a CPU so many pixels go through the network at once: the maps of one image stay in its cache, those of a batch do not."""


def is_installed(engine: str) -> bool:
    """Whether the engine's packages are here; other engines than torch read what is exported with the package onnx."""
    needed = {ENGINES[engine]} if engine == "torch" else {ENGINES[engine], "onnx"}
    return all(importlib.util.find_spec(package) is not None for package in needed)


def check_installed(engine: str) -> None:
    """Refuse an engine that is not known or not installed.

    Raises:
        ValueError: no such engine.
        ImportError: says what to install.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is auto, {', '.join(ENGINES)}, not {engine!r}")
    if not is_installed(engine):
        raise ImportError(
            f"engine {engine} is not installed: pip install 'medseg-monai[{engine}]', or use engine torch"
        )


def layout_of(images: Tensor) -> torch.memory_format:
    """The memory layout that convolutions over (B, C, *S) are fastest in."""
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(images.ndim, torch.preserve_format)


def plain_runner(network: nn.Module) -> Runner:
    """The network as it is, in float32: what the others are held against."""

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return _one(network(images.float()))

    return run


def torch_runner(network: nn.Module, dtype: torch.dtype | None) -> Runner:
    """The (fused) network in torch, channels last, in `dtype` where that is not float32."""

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=layout_of(images))
        at_once = len(images)
        if images.device.type == "cpu":
            at_once = max(1, CPU_PIXELS // math.prod(images.shape[2:]))
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None):
            parts = [_one(network(part)).float() for part in torch.split(images, at_once)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return run


def export_onnx(network: nn.Module, example: Tensor, file: Path) -> Path:
    """Write the network as ONNX; the number of images is free, their size that of `example`, for which engines can then optimise.

    By tracing, which takes a second where torch's newer exporter takes ten.
    """
    content: Any = io.BytesIO()  # which torch takes, whatever its annotation says
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every size that becomes a constant: here they are meant to
        torch.onnx.export(
            network,
            (example[:1].cpu().contiguous(),),
            content,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            dynamo=False,
        )
    write_whole(file, content.getvalue())
    return file


def onnx_runner(file: Path) -> Runner:
    """An ONNX file in ONNX Runtime, float32, on as many threads as torch uses."""
    onnxruntime = needed("onnxruntime", extra="onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> Tensor:
        parts = [session.run(None, {name: image[None].numpy()})[0] for image in images.contiguous()]
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    return run


def openvino_runner(file: Path, dtype: torch.dtype | None, shape: tuple[int, ...]) -> Runner:
    """An ONNX file in OpenVINO, for images of `shape` (C, *S); the images of a batch run side by side on its streams."""
    openvino = needed("openvino", extra="openvino")
    core = openvino.Core()
    model = core.read_model(str(file))
    model.reshape([1, *shape])
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if dtype is torch.bfloat16 else "f32",
    }
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", settings))
    answers: dict[int, Any] = {}
    queue.set_callback(lambda request, index: answers.__setitem__(index, request.get_output_tensor(0).data.copy()))

    def run(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        for index in range(len(array)):
            queue.start_async({0: array[index : index + 1]}, index)
        queue.wait_all()
        return torch.from_numpy(np.concatenate([answers.pop(index) for index in range(len(array))]))

    return run


def _one(logits: Any) -> Tensor:
    """The logits of a network in eval mode."""
    tensor: Tensor = logits[0] if isinstance(logits, (list, tuple)) else logits
    return tensor.as_subclass(Tensor)
