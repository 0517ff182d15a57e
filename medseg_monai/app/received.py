"""What was dropped on the page: stored below one folder under safe names, zips unpacked, within bounds, and removed at the end."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterable, Callable, Sequence
from pathlib import Path, PurePosixPath

from medseg_monai.export.unpack import unpack

MOST_BYTES = 20 * 10**9
"""Of all files of a tab."""
MOST_FILE_BYTES = 8 * 10**9
MOST_FILES = 20_000
LONGEST_NAME = 120
"""Bytes of a file's or folder's name: systems allow 255, and masks append to it what they are."""
IMAGES, TRUTHS = "images", "truth"
"""Folders below a tab's own."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # by Windows


class Received:
    """The files of one tab.

    Attributes:
        folder: below which they lie; `close` removes it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="medseg-app-"))
        self._bytes = self._files = 0

    async def store(self, name: str, chunks: AsyncIterable[bytes], *, folder: str = IMAGES) -> Path:
        """Store a file that arrives in pieces; a zip is replaced by the folder of what is in it.

        Args:
            name: as the browser says it, with the folders above it.
            chunks: the content.
            folder: `IMAGES` or `TRUTHS`.

        Returns:
            The file, or the zip's folder.

        Raises:
            ValueError: too many or too large files, or a zip that holds more than it may; nothing of the file stays.
        """
        if self._files >= MOST_FILES:
            raise ValueError(f"more than {MOST_FILES:,} files: remove some, or use `medseg predict`")
        target = free_path(self.folder / folder / safe_name(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files += 1
        before = self._bytes
        try:
            with target.open("xb") as file:
                async for chunk in chunks:
                    self._bytes += len(chunk)
                    if self._bytes > MOST_BYTES:
                        raise ValueError(
                            f"more than {MOST_BYTES // 10**9} GB in all: remove some, or use `medseg predict`"
                        )
                    file.write(chunk)
        except BaseException:
            target.unlink(missing_ok=True)
            self._bytes = before
            raise
        return _unpacked(target) if target.suffix.lower() == ".zip" else target

    def close(self, after: Sequence[Callable[[], object]] = ()) -> None:
        """Remove all.

        Args:
            after: what is waited for first: processes that write here would make folders anew. It does not hold up the caller.
        """
        if not after:
            shutil.rmtree(self.folder, ignore_errors=True)
            return

        def remove() -> None:
            for wait in after:
                wait()
            shutil.rmtree(self.folder, ignore_errors=True)

        threading.Thread(target=remove, name="remove", daemon=False).start()


def safe_name(name: str) -> PurePosixPath:
    r"""A relative path inside the folder that any system can store, for any name that a browser may send.

    >>> str(safe_name("../../etc/pass\x00wd")), str(safe_name("scan 1/IM 0001.dcm")), str(safe_name("/"))
    ('etc/pass_wd', 'scan 1/IM 0001.dcm', 'unnamed')
    """
    parts = [_safe_part(part) for part in name.replace("\\", "/").split("/") if part.strip(". ")]
    return PurePosixPath(*parts[-8:]) if parts else PurePosixPath("unnamed")


def _safe_part(part: str) -> str:
    """One folder's or the file's name; the end, which says what it is, stays."""
    content = _UNSAFE.sub("_", part).strip(" ").encode("utf-8", "replace")
    text = content[-LONGEST_NAME:].decode("utf-8", "ignore").strip(" ")
    text = text if not text.startswith(".") else f"_{text[1:]}"  # hidden files are not searched
    return f"_{text}" if _RESERVED.fullmatch(text) else text


def free_path(path: Path) -> Path:
    """The path itself, or with a number if there is something already."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return found


def _unpacked(file: Path) -> Path:
    folder = free_path(file.with_suffix(""))
    try:
        unpack(file, folder)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        file.unlink(missing_ok=True)
    return folder
