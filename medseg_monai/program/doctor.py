"""What is installed, what hardware is found, what is missing: the first facts to check when a run fails.

Collected without importing torch or MONAI, so it is quick and works on a broken installation.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from medseg_monai.bundle.paths import list_bundles, trained_on

REQUIRED = (
    "torch",
    "monai",
    "pytorch-ignite",
    "numpy",
    "scipy",
    "pillow",
    "nibabel",
    "SimpleITK",
    "pydicom",
    "matplotlib",
    "timm",
    "tensorboard",
    "fire",
)
# package -> its purpose, and how to install it
OPTIONAL = {
    "onnxruntime": "engine onnx: pip install 'medseg-monai[onnx]'",
    "openvino": "engine openvino: pip install 'medseg-monai[openvino]'",
    "highdicom": "DICOM-SEG: pip install 'medseg-monai[dicomseg]'",
}


@dataclass(frozen=True)
class Finding:
    """One fact: what was checked, whether it is fine, and what was found."""

    what: str
    fine: bool
    found: str


def examine() -> list[Finding]:
    """Check Python, packages, hardware, disk and bundles."""
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
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        _gpu(_gpu_names(), _cuda_of_torch()),
        Finding("CPU", True, f"{os.cpu_count()} cores, {_bfloat16(_cpu_flags())}"),
        Finding("disk", free > 5, f"{free:.0f} GB free here"),
    ]


def _gpu(names: str, cuda: str) -> Finding:
    """Whether a torch of that CUDA version ("" for none) can use the driver's GPUs."""
    if not names:
        return Finding("GPU", False, "none found: computing on the CPU")
    if not cuda:
        return Finding(
            "GPU", False, f"{names}, but this torch has no CUDA: install one with CUDA from https://pytorch.org"
        )
    return Finding("GPU", True, f"{names}, torch's CUDA {cuda}")


def _gpu_names() -> str:
    """Names of the GPUs as NVIDIA's driver gives them, or ""."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(line.strip() for line in answer.splitlines() if line.strip())


def _cuda_of_torch() -> str:
    """The version of CUDA that torch was built with, or ""; read from its file, because importing torch takes seconds."""
    torch = find_spec("torch")
    file = Path(torch.origin or "").with_name("version.py") if torch else Path()
    found = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)", file.read_text(), re.MULTILINE) if file.is_file() else None
    return found[1] if found else ""


def _cpu_flags() -> set[str]:
    """Features of the CPU, as listed by Linux; empty on other systems."""
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return set()
    return set(found[1].split()) if found else set()


def _bfloat16(flags: set[str]) -> str:
    if not flags:
        return "bfloat16 support unknown on this system"
    return "bfloat16 in hardware" if flags & {"avx512_bf16", "amx_tile"} else "float32 only: no bfloat16 in hardware"


def _cache() -> Finding:
    """The cache of decoded images (MEDSEG_CACHE moves it), and its size."""
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
    return [
        Finding(f"bundle {bundle.name}", True, f"trained on: {', '.join(trained_on(bundle)) or 'nothing yet'}")
        for bundle in bundles
    ]
