"""Which picture formats are read: the only place where a picture's file is opened.

Pillow knows some forty formats and chooses by content, whatever a file is called. Most of them nobody keeps medical photographs in, and
some hand the file to another program (PostScript to Ghostscript, WMF to Windows) or are read by code that few have looked at.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),  # MPO too: a JPEG with further pictures behind the first, as phones write it
    "JPEG2000": (".jp2", ".j2k"),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Pillow's names of the formats that are read -> file name endings, in lower case, that are taken for photographs."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def open_picture(file: Path) -> Image.Image:
    """`PIL.Image.open` for these formats alone.

    Raises:
        OSError: there is no such file, its header is damaged, or (`PIL.UnidentifiedImageError`) it is in none of these formats.
    """
    try:
        return Image.open(file, formats=tuple(FORMATS))
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        OverflowError,
    ) as error:  # what a damaged header makes Pillow raise
        raise OSError(str(error)) from error
