"""Segmentation of an image of the studies, of a session, or uploaded with the request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import File, Form, HTTPException, Query, Response, UploadFile
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.utils.convert import nifti_to_dicom_seg
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type
from requests_toolbelt import MultipartEncoder

from medseg_monai.label.names import parse_object, shortened
from medseg_monai.label.server.clicks import SegmentByClicks
from medseg_monai.label.server.gate import NOT_FOUND, UNUSABLE, USER, checked, received, scratch
from medseg_monai.label.server.requests import ClickParams, InferParams

Text = Annotated[str, Query(max_length=4096)]
Output = Literal["image", "json", "all", "dicom_seg"]


def infer(
    model: str,
    image: Text = "",
    session_id: Text = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: Output | None = None,
) -> Any:
    """The mask of an image, facts about it, or both."""
    app = app_instance()
    task = app.model(model)
    sent = parse_object(params, "params")
    interactive = isinstance(task, SegmentByClicks)
    kind, left_aside = (ClickParams, ()) if interactive else (InferParams, ("foreground", "background"))
    if interactive:
        sent = with_points_by_class(sent, task.labels)
    given = checked(kind, sent, "params", offered=task.config())
    if label is not None:
        raise ValueError("label: the models here segment images and do not accept scribbles")
    if output == "dicom_seg" and not isinstance(app.datastore(), DICOMWebDatastore):
        raise HTTPException(UNUSABLE, "output: dicom_seg is for the studies of a DICOMweb server; ask for an image")
    only_json = output == "json" or given.output == "json"
    with wanted(image, session_id, file) as source:
        said = given.said("run_id", "output", "timeout", *left_aside)
        result = app.infer({**said, "model": model, "image": source, "annotations": only_json})
    with read_once(result) as mask:
        if output == "dicom_seg":
            return dicom_seg(app.datastore().get_image_uri(image), mask, given.label_info)
        return result["params"] if only_json else answer(mask, result["params"], only_mask=output == "image")


def with_points_by_class(sent: Mapping[str, Any], labels: Iterable[str]) -> dict[str, Any]:
    """A request whose points are under the names of classes, as some clients send them, with those together under ``by_class``."""
    named = [name for name in labels if name in sent and name not in ClickParams.model_fields]
    others = {key: value for key, value in sent.items() if key not in named and key != "by_class"}
    return {**others, "by_class": {name: sent[name] for name in named}} if named else others


@contextmanager
def wanted(image: str, session_id: str, file: UploadFile | None) -> Iterator[str | Path]:
    """The image to segment: the name of an image of the studies, or another file."""
    if file is not None:
        with scratch() as folder:
            yield received(file, folder)
    elif session_id:
        session = app_instance().sessions() and app_instance().sessions().get_session(session_id)
        if not session:
            raise HTTPException(
                NOT_FOUND, f"no session '{shortened(session_id)}': it may have expired; load the image again"
            )
        yield Path(session.image)
    elif image:
        yield image
    else:
        raise HTTPException(
            UNUSABLE, "Neither Image nor File nor Session ID input is provided: name an image of the studies"
        )


@contextmanager
def read_once(result: Mapping[str, Any]) -> Iterator[Path]:
    """The mask's file, removed afterwards; none was written if only JSON was requested."""
    file = Path(result["file"] or os.devnull)
    try:
        yield file
    finally:
        if result["file"]:
            file.unlink(missing_ok=True)


def answer(mask: Path, params: Mapping[str, Any], *, only_mask: bool) -> Response:
    """A mask's file, preceded by the facts about it unless only the mask was requested."""
    kind = get_mime_type(str(mask))
    if only_mask:
        named = {"Content-Disposition": f'attachment; filename="{mask.name}"'}
        return Response(mask.read_bytes(), media_type=kind, headers=named)
    parts = MultipartEncoder(
        fields={
            "params": (None, json.dumps(params), "application/json"),
            "image": (mask.name, mask.read_bytes(), kind),
        }
    )
    return Response(parts.to_string(), media_type=parts.content_type)


def dicom_seg(image: str, mask: Path, label_info: list[dict[str, Any]] | None) -> Response:
    """The mask as DICOM-SEG, by MONAI Label's tools, which ask for names and colours of the classes."""
    if label_info is None:
        raise ValueError("params: label_info is needed for dicom_seg")
    folder = next((image.removesuffix(end) for end in (".nii.gz", ".nii", ".nrrd") if image.endswith(end)), image)
    file = nifti_to_dicom_seg(folder, str(mask), label_info, use_itk=True)
    with read_once({"file": file}) as written:
        named = {"Content-Disposition": f'attachment; filename="{written.name}"'}
        return Response(written.read_bytes(), media_type="application/dicom", headers=named)


def infer_slide(model: str) -> Any:
    """Whole slides are for other apps of MONAI Label; QuPath's requests get a message."""
    app_instance().model(model)
    raise HTTPException(
        UNUSABLE, "whole slides and their regions are not segmented here: send the picture to /infer/MODEL"
    )


ROUTES = (
    ("POST", "/infer/{model}", infer, USER),
    ("POST", "/infer/wsi/{model}", infer_slide, USER),
    ("POST", "/infer/wsi_v2/{model}", infer_slide, USER),
)
