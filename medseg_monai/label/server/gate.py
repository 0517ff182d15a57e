"""What every request passes: a size limit, checked fields, and one plain line as the answer to any error."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Depends, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException
from pydantic import BaseModel, ValidationError

from medseg_monai.images.label_volumes import WRITTEN_SUFFIXES
from medseg_monai.images.photos import SUFFIXES, opened
from medseg_monai.images.volumes import VOLUME_SUFFIXES, is_volume, read_volume_header
from medseg_monai.label.names import parse_object, shortened, split_file_name
from medseg_monai.program.messages import did_you_mean

NOT_FOUND, CONFLICT, TOO_LARGE, UNUSABLE, NO_SPACE = 404, 409, 413, 422, 507
MAX_FIELDS_BYTES = 256 * 1024
"""Limit of a request without files: 64 KiB of JSON, each byte of which a form may encode as three."""
MAX_VOXELS = 2**31
"""Largest number of voxels of an uploaded volume: 1290 x 1290 x 1290. A few bytes of gzip can claim any number."""
MAX_HEADER_BYTES = 256 * 1024
# errors in requests: an unreadable image (OSError, ValueError, SyntaxError) or an invalid result_dtype (TypeError)
MISTAKES = (OSError, ValueError, SyntaxError, TypeError)

USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))

Model = TypeVar("Model", bound="BaseModel")


class Gate(APIRoute):
    """A route that limits the size of requests and refuses with one plain line.

    FastAPI's documented way to inspect requests before they are parsed.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Any]]:
        """The route's handler, wrapped in the size limit and the conversion of errors to messages."""
        handle = super().get_route_handler()

        async def gated(request: Request) -> Any:
            try:
                return await handle(Request(request.scope, _bounded(request)))
            except Exception as error:
                if (answer := refusal(error)) is None:
                    raise
                raise answer from error

        return gated


def refusal(error: BaseException) -> HTTPException | None:
    """The answer to a faulty request, or None if the fault is the server's."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, RequestValidationError):
        return HTTPException(UNUSABLE, _in_words(error.errors()[0], ()))
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return HTTPException(NOT_FOUND, error.msg)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return HTTPException(NO_SPACE, f"the server cannot write: {error.strerror}; free some space and send it again")
    if isinstance(error, MISTAKES):
        return HTTPException(UNUSABLE, one_line(error))
    if isinstance(error, MemoryError):
        return HTTPException(UNUSABLE, "too large for the server's memory")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, MISTAKES):
        return HTTPException(UNUSABLE, one_line(error.__cause__))  # MONAI's Compose wraps the errors of transforms
    return None


def _bounded(request: Request) -> Callable[[], Awaitable[Any]]:
    """The request's body, if it does not exceed the limit.

    A longer one is read to its end, up to four times the limit, and dropped: many clients read the answer only after sending everything.
    """
    has_files = request.headers.get("content-type", "").startswith("multipart/")
    limit = request.app.state.max_upload_bytes if has_files else MAX_FIELDS_BYTES
    came = 0

    async def receive() -> Any:
        nonlocal came
        message = await request.receive()
        came += len(message.get("body", b""))
        if came <= limit:
            return message
        while message.get("more_body") and came <= 4 * limit:
            message = await request.receive()
            came += len(message.get("body", b""))
        size = f"{limit / 2**20:g} MB" if has_files else f"{limit // 1024} KiB"
        how = "; `medseg label serve --max-upload-mb` sets the limit" if has_files else ""
        raise HTTPException(TOO_LARGE, f"the request is larger than {size}{how}")

    return receive


async def json_body(request: Request) -> dict[str, Any]:
    """A request's JSON object; {} if it has no body."""
    try:
        return parse_object((await request.body()).decode(), "body")
    except UnicodeDecodeError:
        raise ValueError("body: not UTF-8 text") from None


BODY = Depends(json_body)


def checked(model: type[Model], given: Mapping[str, Any], what: str, offered: Mapping[str, Any] | None = None) -> Model:
    """The fields of a request, typed and bounded.

    Args:
        model: the allowed fields.
        given: the received ones.
        what: the field that contains them, for the message.
        offered: options as `/info/` shows them; clients send them back unchanged, which has no meaning.

    Raises:
        ValueError: a field is wrong or unknown; the message names the first one, and the nearest valid name.
    """
    said = {
        key: value
        for key, value in given.items()
        if key in model.model_fields or not _untouched(key, value, offered or {})
    }
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise ValueError(_in_words(error.errors()[0], (what,), model)) from None


