"""Packages that look uninstalled for a moment, or are stood in for; what a quick answer and a first mask import."""

import gc
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.program.imports import _Later, _not_needed, quick_imports, stood_in, without_unused
from medseg_monai.program.process import IS_PROGRAM


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


def test_a_stand_in_gives_classes_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wsgiref.headers", raising=False)
    with stood_in(("wsgiref.headers",)):
        from wsgiref.headers import Headers

        assert not isinstance([], Headers)
        assert "wsgiref.headers" in sys.modules
    assert "wsgiref.headers" not in sys.modules
    assert importlib.import_module("wsgiref.headers").Headers([("a", "b")])["a"] == "b"
    assert not hasattr(importlib.import_module("wsgiref"), "no_such")


def test_what_is_imported_later_comes_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with stood_in(("colorsys",), kind=_Later):
        import colorsys as later
    assert "colorsys" not in sys.modules
    assert not hasattr(later, "__file__"), "what looks at modules does not import it"
    assert later.rgb_to_hsv(1, 1, 1) == (0, 0, 1)
    assert "colorsys" in sys.modules
    with pytest.raises(AttributeError, match="no_such"):
        later.no_such  # noqa: B018


def test_a_module_below_an_imported_package_is_found_as_its_attribute() -> None:
    """NumPy imports some of its modules when its attributes are asked for, again and again if they do not appear."""
    import wsgiref

    with stood_in(("wsgiref.no_such",)):
        assert wsgiref.no_such is sys.modules["wsgiref.no_such"]
    assert not hasattr(wsgiref, "no_such")


def test_a_quick_import_leaves_no_trace_on_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "monai", raising=False)
    begun = IS_PROGRAM.set(True)
    try:
        with quick_imports():
            assert not gc.isenabled()
            assert sys.tracebacklimit == 0
    finally:
        IS_PROGRAM.reset(begun)
        gc.unfreeze()
    assert gc.isenabled()
    assert not hasattr(sys, "tracebacklimit")


def test_a_python_programs_imports_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "monai", raising=False)
    with quick_imports():
        assert gc.isenabled()
        assert not hasattr(sys, "tracebacklimit")
        assert sys.modules.get("onnx", ...) is not None


SPARE = """
import sys
from medseg_monai.program.imports import quick_imports
from medseg_monai.program.process import IS_PROGRAM
IS_PROGRAM.set(True)
with quick_imports():
    import monai.metrics.utils as metrics
import numpy, scipy.ndimage
print(metrics.has_scipy_ndimage, "scipy.special" in sys.modules)
print((scipy.ndimage.rotate(numpy.eye(3), 90).round() == numpy.eye(3)[::-1]).all())
from scipy.special import comb
print(comb(4, 2), numpy.f2py.__file__ is not None)
"""


def test_monai_finds_ndimage_and_what_was_spared_works_when_it_is_used() -> None:
    ended = subprocess.run([sys.executable, "-c", SPARE], capture_output=True, text=True, timeout=300)
    assert ended.stdout.split() == ["True", "False", "True", "6.0", "True"], ended.stderr


def test_a_stand_in_that_a_package_took_for_its_own_is_taken_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "__init__.py").write_text("from shelf import heavy, light\n")
    (tmp_path / "shelf" / "heavy.py").write_text("WEIGHT = 3\n")
    (tmp_path / "shelf" / "light.py").write_text("WEIGHT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with stood_in(("shelf.heavy",)):
        shelf = importlib.import_module("shelf")
        assert isinstance(shelf.heavy.WEIGHT, type)
    assert not hasattr(shelf, "heavy")
    assert (importlib.import_module("shelf.heavy").WEIGHT, shelf.heavy.WEIGHT, shelf.light.WEIGHT) == (3, 3, 1)
    with stood_in(("shelf.heavy",)):
        assert importlib.import_module("shelf.heavy").WEIGHT == 3  # what is imported already stays


ENCODER_MODULES = """
import sys
from medseg_monai.program.imports import import_timm
import_timm(sys.argv[1:])
import timm, torch
named = [timm.is_model(name.partition(".")[0]) for name in sys.argv[1:]]
maps = timm.create_model(sys.argv[1].partition(".")[0], features_only=True)(torch.zeros(1, 3, 64, 64))
print(all(named), len(maps) > 1, *sorted(name for name in sys.modules if name.startswith("timm.models.") and "._" not in name))
"""


@pytest.mark.parametrize(
    ("encoders", "families"),
    [
        (("tf_efficientnet_lite0",), {"efficientnet"}),
        (("resnet18.a1_in1k", "tf_efficientnet_lite2"), {"resnet", "efficientnet"}),
    ],
)
def test_timm_is_imported_with_the_families_that_are_built(encoders: tuple[str, ...], families: set[str]) -> None:
    command = [sys.executable, "-c", ENCODER_MODULES, *encoders]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    known, runs, *modules = ended.stdout.split()
    assert (known, runs) == ("True", "True")
    imported = {name.split(".")[2] for name in modules}
    assert families <= imported
    assert len(imported) < 30, "of about a hundred families"


def test_what_a_family_imports_comes_with_it_and_an_unknown_model_means_all(tmp_path: Path) -> None:
    for name, text in {
        "one": "from .two import Base\ndef small(): ...",
        "two": "from ._parts import Part\n",
        "_parts": "",
        "three": "def other(): ...",
        "__init__": "from .one import *",
    }.items():
        (tmp_path / f"{name}.py").write_text(f"\n{text}")
    assert _not_needed(tmp_path, ["small.in1k"]) == {"three"}
    assert _not_needed(tmp_path, ["other"]) == {"one", "two"}
    assert _not_needed(tmp_path, ["small", "nosuch"]) == set()


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
        ("correct unet nowhere --inside 1,2", 1),
        ("correct unetpp pyproject.toml", 1),
        ("correct unetpp pyproject.toml --inside 1,nan", 1),
        ("correct unetpp pyproject.toml --box 3,3,1,1", 1),
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
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == code
    assert "imported:\n" in ended.stdout
    if code == 1:
        assert ended.stderr.startswith("medseg: error: ")
        assert ended.stderr.count("\n") == 1


FIRST_MASK_MODULES = 2500
"""With all that this package can use installed: 2,412 for a photograph, 4,126 before anything was left out."""
NOT_FOR_A_MASK = (
    "torch._dynamo", "torch._inductor", "torch.distributed.fsdp", "torchvision.models", "sympy", "triton", "numpy.f2py", "scipy.optimize",
    "scipy.special", "scipy.stats", "matplotlib", "pandas", "sklearn", "tensorboard", "pydicom", "SimpleITK", "onnx", "onnxruntime",
    "PIL.PdfImagePlugin",
)  # fmt: skip
MASK_MODULES = f"""
import sys
from medseg_monai.cli import main
sys.argv[0] = "medseg"
try:
    main()
finally:
    print(len(sys.modules), *(name for name in {NOT_FOR_A_MASK} if name in sys.modules))
"""


def test_a_first_mask_imports_only_what_it_uses(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (96, 64), (200, 150, 130)).save(photo)
    command = [sys.executable, "-c", MASK_MODULES, "predict", "unet", str(photo), "--out", str(tmp_path / "masks")]
    folder = REPOSITORY / "bundles" / "unet" / "models"
    ended = subprocess.run(
        [*command, "--weights", str(folder)], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    number, *heavy = ended.stdout.splitlines()[-1].split()
    assert heavy == []
    assert int(number) < FIRST_MASK_MODULES
    assert [file.name for file in (tmp_path / "masks").glob("*.png")] == ["photo_mask.png"]
