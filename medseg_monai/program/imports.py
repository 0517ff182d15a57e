"""Quick start-up: modules that MONAI, ignite and timm import but a prediction does not use are left out while those are imported.

MONAI imports every optional package that it finds, and timm every network that it has. Together with their dependencies (torch's compiler,
sharded training, SymPy) these are half of the modules that a first mask would have to wait for.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from medseg_monai.program.process import IS_PROGRAM

UNUSED = (
    "cv2",
    "gdown",
    "huggingface_hub",
    "itk",
    "jsonschema",
    "lmdb",
    "matplotlib",
    "mlflow",
    "monai.apps.auto3dseg",
    "monai.apps.deepedit",
    "monai.apps.deepgrow",
    "monai.apps.detection",
    "monai.apps.generation",
    "monai.apps.nuclick",
    "monai.apps.pathology",
    "monai.apps.reconstruction",
    "monai.apps.vista3d",
    "monai.auto3dseg",
    "onnx",
    "onnxruntime",
    "openslide",
    "pandas",
    "psutil",
    "pydicom",
    "pynrrd",
    "requests",
    "scipy.optimize",
    "scipy.signal",
    "scipy.sparse",
    "scipy.spatial",
    "scipy.stats",
    "skimage",
    "sklearn",
    "tensorboard",
    "tifffile",
    "torch.utils.tensorboard",
    "torchvision",
    "transformers",
)
"""Optional packages that MONAI and ignite import but prediction does not use through them."""

STOOD_IN = ("numpy.f2py", "torch.distributed.optim")
"""Imported by SciPy with all else of NumPy; by ignite for one class, used in `isinstance` checks: it brings sharded training and SymPy."""

STOOD_IN_FOR_TIMM = (
    "timm.models.gemma4_vit",
    "timm.models.naflexvit",
    "torchvision._meta_registrations",
    "torchvision.datasets",
    "torchvision.io",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
)
"""Imported by timm for classes that its convolutional encoders do not use: they bring torch's compiler."""

IMPORTED = re.compile(r"^from \.(\w+) import", re.MULTILINE)
"""A module beside this one."""


@contextmanager
def without_unused(packages: tuple[str, ...] = UNUSED) -> Iterator[None]:
    """Make packages look uninstalled while MONAI is imported, which MONAI can handle; afterwards they can be imported as usual.

    For a process that does one thing: parts of MONAI that need one of these packages say so when they are called. Packages that are
    already imported are not affected.
    """
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to mark a module as missing
    try:
        with stood_in():
            yield
    finally:
        for name in hidden:
            if sys.modules.get(name, ...) is None:
                del sys.modules[name]


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import MONAI sooner in the `medseg` program, which does one thing; nothing in a Python program, which may do others.

    It is imported `without_unused`, without a search for garbage, which takes a tenth of the time and finds none, and after SciPy's
    `ndimage`: MONAI tries to import that a dozen times, and `without_unused` each time fails halfway.
    """
    if not IS_PROGRAM.get() or "monai" in sys.modules:
        yield
        return
    with _without_collection(), _short_tracebacks():
        import_module("numpy")  # what stands in for its modules becomes its attribute
        with stood_in(), stood_in(("scipy.special",), kind=_Later):  # half of ndimage's time, and only `rotate` uses it
            import_module("scipy.ndimage")
        with without_unused():
            yield


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for garbage meanwhile; what is there at the end, modules above all, is never searched again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _short_tracebacks() -> Iterator[None]:
    """For each package that is missing MONAI formats a traceback, thousands of lines in all: meanwhile they have none."""
    sys.tracebacklimit = 0
    try:
        yield
    finally:
        del sys.tracebacklimit


class _StandIn(ModuleType):
    """A module in which every name is a class that no object belongs to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # a package, so that modules below it can stand in too

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Later(ModuleType):
    """A module that is imported when something of it is first used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


@contextmanager
def stood_in(modules: tuple[str, ...] = STOOD_IN, *, kind: type[ModuleType] = _StandIn) -> Iterator[None]:
    """Let light modules stand for heavy ones in what is imported meanwhile; gone afterwards.

    Modules that are imported already stay as they are.

    Args:
        modules: the heavy ones.
        kind: `_StandIn` if what is imported takes only classes to compare with, `_Later` if it may use the module some day.
    """
    stand_ins = {name: kind(name) for name in modules if name not in sys.modules}
    sys.modules.update(stand_ins)
    for name, stand_in in stand_ins.items():
        above, _, last = name.rpartition(".")
        if above in sys.modules:  # as if it had been imported: NumPy looks for an attribute that is missing for ever
            setattr(sys.modules[above], last, stand_in)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
            above, _, last = name.rpartition(".")
            if vars(sys.modules.get(above, stand_in)).get(last) is stand_in:
                delattr(sys.modules[above], last)


def import_timm(encoders: Collection[str]) -> None:
    """Import timm, if it is installed, with these models alone; a version that needs more is imported as it is, later.

    For a process that builds no other model: timm lists only these.
    """
    found = find_spec("timm")
    if "timm" in sys.modules or found is None or found.origin is None:
        return
    others = [f"timm.models.{name}" for name in _not_needed(Path(found.origin).parent / "models", encoders)]
    try:
        with without_unused(("huggingface_hub",)), stood_in((*STOOD_IN_FOR_TIMM, *others)):
            import_module("timm")
    except Exception:  # whatever the stand-ins lack
        for name in [name for name in sys.modules if name.partition(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]


def _not_needed(folder: Path, encoders: Collection[str]) -> set[str]:
    """The modules of models in timm's folder that neither define these nor are imported by those that do; none if one is unknown."""
    sources = {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.py") if file.stem != "__init__"}
    names = [encoder.partition(".")[0] for encoder in encoders]
    defining = {name: {module for module, text in sources.items() if f"\ndef {name}(" in text} for name in names}
    if not all(defining.values()):
        return set()
    models = {module for module in sources if not module.startswith("_")}
    needed = set().union(*defining.values())
    while more := {below for module in needed for below in IMPORTED.findall(sources[module])} & models - needed:
        needed |= more
    return models - needed
