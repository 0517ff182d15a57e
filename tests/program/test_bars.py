"""A bar is shown on a terminal and in a notebook, by widgets only if the notebook has them."""

import io
import sys
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from medseg_monai.program import bars
from medseg_monai.program.bars import in_notebook, progress_bar


def pretend(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_a_notebook_is_what_has_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    pretend(monkeypatch, None)
    assert not in_notebook(), "IPython is imported, but does not run this"
    pretend(monkeypatch, SimpleNamespace())
    assert not in_notebook(), "IPython on a terminal"
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    assert in_notebook()


def test_no_bar_is_written_to_a_file_but_to_a_notebook_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    screen = io.StringIO()
    assert list(progress_bar()(range(3), file=screen)) == [0, 1, 2]
    assert screen.getvalue() == ""
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    monkeypatch.setattr(bars, "find_spec", lambda name: None)
    assert list(progress_bar()(range(3), file=screen)) == [0, 1, 2]
    assert "3/3" in screen.getvalue()


def test_widgets_are_used_if_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, SimpleNamespace(kernel=object()))
    monkeypatch.setattr(bars, "find_spec", lambda name: object() if name == "ipywidgets" else None)
    kind = progress_bar().func  # type: ignore[attr-defined]
    assert kind.__module__ == "tqdm.notebook"
    assert issubclass(kind, tqdm)
