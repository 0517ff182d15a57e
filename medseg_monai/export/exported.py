"""Reading exported files: running them, and the facts inside."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medseg_monai.engines.convert import INPUT, RT_INFO, SUFFIXES, Format, needed

FACTS = ("spec", "metadata")
"""Names of the texts in an exported file: spec.json, and how to use the file without this package."""


def format_of(file: Path) -> Format:
    """The format, by the file's suffix.

    Raises:
        ValueError: no exported file has that suffix.
    """
    for fmt, suffix in SUFFIXES.items():
        if file.suffix == suffix:
            return fmt
    raise ValueError(f"{file}: the suffix of an exported file must be one of {', '.join(SUFFIXES.values())}")


def open_exported(file: Path, fmt: Format | None = None) -> Callable[[Tensor], Tensor]:
    """A function that runs the file: images (B, C, *S), float32 on the CPU, to logits.

    Raises:
        ImportError: its runtime is not installed.
    """
    opened = {"torchscript": _torchscript, "torch-export": _torch_export, "onnx": _onnx, "openvino": _openvino}
    return opened[fmt or format_of(file)](file)


def read_facts(file: Path, fmt: Format | None = None) -> dict[str, Any]:
    """The facts stored in the file, by name (`FACTS`); {} if there are none."""
    texts = _texts(file, fmt or format_of(file))
    return {name: json.loads(text) for name, text in texts.items() if text}


def _texts(file: Path, fmt: Format) -> dict[str, str]:
    if fmt == "onnx":
        onnx = needed("onnx", extra="onnx")
        stored = {entry.key: entry.value for entry in onnx.load(str(file), load_external_data=False).metadata_props}
        return {name: stored.get(name, "") for name in FACTS}
    if fmt == "openvino":
        model = needed("openvino", extra="openvino").Core().read_model(str(file))
        return {
            name: str(model.get_rt_info([RT_INFO, name]).value) if model.has_rt_info([RT_INFO, name]) else ""
            for name in FACTS
        }
    extra: dict[str, Any] = {f"{name}.json": "" for name in FACTS}
    if fmt == "torchscript":
        _load_script(file, extra)
    else:
        torch.export.load(file, extra_files=extra)
    return {name.removesuffix(".json"): _text(content) for name, content in extra.items()}


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content


def _torchscript(file: Path) -> Callable[[Tensor], Tensor]:
    return _without_gradients(_load_script(file, {}).eval())


def _load_script(file: Path, extra: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated in torch; MONAI and others still use it
        return torch.jit.load(str(file), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]


def _torch_export(file: Path) -> Callable[[Tensor], Tensor]:
    return _without_gradients(torch.export.load(file).module())


def _without_gradients(module: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def logits(images: Tensor) -> Tensor:
        with torch.no_grad():
            return module(images)

    return logits


def _onnx(file: Path) -> Callable[[Tensor], Tensor]:
    session = needed("onnxruntime", extra="onnx").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])


def _openvino(file: Path) -> Callable[[Tensor], Tensor]:
    openvino = needed("openvino", extra="openvino")
    # float32: the file is compared, not a runtime's choice of precision
    model = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: torch.from_numpy(model(images.numpy())[0].copy())
