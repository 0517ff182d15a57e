"""The log, OHIF's files, and the proxy to a DICOMweb server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import monailabel.endpoints
import requests
from fastapi import HTTPException, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from monailabel.endpoints import logs, proxy
from monailabel.interfaces.utils.app import app_instance

from medseg_monai.label.serve import is_address
from medseg_monai.label.server.gate import ADMIN, NOT_FOUND, USER

BAD_GATEWAY = 502
OHIF = Path(monailabel.endpoints.__file__).parent / "static" / "ohif"


def log(
    lines: Annotated[int, Query(ge=1, le=100_000)] = 300,
    html: bool = True,
    text: bool = False,
    refresh: Annotated[int, Query(ge=0, le=86_400)] = 0,
) -> Response:
    """The last lines of the server's log."""
    file = Path(app_instance().app_dir) / "logs" / "app.log"
    if not file.is_file():
        raise HTTPException(NOT_FOUND, "there is no log")
    if html and not text:
        page: Response = logs.get_logs(str(file), lines, html, text, refresh)
        return page
    return PlainTextResponse("".join(file.read_text(errors="replace").splitlines(keepends=True)[-lines:]))


async def gpus() -> Any:
    """The output of nvidia-smi."""
    if not shutil.which("nvidia-smi"):
        raise HTTPException(NOT_FOUND, "there is no nvidia-smi on this machine")
    return await logs.gpu_info()


def ohif(path: str) -> FileResponse:
    """OHIF's files; its start page for all other URLs, which it handles itself."""
    file = (OHIF / path).resolve() if "\0" not in path else OHIF
    if not (file.is_relative_to(OHIF.resolve()) and file.is_file()):
        file = OHIF / "index.html"
    if not file.is_file():
        raise HTTPException(NOT_FOUND, "OHIF is not part of this installation of MONAI Label")
    return FileResponse(file)


async def dicomweb(request: Request, path: str, op: str = "") -> Any:
    """The answer of the studies' DICOMweb server."""
    if not is_address(app_instance().studies):
        raise HTTPException(NOT_FOUND, "the studies are a folder, not a DICOMweb server")
    if ".." in path.replace("\\", "/").split("/"):
        raise ValueError("path: '..' leads outside the DICOMweb server")
    try:
        return await proxy.proxy_dicom(request, op, path)
    except requests.RequestException as error:
        raise HTTPException(BAD_GATEWAY, f"the DICOMweb server cannot be reached: {type(error).__name__}") from error


def reload() -> None:
    """Refused: MONAI Label would drop its app with all sessions at anybody's request."""
    raise HTTPException(NOT_FOUND, "not available: stop the server and start it again")


def _proxied(op: str) -> Any:
    async def ask(request: Request, path: str) -> Any:
        return await dicomweb(request, path, op)

    return ask


ROUTES = (
    ("GET", "/logs/", log, ADMIN),
    ("GET", "/logs/gpu", gpus, ADMIN),
    ("GET", "/ohif/{path:path}", ohif, USER),
    *(
        (method, f"/proxy/dicom/{op}{'/' if op else ''}{{path:path}}", _proxied(op), USER)
        for op in ("wado", "qido", "stow", "")
        for method in ("GET", "POST")
    ),
    ("POST", "/reload", reload, ADMIN),
)
