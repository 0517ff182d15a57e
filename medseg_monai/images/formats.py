"""The picture formats that are read; the only place where a picture's file is opened.

Pillow knows some forty formats and chooses by content, whatever a file's name. Most of them are not used for medical photographs, and
some pass the file to another program (PostScript to Ghostscript, WMF to Windows) or are read by code that few people have reviewed.
"""

from __future__ import annotations

from pathlib import Path

from PIL import (
    BmpImagePlugin,  # noqa: F401  # of a format that is not imported yet Pillow imports all that it knows
    GifImagePlugin,  # noqa: F401
    Image,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),  # MPO too: a JPEG with further pictures after the first, as phones write it
    "JPEG2000": (".jp2", ".j2k"),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Pillow's names of the supported formats -> suffixes, in lower case, of files that are taken for photographs."""
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def open_picture(file: Path) -> Image.Image:
    """`PIL.Image.open`, restricted to these formats.

    Raises:
        OSError: the file does not exist, its header is damaged, or (`PIL.UnidentifiedImageError`) it has none of these formats.
    """
    try:
        return Image.open(file, formats=tuple(FORMATS))
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        OverflowError,
    ) as error:  # raised by Pillow for damaged headers
        raise OSError(str(error)) from error
