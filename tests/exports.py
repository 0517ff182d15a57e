"""What tests of exports share."""

import pytest

from medseg_monai.dataset.spec import DatasetSpec

PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}


def need(fmt: str) -> None:
    for package in PACKAGES.get(fmt, ()):
        pytest.importorskip(package)


def spec_of(**changes) -> DatasetSpec:
    defaults = {"classes": ("liver", "spleen"), "channels": ("r", "g", "b"), "size": (48, 64)}
    return DatasetSpec("organs", "multiclass", **{**defaults, **changes})
