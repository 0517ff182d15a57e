"""Trained weights for other runtimes, and bundles as packages."""

from medseg_monai.program.callable_package import make_callable

make_callable(__name__)
