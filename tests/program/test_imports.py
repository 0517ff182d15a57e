"""Packages that look uninstalled for a moment; what a quick answer imports."""

import importlib
import subprocess
import sys

import pytest

from medseg_monai.program.imports import without_unused


def test_hidden_packages_cannot_be_imported_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without_unused(("colorsys",)), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_what_is_imported_already_stays() -> None:
    with without_unused(("json", "pytest")):
        assert importlib.import_module("pytest") is pytest


def test_an_error_inside_leaves_nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(RuntimeError), without_unused(("colorsys",)):
        raise RuntimeError
    assert importlib.import_module("colorsys")


HEAVY = ("torch", "monai", "ignite", "matplotlib", "scipy.ndimage", "scipy.stats", "tensorboard")
"""What takes seconds to import together."""
LIST_MODULES = f"""
import sys
from medseg_monai.cli import main
sys.argv[0] = "medseg"
try:
    main()
finally:
    print("imported:", *(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 0),
        ("-h", 0),
        ("--version", 0),
        ("list", 0),
        ("doctor", 0),
        ("predict -h", 0),
        ("predict unet", 2),
        ("nosuch", 2),
        ("predict nosuch x --out out", 1),
        ("predict unet nowhere --out out", 1),
        ("explain unet nowhere --out out", 1),
        ("train unet -d nowhere", 1),
        ("train unet --set lr", 1),
        ("evaluate unet -w nowhere", 1),
        ("tune unet -w nowhere", 1),
        ("review unet -d nowhere", 1),
        ("compare nowhere --out out", 1),
        ("export unet -w nowhere --out out.onnx", 1),
        ("package unet -w nowhere --out out.zip", 1),
        ("prepare folder nowhere --out out", 1),
        ("prepare nifti nowhere --out out", 1),
        ("prepare msd nowhere --out out", 1),
        ("prepare uwmadison nowhere --out out", 1),
    ],
)
def test_a_quick_answer_imports_nothing_heavy(arguments: str, code: int) -> None:
    command = [sys.executable, "-c", LIST_MODULES, *arguments.split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert "imported:\n" in ended.stdout
    if code == 1:
        assert ended.stderr.startswith("medseg: error: ")
        assert ended.stderr.count("\n") == 1
