"""Sessions: an image that one annotator loaded, kept for a while, outside the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import File, HTTPException, Query, UploadFile
from fastapi.responses import FileResponse
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type

from medseg_monai.label.names import check_name, shortened, split_file_name
from medseg_monai.label.server.gate import MISTAKES, NOT_FOUND, USER, check_readable, one_line, received, scratch

OFF = 406
MAX_FILES = 5000
"""Slices of a DICOM series, one file each."""


def sessions() -> Any:
    """All sessions, which can be turned off in MONAI Label."""
    if app_instance().sessions() is None:
        raise HTTPException(OFF, "sessions are turned off on this server (MONAI_LABEL_SESSIONS)")
    return app_instance().sessions()


def create(
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: Annotated[int, Query(ge=0, le=30 * 86_400)] = 0,
) -> dict[str, Any]:
    """Store an image: one file, or the slices of a DICOM series."""
    kept = sessions()
    if uncompress:
        raise ValueError("uncompress: archives are not unpacked here; send the files themselves")
    with scratch() as folder:
        session_id, session = kept.add_session(str(_image(files, folder)), expiry)
    return {"session_id": session_id, "session_info": session.to_json()}


def _image(files: list[UploadFile], folder: Path) -> Path:
    if len(files) == 1:
        return received(files[0], folder, "image")
    series = folder / "series"
    series.mkdir()
    for file in files[:MAX_FILES]:
        name = check_name(split_file_name(file.filename or "", ())[0], "file")
        with (series / name).open("xb") as stream:
            stream.writelines(file.file)
    try:
        check_readable(series)
    except MISTAKES as error:
        raise ValueError(one_line(error).replace(f"{series}/", "")) from error
    return series


def get(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
    """A session, or its image."""
    session = _known(session_id, update_ts=update_ts)
    if not image:
        return session.to_json()
    if not Path(session.image).is_file():
        raise ValueError(f"session '{session_id}' has several files")
    return FileResponse(session.image, media_type=get_mime_type(session.image), filename=Path(session.image).name)


def remove(session_id: str) -> Any:
    """End a session."""
    session = _known(session_id)
    sessions().remove_session(session_id)
    return session.to_json()


def _known(session_id: str, *, update_ts: bool = False) -> Any:
    if session := sessions().get_session(session_id, update_ts=update_ts):
        return session
    raise HTTPException(NOT_FOUND, f"no session '{shortened(session_id)}': it may have expired")


ROUTES = (
    ("PUT", "/session/", create, USER),
    ("GET", "/session/{session_id}", get, USER),
    ("DELETE", "/session/{session_id}", remove, USER),
)
