"""HTML pages that are one file: style, script and pictures inside, nothing fetched, all text escaped.

The page's Content-Security-Policy allows no requests and only this package's own style and script, by their hashes:
if a text were ever not escaped, it would still not run.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import medseg_monai
from medseg_monai.files.writing import readable, write_whole
from medseg_monai.inference.cases import failures_file, read_failures

if TYPE_CHECKING:
    from jinja2 import Environment

Facts = Mapping[str, Any]

MOST_BYTES = 20 * 10**6
MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Fill a template of ``medseg_monai/templates`` and write the page, whole or not at all.

    Raises:
        ValueError: the page would exceed 20 MB.
    """
    style, script = _packaged("report.css"), _packaged("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    text = environment().get_template(template).render(style=style, script=script, policy=policy, **content)
    page = readable(text).encode()
    if len(page) > MOST_BYTES:
        raise ValueError(
            f"{path} would have {len(page) / 1e6:.1f} MB, but browsers handle at most {MOST_BYTES / 1e6:.0f} MB well"
        )
    write_whole(path, page)
    return path


def data_uri(path: Path, content: bytes | None = None) -> str:
    """A picture's content (the file's, if none is given) as a data URL, so that the page needs no other file.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is not a PNG or JPEG.
    """
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise ValueError(f"{path}: a picture for a page must be PNG or JPEG")
    return f"data:{media_type};base64,{base64.b64encode(path.read_bytes() if content is None else content).decode()}"


def link_to(path: object, folder: Path) -> str | None:
    """The address of a file from a page in a folder; None if the file does not exist."""
    if not path or not Path(str(path)).is_file():
        return None
    return quote(os.fsencode(os.path.relpath(str(path), folder).replace(os.sep, "/")))  # as the disk has its bytes


def page_facts() -> dict[str, str]:
    """The contents of every page's footer."""
    return {"version": medseg_monai.__version__, "written": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"}


def software() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    packages = {name: version(name) for name in ("monai", "torch", "numpy")}
    return {"medseg-monai": medseg_monai.__version__, **packages, "python": platform.python_version()}


@cache
def environment() -> Environment:
    """Jinja2 with every text escaped and a missing value an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("medseg_monai.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = _fixed
    return environment


def _fixed(value: float, digits: int = 3) -> str:
    """A number with a fixed number of decimals.

    >>> _fixed(0.5), _fixed(12.345, 1)
    ('0.500', '12.3')
    """
    return f"{value:.{digits}f}"


def _packaged(name: str) -> Any:
    """The text of one of this package's styles or scripts, the only text that is not escaped."""
    from markupsafe import Markup

    return Markup((files("medseg_monai.report") / "templates" / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """The hash of a style or script for the policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def left_out(folder: Path) -> list[tuple[str, str]]:
    """Path and reason of each case that could not be used, from the list that a run leaves in its folder."""
    return [(failure.path, failure.reason) for failure in read_failures(failures_file(folder))]
