"""Quick start-up: modules that MONAI, ignite and timm import but a prediction does not use are left out while those are imported.

MONAI imports every optional package that it finds, and timm every network that it has. Together with their dependencies (torch's compiler,
sharded training, SymPy) these are half of the modules that a first mask would have to wait for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

UNUSED = (
    "cv2",
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
    "scipy.optimize",
    "scipy.signal",
    "scipy.sparse",
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

STOOD_IN = ("torch.distributed.optim",)
"""Imported by ignite for one class, used in `isinstance` checks: it brings sharded training and SymPy."""

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


@contextmanager
def stood_in(modules: tuple[str, ...] = STOOD_IN) -> Iterator[None]:
    """Let empty modules stand for heavy ones, of which what is imported meanwhile takes classes to compare with; gone afterwards.

    Modules that are imported already stay as they are.
    """
    stand_ins = {name: _StandIn(name) for name in modules if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
            above, _, last = name.rpartition(".")
            if vars(sys.modules.get(above, stand_in)).get(last) is stand_in:
                delattr(sys.modules[above], last)


def import_timm() -> None:
    """Import timm, if it is installed, with the convolutional encoders alone; a version that needs more is imported as it is, later."""
    if "timm" in sys.modules:
        return
    try:
        with stood_in(STOOD_IN_FOR_TIMM):
            import_module("timm")
    except Exception:  # whatever the stand-ins lack
        for name in [name for name in sys.modules if name.partition(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]
