"""`medseg app`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer


def app(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
) -> None:
    """Open a page on this machine: drop images, look at masks, correct them, save them. Nothing leaves this machine."""
    if find_spec("nicegui") is None:
        raise ImportError("medseg app needs NiceGUI: pip install 'medseg-monai[app]'")
    from medseg_monai.app.serve import free_port, serve

    serve(free_port(port), browse=browser, say=lambda address: typer.echo(f"{address}\nCtrl-C ends it."))
