"""Images, labels, and the information stored with them."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import File, Form, HTTPException, Query, UploadFile
from fastapi.background import BackgroundTasks
from fastapi.responses import FileResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import file_checksum, get_mime_type, remove_file

from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES
from medseg_monai.label.names import check_name, parse_object, shortened, split_file_name
from medseg_monai.label.server.gate import (
    ADMIN,
    ANNOTATOR,
    NOT_FOUND,
    USER,
    checked,
    received,
    scratch,
)
from medseg_monai.label.server.requests import LabelParams

OWN_KEYS = ("strategy", "ts", "name", "path")
"""Keys that the server itself stores with images and labels; ``uncertainty_…`` too."""
ALGORITHMS = ("SHA256", "SHA512", "MD5")
Text = Annotated[str, Query(max_length=4096)]


def list_all(output: Literal["train", "stats", "all"] | None = None) -> Any:
    """Numbers of images and labels, or all of them."""
    store = app_instance().datastore()
    return {"all": store.json, "train": store.datalist}.get(output or "", store.status)()


def add_image(
    file: Annotated[UploadFile, File()], image: Text = "", params: Annotated[str, Form()] = "{}", user: User = ANNOTATOR
) -> dict[str, Any]:
    """Store a new image."""
    info = information(params, "params", user)
    stem, _ = split_file_name(file.filename or "", (*SUFFIXES, *VOLUME_SUFFIXES))
    name = check_name(image or stem, "image")
    with scratch() as folder:
        return {"image": app_instance().datastore().add_image(name, str(received(file, folder)), info)}


def remove_image(id: Text) -> dict[str, Any]:
    """Remove an image with its labels."""
    app_instance().datastore().remove_image(id)
    return {}


def check_image(image: Text, check_sum: Text = "") -> dict[str, Any]:
    """Whether there is such an image, and with this checksum: ``SHA256:…``, or another of `ALGORITHMS`."""
    file = image_file(image)
    algorithm, _, digest = check_sum.rpartition(":")
    if (algorithm or "SHA256") not in ALGORITHMS:
        raise ValueError(f"check_sum: '{shortened(algorithm)}' is not one of {', '.join(ALGORITHMS)}")
    if check_sum:
        found = file_checksum(str(file), algo=algorithm or "SHA256").rpartition(":")[2]
        if not hmac.compare_digest(found.encode(), digest.lower().encode(errors="replace")):
            raise HTTPException(NOT_FOUND, f"image '{shortened(image)}' has another checksum")
    return {}


def get_image(image: Text) -> FileResponse:
    """An image's file."""
    return file_answer(image_file(image))


def get_image_info(image: Text) -> Any:
    """Information stored with an image."""
    app_instance().check_image(image)
    return app_instance().datastore().get_image_info(image)


def put_image_info(image: Text, info: Annotated[str, Form()] = "{}", user: User = ANNOTATOR) -> Any:
    """Store further information with an image."""
    return app_instance().datastore().update_image_info(image, information(info, "info", user))


def save_label(
    image: Text,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: Text = "final",
    user: User = ANNOTATOR,
) -> dict[str, Any]:
    """Store a label, ``final`` if an annotator has finished it."""
    app = app_instance()
    info = information(params, "params", user)
    tag = check_name(tag or "final", "tag")
    app.check_image(image)
    with scratch() as folder:
        saved = app.datastore().save_label(image, str(received(label, folder)), tag, info)
    return {**(app.on_save_label(image, saved) or {}), "image": image, "label": saved}


def remove_label(id: Text, tag: Text) -> dict[str, Any]:
    """Remove a label."""
    app_instance().datastore().remove_label(id, tag)
    return {}


def check_label(image: Text, tag: Text) -> dict[str, Any]:
    """Whether there is such a label."""
    label_file(image, tag)
    return {}


def get_label(label: Text, tag: Text) -> FileResponse:
    """A label's file."""
    return file_answer(label_file(label, tag))


