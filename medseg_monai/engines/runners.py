"""A network prepared for one engine and precision: a function from images to logits, both float32 (B, C, *S)."""

from __future__ import annotations

import copy
import functools
import importlib.util
import io
import math
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from medseg_monai.engines.convert import INPUT, OUTPUT, needed
from medseg_monai.engines.onednn import quickened
from medseg_monai.engines.streams import side_by_side
from medseg_monai.files.writing import write_whole

Runner = Callable[[Tensor], Tensor]

ENGINES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""Engine -> its package."""
PLAIN = "plain"
"""No engine: torch as it is, in float32, with which all others are compared."""
CPU_PIXELS = 256 * 256
"""Number of float32 pixels per core and pass, twice as many for bfloat16. A compromise between networks at full resolution, which are
fastest with half of it because their maps stay in the cache, and those with a coarser first layer, whose weights cost more (twice)."""


def is_installed(engine: str) -> bool:
    """Whether the engine's packages are installed; engines other than torch read files exported with the package onnx."""
    needed = {ENGINES[engine]} if engine == "torch" else {ENGINES[engine], "onnx"}
    return all(importlib.util.find_spec(package) is not None for package in needed)


def check_installed(engine: str) -> None:
    """Refuse an engine that is unknown or not installed.

    Raises:
        ValueError: the engine is unknown.
        ImportError: it is not installed; the message says what to install.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be auto, {', '.join(ENGINES)}, not {engine!r}")
    if not is_installed(engine):
        raise ImportError(
            f"engine {engine} is not installed: pip install 'medseg-monai[{engine}]', or use engine torch"
        )


def layout_of(images: Tensor) -> torch.memory_format:
    """The memory layout that convolutions over (B, C, *S) are fastest in."""
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(images.ndim, torch.preserve_format)


def plain_runner(network: nn.Module) -> Runner:
    """The unchanged network in float32: the reference for the others."""

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return _one(network(images.float()))

    return run


def torch_runner(network: nn.Module, dtype: torch.dtype | None) -> Runner:
    """The (fused) network in torch, channels last, in `dtype` if that is not float32."""
    network = quickened(network if dtype is None else with_weights_in(network, dtype))

    @torch.no_grad()
    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None):
            return _one(network(images)).float()

    def run(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=layout_of(images))
        if images.device.type != "cpu":
            return forward(images)
        pixels = CPU_PIXELS * (2 if dtype is torch.bfloat16 else 1)
        each = -(-len(images) // torch.get_num_threads())  # images for each core
        parts = torch.split(images, max(1, min(each, pixels // math.prod(images.shape[2:]))))
        return torch.cat(side_by_side(forward, parts))

    return run


def with_weights_in(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy with the weights of convolutions and linear layers in `dtype`, which autocast would otherwise convert for every batch."""
    clone = copy.deepcopy(network)
    for module in clone.modules():
        if isinstance(module, (_ConvNd, nn.Linear)):
            module.to(dtype)
    return clone


def export_onnx(network: nn.Module, example: Tensor, file: Path) -> Path:
    """Write the network as ONNX; the number of images is free, their size that of `example`, for which engines can then optimise.

    By tracing, which takes a second where torch's newer exporter takes ten.
    """
    content: Any = io.BytesIO()  # torch accepts it, whatever its annotation says
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every size that becomes a constant, which is intended here
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
    """An ONNX file in ONNX Runtime, float32, on as many threads as torch uses.

    The images of a batch are run side by side if there are as many as cores, else one after another on all cores: runs of one session
    share its threads.
    """
    onnxruntime = needed("onnxruntime", extra="onnx")

    def session(threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # threads that wait must not keep the cores busy which read and write other images
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    cores = torch.get_num_threads()
    on_all = session(cores)  # a file that cannot be read is noticed here
    on_one = functools.cache(lambda: session(1))

    def run(images: Tensor) -> Tensor:
        together = 1 < cores <= len(images)
        ready = on_one() if together else on_all
        name = ready.get_inputs()[0].name

        def forward(image: Tensor) -> Tensor:
            return torch.from_numpy(ready.run(None, {name: image.numpy()})[0])

        parts = torch.split(images.contiguous(), 1)
        return torch.cat(side_by_side(forward, parts) if together else [forward(part) for part in parts])

    return run


def openvino_runner(file: Path, dtype: torch.dtype | None, shape: tuple[int, ...]) -> Runner:
    """An ONNX file in OpenVINO, for images of `shape` (C, *S): one on all cores, those of a batch side by side."""
    openvino = needed("openvino", extra="openvino")
    core = openvino.Core()
    model = core.read_model(str(file))
    model.reshape([1, *shape])
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if dtype is torch.bfloat16 else "f32",
    }

    @functools.cache
    def requests(hint: str) -> list[Any]:
        compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint, **settings})
        return [
            compiled.create_infer_request() for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        ]

    in_use = threading.Lock()  # a request can process one image at a time

    # no AsyncInferQueue: its destructor holds Python's global lock while it waits for threads that need this lock to release callbacks
    def run(images: Tensor) -> Tensor:
        array = images.contiguous().numpy()
        answers: list[NDArray[np.float32]] = []
        with in_use:
            ready = requests("LATENCY" if len(array) == 1 else "THROUGHPUT")
            for index in range(len(array) + len(ready)):
                request = ready[index % len(ready)]
                if 0 <= index - len(ready) < len(array):
                    request.wait()
                    answers.append(request.get_output_tensor(0).data.copy())
                if index < len(array):
                    request.start_async({0: array[index : index + 1]}, share_inputs=True)
        return torch.from_numpy(np.concatenate(answers))

    return run


def _one(logits: Any) -> Tensor:
    """The logits of a network in eval mode."""
    tensor: Tensor = logits[0] if isinstance(logits, (list, tuple)) else logits
    return tensor.as_subclass(Tensor)
