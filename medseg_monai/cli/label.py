"""`medseg label serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

label_app = typer.Typer(help="Annotate with the help of a model: a MONAI Label server for 3D Slicer, OHIF and others.")


@label_app.callback()
def _label() -> None:
    """Make `serve` a subcommand even though it is the only one."""


@label_app.command()
def serve(
    studies: Annotated[
        str,
        typer.Option("--studies", "-s", help="Folder of images, in which labels are saved too; or a DICOMweb URL."),
    ],
    bundles: Annotated[
        str, typer.Option("--bundles", "-b", help="Bundles to serve, NAME or NAME=WEIGHTS, separated by commas.")
    ],
    app: Annotated[
        Path | None,
        typer.Option(help="Folder for the models and their new weights; default: monailabel_app in STUDIES, or here."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. With 0.0.0.0 other machines can connect; there is no password."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    max_upload_mb: Annotated[
        int, typer.Option(min=1, help="Largest request accepted, in MB: an image, a label or weights.")
    ] = 1024,
) -> None:
    """Serve bundles with their weights to annotation tools; needs the environment of `make label-env`."""
    from medseg_monai.label.serve import APP_NAME, is_address, parse_bundles
    from medseg_monai.label.serve import serve as run_server

    folder = app or (Path() if is_address(studies) else Path(studies)) / APP_NAME
    run_server(parse_bundles(bundles), studies, folder, host=host, port=port, max_upload_mb=max_upload_mb)