def get_label_info(label: Text, tag: Text) -> Any:
    """Information stored with a label."""
    app_instance().check_label(label, tag)
    return app_instance().datastore().get_label_info(label, tag)


def put_label_info(label: Text, tag: Text, info: Annotated[str, Form()] = "{}", user: User = ANNOTATOR) -> Any:
    """Store further information with a label."""
    return app_instance().datastore().update_label_info(label, tag, information(info, "info", user))


def put_label_params(label: Text, tag: Text, params: Annotated[str, Form()] = "{}", user: User = ANNOTATOR) -> Any:
    """The same under the URL that MONAI Label's reviewer uses."""
    return app_instance().datastore().update_label_info(label, tag, information(params, "params", user))


def get_dataset(
    later: BackgroundTasks, limit_cases: Annotated[int | None, Query(ge=1, le=1_000_000)] = None
) -> FileResponse:
    """All finished images with their labels as one zip."""
    store = app_instance().datastore()
    if not store.datalist():
        raise HTTPException(NOT_FOUND, "nothing to download: there is no finished label yet")
    file = store.get_dataset_archive(limit_cases)
    later.add_task(remove_file, file)
    return FileResponse(file, media_type="application/zip", filename="dataset.zip")


def information(text: str, what: str, user: User) -> dict[str, Any]:
    """Information to store with an image or label.

    Raises:
        ValueError: it is not a JSON object, is too large, has a key of the server's own, or its ``label_info`` is not a list of names.
    """
    content = parse_object(text, what)
    for key in content:
        if key in OWN_KEYS or key.startswith("uncertainty"):
            raise ValueError(f"{what}: '{key}' is set by the server itself")
    info = checked(LabelParams, content, what).model_dump(exclude_unset=True)
    # without a login everybody has the same name, which means nothing
    return {**info, "user": user.username} if user.username else info


def image_file(image: str) -> Path:
    """The file of an image of the studies."""
    app_instance().check_image(image)
    return existing(app_instance().datastore().get_image_uri(image), f"image '{shortened(image)}'")


def label_file(image: str, tag: str) -> Path:
    """The file of an image's label."""
    app_instance().check_label(image, tag)
    return existing(app_instance().datastore().get_label_uri(image, tag), f"label '{shortened(tag)}'")


def existing(file: str, what: str) -> Path:
    """The file, which may have been removed a moment ago."""
    if not file or not Path(file).is_file():
        raise HTTPException(NOT_FOUND, f"the file of {what} does not exist")
    return Path(file)


def file_answer(file: Path) -> FileResponse:
    """A file to download."""
    return FileResponse(file, media_type=get_mime_type(str(file)), filename=file.name)


ROUTES = (
    ("GET", "/datastore/", list_all, USER),
    ("PUT", "/datastore/", add_image, ANNOTATOR),
    ("DELETE", "/datastore/", remove_image, ADMIN),
    ("PUT", "/datastore/image", add_image, ANNOTATOR),
    ("DELETE", "/datastore/image", remove_image, ADMIN),
    ("HEAD", "/datastore/image", check_image, USER),
    ("GET", "/datastore/image", get_image, USER),
    ("GET", "/datastore/image/info", get_image_info, USER),
    ("PUT", "/datastore/image/info", put_image_info, ANNOTATOR),
    ("PUT", "/datastore/label", save_label, ANNOTATOR),
    ("DELETE", "/datastore/label", remove_label, ADMIN),
    ("HEAD", "/datastore/label", check_label, USER),
    ("GET", "/datastore/label", get_label, USER),
    ("GET", "/datastore/label/info", get_label_info, USER),
    ("PUT", "/datastore/label/info", put_label_info, ANNOTATOR),
    ("PUT", "/datastore/updatelabelinfo", put_label_params, ANNOTATOR),
    ("GET", "/datastore/dataset", get_dataset, ANNOTATOR),
)
