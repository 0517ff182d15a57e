"""The folder of images and labels: files that nobody could use are refused when they are sent, not when they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from medseg_monai.images.photos import SUFFIXES, read_header
from medseg_monai.images.volumes import is_volume, read_volume_header

NOT_FOUND, UNUSABLE = 404, 422


class Studies(LocalDatastore):  # type: ignore[misc]  # MONAI Label has no types
    """MONAI Label's folder of studies.

    Raises:
        HTTPException: 422 for a file that is no picture or volume, 404 for a label whose image is not there.
    """

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep an image that was sent."""
        check_readable(Path(image_filename))
        added: str = super().add_image(image_id, image_filename, image_info)
        return added

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label that was sent."""
        check_readable(Path(label_filename))
        try:
            saved: str = super().save_label(image_id, label_filename, label_tag, label_info)
        except ImageNotFoundException as error:
            raise HTTPException(NOT_FOUND, f"no image '{image_id}' among the studies") from error
        return saved


def check_readable(file: Path) -> None:
    """Refuse a file that is neither a picture nor a volume."""
    try:
        if is_volume(file):
            read_volume_header(file)
        elif file.suffix.lower() in SUFFIXES:
            read_header(file)
        else:
            raise ValueError(f"{file.name}: neither a picture nor a volume by its name")
    except (OSError, ValueError, SyntaxError) as error:
        raise HTTPException(UNUSABLE, str(error).splitlines()[0]) from error
