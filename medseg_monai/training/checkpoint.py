"""``last.pt``: all that a training needs to go on as if it had never stopped, whole, or skipped for the one before.

Tensors and plain values alone, so that it loads with ``weights_only``. MONAI's ``CheckpointSaver`` and ``CheckpointLoader`` are not
used: what they write can be torn by a kill or a full disk, and what is torn ends the program.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from medseg_monai.files.writing import replacing
from medseg_monai.training.folder import LAST_FILE, before_last, files_of

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of a checkpoint's content; it changes with what stands in it."""


class Stateful(Protocol):
    """A part of a training that can be put back to where it was, as torch's optimisers and ignite's handlers can."""

    def state_dict(self) -> Mapping[str, Any]:
        """Its state: tensors and plain values."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take up a state."""


def write_checkpoint(folder: Path, content: Mapping[str, Any], *, keep_before: bool = True) -> None:
    """Write ``last.pt`` of the training that runs in `folder`, whole or not at all.

    Args:
        folder: the training's.
        content: tensors and plain values.
        keep_before: keep the one that it replaces until the next is written; without, none stays beside it.

    Raises:
        DiskFullError, OSError: it cannot be written; the earlier one stays.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    last, before = files_of(folder) / LAST_FILE, before_last(folder)
    if not keep_before:
        before.unlink(missing_ok=True)
    with replacing(last) as part:
        part.write_bytes(buffer.getbuffer())
        if keep_before and last.is_file():
            last.replace(before)


def find_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint of the training in `folder`; None if there is none.

    One that is torn or damaged is skipped with a warning.
    """
    for file in (files_of(folder) / LAST_FILE, before_last(folder)):
        if file.is_file():
            try:
                read_checkpoint(file)
            except ValueError as error:
                logger.warning("%s: passed over for the checkpoint before it, if there is one", error)
            else:
                return file
    return None


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Never unpickles code.

    Raises:
        ValueError: it is torn, damaged, or no checkpoint that this version can continue from.
    """
    try:
        with zipfile.ZipFile(file) as archive:  # torch does not look at its files' checksums
            damaged = archive.testzip()
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler fail in any way
        raise ValueError(f"{file} is torn or damaged ({type(error).__name__})") from error
    if damaged is not None:
        raise ValueError(f"{file} is damaged ({damaged})")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{file} was written by another version, which kept less or other things")
    return content
