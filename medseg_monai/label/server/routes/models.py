"""The weights of models."""

from __future__ import annotations

import shutil
from typing import Annotated, Any

from fastapi import File, HTTPException, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance

from medseg_monai.bundle.trained import WEIGHTS_FILE
from medseg_monai.label.server.gate import ADMIN, ANNOTATOR, NOT_FOUND, scratch
from medseg_monai.label.server.learn import put_aside, replace_weights


def info(model: str) -> Any:
    """Checksum and age of the weights in use."""
    app_instance().model(model)
    found = app_instance().model_info(model)
    if not found:
        raise HTTPException(NOT_FOUND, f"model '{model}' has no weights now")
    return found


def download(model: str) -> FileResponse:
    """The weights in use."""
    weights = app_instance().model(model).weights
    if not weights.is_file():
        raise HTTPException(NOT_FOUND, f"model '{model}' has no weights now")
    return FileResponse(weights, media_type="application/octet-stream", filename=f"{model}.pt")


def upload(model: str, file: Annotated[UploadFile, File()]) -> Any:
    """Replace the weights by others of the same network; those in use are kept."""
    task = app_instance().model(model)
    with scratch() as folder:
        weights = folder / WEIGHTS_FILE
        with weights.open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        replace_weights(task.weights.parent, weights)
    return {key: info(model)[key] for key in ("checksum", "modified_time")}


def remove(model: str) -> dict[str, Any]:
    """Move the weights in use aside."""
    weights = app_instance().model(model).weights
    if not weights.is_file():
        raise HTTPException(NOT_FOUND, f"model '{model}' has no weights now")
    put_aside(weights.parent)
    weights.unlink()
    return {}


ROUTES = (
    ("GET", "/model/info/{model}", info, ADMIN),
    ("GET", "/model/{model}", download, ADMIN),
    ("PUT", "/model/{model}", upload, ANNOTATOR),
    ("DELETE", "/model/{model}", remove, ANNOTATOR),
)