def _untouched(key: str, value: Any, offered: Mapping[str, Any]) -> bool:
    """Whether an option is sent back unchanged: its value, or one of a list of choices."""
    if key not in offered:
        return False
    return bool(value == offered[key] or (isinstance(offered[key], list) and value in offered[key]))


def _in_words(error: Mapping[str, Any], where: tuple[str, ...], model: type[BaseModel] | None = None) -> str:
    """One of pydantic's errors as a line."""
    path = ".".join(str(part) for part in (*where, *error["loc"]) if part not in ("body", "query", "path"))
    if error["type"] == "extra_forbidden":
        parent, name = ".".join(map(str, (*where, *error["loc"][:-1]))), str(error["loc"][-1])
        known = did_you_mean(name, model.model_fields) if model and len(error["loc"]) == 1 else ""
        return f"{shortened(parent)}: unknown key '{shortened(name)}'{known}"
    reason = str(error["msg"]).removeprefix("Value error, ")
    came = "" if error["type"] == "missing" else f", not {shortened(repr(error.get('input')))}"
    return f"{shortened(path)}: {reason}{came}"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the files of one request, removed once it has been answered, successfully or not."""
    with tempfile.TemporaryDirectory(prefix="medseg_label_", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def received(upload: UploadFile, folder: Path, stem: str = "upload") -> Path:
    """An uploaded picture or volume, as a file under our own name.

    Raises:
        ValueError: it is neither, judging by the client's name.
    """
    shown = shortened(split_file_name(upload.filename or "", ())[0]) or "the upload"
    _, suffix = split_file_name(upload.filename or f"{stem}.nii.gz", (*SUFFIXES, *VOLUME_SUFFIXES))
    if not suffix:
        raise ValueError(f"{shown}: neither a picture nor a volume by its name")
    if suffix.lower() in VOLUME_SUFFIXES and suffix.lower() not in WRITTEN_SUFFIXES:
        raise ValueError(
            f"{shown}: one of the two files of a volume; send the volume as one file ({', '.join(WRITTEN_SUFFIXES)})"
        )
    file = folder / f"{stem}{suffix.lower()}"
    with file.open("wb") as stream:
        shutil.copyfileobj(upload.file, stream)
    try:
        check_readable(file)
    except MISTAKES as error:
        raise ValueError(one_line(error).replace(str(file), shown)) from error
    return file


def check_readable(file: Path) -> None:
    """Refuse an unusable file on upload, not when it is needed.

    Raises:
        OSError, ValueError, SyntaxError: it is damaged, too large, or of another kind.
    """
    if is_volume(file):
        _check_whole(file)
        shape = read_volume_header(file).geometry.shape
        if shape[0] * shape[1] * shape[2] > MAX_VOXELS:
            raise ValueError(f"{file}: a volume of {'x'.join(map(str, shape))} voxels is too large for this server")
    elif file.suffix.lower() in SUFFIXES:
        with opened(file) as picture:
            picture.load()
    else:
        raise ValueError(f"{file.name}: neither a picture nor a volume by its name")


def _check_whole(file: Path) -> None:
    """Refuse a NRRD or MetaImage header whose voxels are in another file: it may name any file of this machine."""
    if file.suffix not in (".nrrd", ".mha"):
        return
    with file.open("rb") as stream:
        start = stream.read(MAX_HEADER_BYTES)
    if file.suffix == ".nrrd":
        header, end, _ = start.replace(b"\r\n", b"\n").partition(b"\n\n")
        is_whole = start.startswith(b"NRRD") and end and not re.search(rb"(?im)^\s*data ?file\s*:", header)
    else:
        named = re.findall(rb"(?m)^\s*ElementDataFile\s*=\s*([^\r\n]*)", start)
        is_whole = bool(named) and named[0].strip() == b"LOCAL"
    if not is_whole:
        raise ValueError(
            f"{file}: its header is not followed by its voxels; save the volume as one file (.nii.gz, .nrrd, .mha)"
        )


def one_line(error: BaseException) -> str:
    """The error's message, without a traceback."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
