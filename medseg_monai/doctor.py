"""What is installed, what hardware is seen, what is missing: the facts that most questions about a failing run begin with."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from medseg_monai.bundle import list_bundles
from medseg_monai.engines.precision import precision_of
from medseg_monai.trained import WEIGHTS_FILE

REQUIRED = (
    "torch",
    "monai",
    "pytorch-ignite",
    "numpy",
    "scipy",
    "pillow",
    "nibabel",
    "matplotlib",
    "tensorboard",
    "fire",
)
# package -> what it is for, and how to get it
OPTIONAL = {
    "timm": "ImageNet encoders: pip install 'medseg-monai[encoders]'",
    "SimpleITK": "DICOM, NRRD and MHA volumes: pip install 'medseg-monai[volumes]'",
    "pydicom": "DICOM volumes: pip install 'medseg-monai[volumes]'",
    "onnxruntime": "engine onnx: pip install 'medseg-monai[onnx]'",
    "openvino": "engine openvino: pip install 'medseg-monai[openvino]'",
    "highdicom": "DICOM-SEG: pip install 'medseg-monai[dicomseg]'",
}


@dataclass(frozen=True)
class Finding:
    """One fact: what was looked at, whether it is as it should be, and what was found."""

    what: str
    fine: bool
    found: str


def examine() -> list[Finding]:
    """Look at Python, packages, hardware, disk and bundles."""
    return [*_software(), *_hardware(), _cache(), *_bundles()]


def _software() -> list[Finding]:
    findings = [Finding("python", True, f"{platform.python_version()} on {platform.platform()}")]
    for package in REQUIRED:
        found = _version(package)
        findings.append(Finding(package, found is not None, found or f"missing: pip install {package}"))
    for package, purpose in OPTIONAL.items():
        found = _version(package)
        findings.append(Finding(package, found is not None, found or f"not installed; {purpose}"))
    return findings


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hardware() -> list[Finding]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "none seen: computing on the CPU"
    dtype = precision_of("auto", device)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        Finding("GPU", device == "cuda", name),
        Finding("CPU", True, f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"),
        Finding("precision", True, f"auto means {str(dtype or torch.float32).removeprefix('torch.')} on {device}"),
        Finding("disk", free > 5, f"{free:.0f} GB free here"),
    ]


def _cache() -> Finding:
    """Where training keeps decoded images (MEDSEG_CACHE moves it), and how much."""
    folder = Path(os.environ.get("MEDSEG_CACHE", "~/.cache/medseg_monai")).expanduser()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    return Finding(
        "cache", True, f"{size / 1e6:.0f} MB of decoded images in {folder}, which may be deleted at any time"
    )


def _bundles() -> list[Finding]:
    try:
        bundles = list_bundles()
    except FileNotFoundError as error:
        return [Finding("bundles", False, str(error))]
    findings = []
    for bundle in bundles:
        trained = sorted(path.parent.name for path in (bundle / "models").glob(f"*/{WEIGHTS_FILE}"))
        findings.append(Finding(f"bundle {bundle.name}", True, f"trained on: {', '.join(trained) or 'nothing yet'}"))
    return findings
