"""Packages that are functions too: `medseg_monai.prepare`, `explain`, `export` and `audit` are commands' names.

``medseg_monai.prepare("isic2017", raw)`` calls `medseg_monai.api.prepare.prepare`; ``from medseg_monai.prepare.isic import …`` finds the
package. An attribute of this name can only be one of them: Python sets it to the package when anything in it is imported.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that passes calls on to the function of its name."""

    def _function(self) -> FunctionType:
        name = self.__name__.rpartition(".")[2]
        function: FunctionType = getattr(import_module(f"medseg_monai.api.{name}"), name)
        return function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function, which refuses what it does not know."""
        return self._function()(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's, for help and completion."""
        return inspect.signature(self._function())


def make_callable(package: str) -> None:
    """Let a package be called: it passes calls on to the function of its name in `medseg_monai.api`."""
    sys.modules[package].__class__ = _CallablePackage
