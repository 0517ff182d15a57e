"""Quick to start: MONAI imports every optional package that it finds.

On a machine with all of them, importing takes a third less time without those that prediction does not use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = (
    "cv2",
    "itk",
    "lmdb",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxruntime",
    "openslide",
    "pandas",
    "psutil",
    "pydicom",
    "pynrrd",
    "scipy.signal",
    "skimage",
    "sklearn",
    "tensorboard",
    "tifffile",
    "torch.utils.tensorboard",
    "torchvision",
    "transformers",
)
"""What MONAI and ignite import if it is there, and prediction does not use through them."""


@contextmanager
def without_unused(packages: tuple[str, ...] = UNUSED) -> Iterator[None]:
    """Let packages look uninstalled while MONAI is imported, which it is prepared for; afterwards they can be imported as ever.

    For a process that does one thing: what of MONAI needs one of these packages says so when it is called. Packages that are imported
    already stay as they are.
    """
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, ...) is None:
                del sys.modules[name]
