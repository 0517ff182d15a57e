"""Packages that look uninstalled for a moment."""

import importlib
import sys

import pytest

from medseg_monai.startup import without_unused


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
