"""A network as a file that another runtime reads: TorchScript, ONNX, OpenVINO, torch.export; batch and image size stay free.

Each function takes the network in eval mode on the CPU, writes one file (OpenVINO: two) and stores `facts`, texts by name, in it.
Input ``image``: float32, (B, C, W, H) or (B, C, I, J, K), normalised as the spec says. Output ``logits``: (B, classes, same size).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.kinds import kind_of
from medseg_monai.program.messages import did_you_mean

Format = Literal["torchscript", "onnx", "openvino", "torch-export"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[Format, str] = {"torchscript": ".ts", "onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
INPUT, OUTPUT = "image", "logits"
OPSET = 18  # the newest that torch's tracing exporter writes
RT_INFO = "medseg_monai"
"""Section of an OpenVINO file's ``rt_info`` that holds the facts."""


def convert(
    network: nn.Module, spec: DatasetSpec, file: Path, fmt: Format, *, facts: Mapping[str, str] | None = None
) -> None:
    """Write `network` to `file` in the format `fmt`.

    Raises:
        ValueError: the format is unknown.
        ImportError: the format needs a package that is not installed; the message names the extra.
        RuntimeError: the converter cannot convert this network.
    """
    if fmt not in FORMATS:
        raise ValueError(f"unknown format {fmt!r}{did_you_mean(fmt, FORMATS)}")
    converters = {
        "torchscript": to_torchscript,
        "onnx": to_onnx,
        "openvino": to_openvino,
        "torch-export": to_torch_export,
    }
    converters[fmt](network, spec, file, facts=facts)


def to_torchscript(
    network: nn.Module, spec: DatasetSpec, file: Path, *, facts: Mapping[str, str] | None = None
) -> None:
    """TorchScript: ``torch.jit.load(file)``. Facts are extra files ``<name>.json``, as MONAI stores its own.

    A network that cannot be scripted (some of MONAI's transformers) is traced, which may bind it to the size of the spec.
    """
    with _ready(network):
        try:
            module = torch.jit.script(network)
        except (RuntimeError, TypeError, NotImplementedError, torch.jit.frontend.NotSupportedError):
            module = torch.jit.trace(network, _example(spec), check_trace=False)  # type: ignore[no-untyped-call]
        extra = {f"{name}.json": text for name, text in (facts or {}).items()}
        torch.jit.save(module, str(file), _extra_files=extra)


def to_torch_export(
    network: nn.Module, spec: DatasetSpec, file: Path, *, facts: Mapping[str, str] | None = None
) -> None:
    """torch.export's archive: ``torch.export.load(file).module()``. Facts are extra files ``<name>.json``."""
    sizes = {axis: torch.export.Dim.AUTO for axis in range(spec.spatial_dims + 2) if axis != 1}
    with _ready(network):
        program = torch.export.export(network, (_example(spec),), dynamic_shapes=(sizes,))
    if hasattr(program, "_guards_code"):
        # conditions on sizes that affect only torch's memory layout (is a cropped map contiguous, may a product be folded):
        # other sizes violate them and give the same answers, which `medseg export` checks
        program._guards_code = []
    torch.export.save(program, file, extra_files={f"{name}.json": text for name, text in (facts or {}).items()})


def to_onnx(network: nn.Module, spec: DatasetSpec, file: Path, *, facts: Mapping[str, str] | None = None) -> None:
    """ONNX (opset 18) for ONNX Runtime and others. Facts are ``metadata_props``."""
    onnx = needed("onnx", extra="onnx")
    axes = {0: "batch", **{2 + axis: name for axis, name in enumerate(axis_names(spec))}}
    with _ready(network):
        torch.onnx.export(
            network,
            (_example(spec),),
            str(file),
            dynamo=False,  # the tracing exporter keeps every network's sizes free and needs no further package
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: axes},
        )
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, dict(facts or {}))
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def to_openvino(network: nn.Module, spec: DatasetSpec, file: Path, *, facts: Mapping[str, str] | None = None) -> None:
    """OpenVINO: `file` (.xml) and its weights beside it (.bin), in float32. Facts are in ``rt_info`` below ``medseg_monai``."""
    openvino = needed("openvino", extra="openvino")
    shape = [-1, spec.in_channels, *[-1] * spec.spatial_dims]
    with _ready(network):
        model = openvino.convert_model(network, example_input=_example(spec), input=[shape])
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    for name, text in (facts or {}).items():
        model.set_rt_info(text, [RT_INFO, name])
    openvino.save_model(model, str(file), compress_to_fp16=False)


def axis_names(spec: DatasetSpec) -> tuple[str, ...]:
    """Names of the spatial axes, in the order of tensors."""
    return kind_of(spec).axes


def network_size(spec: DatasetSpec) -> tuple[int, ...]:
    """The spatial size for trying a network: the spec's, or 64 voxels per side if volumes are only resampled."""
    return spec.size or (64,) * spec.spatial_dims


def needed(module: str, *, extra: str) -> Any:
    """The module, imported now.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed: pip install 'medseg-monai[{extra}]'") from error


def _example(spec: DatasetSpec) -> Tensor:
    """Two images of noise: with one, converters would take the batch for a constant."""
    return torch.randn(2, spec.in_channels, *network_size(spec), generator=torch.Generator().manual_seed(0))


@contextmanager
def _ready(network: nn.Module) -> Iterator[None]:
    """No gradients, eval mode, and without the converters' warnings about shapes that become constants."""
    if network.training:
        raise ValueError("a network must be exported in eval mode: call network.eval() first")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
