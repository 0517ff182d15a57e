"""Progress bars for where the program runs: a terminal, a notebook, or nowhere that anybody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook (Jupyter, VS Code, Colab); IPython on a terminal is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def progress_bar() -> Callable[..., tqdm[Any]]:
    """The kind of tqdm's bars to use here: of widgets in a notebook that has them, otherwise of text.

    On a terminal and in a notebook a bar is shown; if the output goes to a file, none is.
    """
    notebook = in_notebook()
    with_widgets = notebook and find_spec("ipywidgets") is not None
    kind = import_module("tqdm.notebook" if with_widgets else "tqdm").tqdm
    return partial(kind, disable=False if notebook else None)
