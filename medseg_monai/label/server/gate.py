"""What every request passes: a bound on its size, checked fields, one plain line as the answer to whatever is wrong with it."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
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

from medseg_monai.images.photos import SUFFIXES, opened
from medseg_monai.images.volumes import VOLUME_SUFFIXES, WRITTEN_SUFFIXES, is_volume, read_volume_header
from medseg_monai.label.names import parse_object, shortened, split_file_name
from medseg_monai.program.messages import did_you_mean

NOT_FOUND, CONFLICT, TOO_LARGE, UNUSABLE, NO_SPACE = 404, 409, 413, 422, 507
MAX_FIELDS_BYTES = 256 * 1024
"""A request without files: 64 KiB of JSON, each byte of which a form may write as three."""
MAX_VOXELS = 2**31
"""Of an uploaded volume: 1290 x 1290 x 1290. A few bytes of gzip can promise any number."""
MAX_HEADER_BYTES = 256 * 1024
# what a request can be wrong in: an unreadable image (OSError, ValueError, SyntaxError) or a result_dtype that is none (TypeError)
MISTAKES = (OSError, ValueError, SyntaxError, TypeError)

USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))

Model = TypeVar("Model", bound="BaseModel")


class Gate(APIRoute):  # type: ignore[misc]  # FastAPI is not installed where types are checked
    """A route whose requests are bounded in size and whose refusals are one plain line.

    FastAPI's own way to look at requests before they are parsed.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Any]]:
        """The route's handler between a bound on what comes in and words for what goes wrong."""
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
    """The answer to a request that is wrong, or None if it is the server that is."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, RequestValidationError):
        return HTTPException(UNUSABLE, _in_words(error.errors()[0], ()))
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return HTTPException(NOT_FOUND, error.msg)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return HTTPException(NO_SPACE, f"the server cannot write: {error.strerror}; make room and send it again")
    if isinstance(error, MISTAKES):
        return HTTPException(UNUSABLE, one_line(error))
    if isinstance(error, MemoryError):
        return HTTPException(UNUSABLE, "too large for the server's memory")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, MISTAKES):
        return HTTPException(UNUSABLE, one_line(error.__cause__))  # MONAI's Compose wraps what a transform raises
    return None


def _bounded(request: Request) -> Callable[[], Awaitable[Any]]:
    """The request's body, as long as it is no longer than it may be.

    What is too long is read to its end, up to four times the bound, and dropped: many clients look at no answer before they have sent all.
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
        how = "; `medseg label serve --max-upload-mb` sets the bound" if has_files else ""
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
        model: what may be said.
        given: what is.
        what: the field that holds it, for the message.
        offered: options as `/info/` shows them; clients send them back untouched, which says nothing.

    Raises:
        ValueError: names the first field that is wrong, or unknown with the nearest right one.
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
    """Whether an option comes back as it was shown: its value, or one of a list of choices."""
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
    """A folder for the files of one request, gone when it has been answered, however that ended."""
    with tempfile.TemporaryDirectory(prefix="medseg_label_", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def received(upload: UploadFile, folder: Path, stem: str = "upload") -> Path:
    """An uploaded picture or volume, as a file under a name of ours.

    Raises:
        ValueError: it is neither, under the name that the client gave it.
    """
    shown = shortened(split_file_name(upload.filename or "", ())[0]) or "the upload"
    _, suffix = split_file_name(upload.filename or f"{stem}.nii.gz", (*SUFFIXES, *VOLUME_SUFFIXES))
    if not suffix:
        raise ValueError(f"{shown}: neither a picture nor a volume by its name")
    if suffix.lower() in VOLUME_SUFFIXES and suffix.lower() not in WRITTEN_SUFFIXES:
        raise ValueError(
            f"{shown}: one of two files that make a volume; send it as one ({', '.join(WRITTEN_SUFFIXES)})"
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
    """Refuse a file that nobody could use when it is sent, not when it is needed.

    Raises:
        OSError, ValueError, SyntaxError: it is damaged, too large, or of another kind.
    """
    if is_volume(file):
        _check_whole(file)
        shape = read_volume_header(file).geometry.shape
        if shape[0] * shape[1] * shape[2] > MAX_VOXELS:
            raise ValueError(f"{file}: a volume of {'x'.join(map(str, shape))} voxels is more than can be used here")
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
    """What went wrong, without a traceback."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
