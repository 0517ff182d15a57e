"""Which formats are read: those that are named, by content, and no other of Pillow's, whatever a file is called."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from medseg_monai.dataset import DatasetSpec
from medseg_monai.images.formats import FORMATS, SUFFIXES
from medseg_monai.images.masks import read_mask
from medseg_monai.images.photos import read_header, read_image

LESION = DatasetSpec("x", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=(64, 64))
PIXELS = np.repeat(np.repeat(np.array([[0, 255], [255, 0]], np.uint8), 12, 0), 16, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_that_is_named_is_read(suffix: str, tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS).convert("1" if suffix == ".pbm" else "L")
    options = {"quality": 95} if suffix in (".jpg", ".jpeg", ".jfif") else {}
    options |= {"lossless": True} if suffix == ".webp" else {}
    picture.save(tmp_path / f"a{suffix}", **options)
    found = read_image(tmp_path / f"a{suffix}", 1)
    assert found.shape == (1, 32, 24)
    assert np.abs(found[0].T.astype(int) - PIXELS).max() < 8


def test_endings_are_in_lower_case_and_formats_pillows_own() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


def test_phones_jpegs_of_several_pictures_are_jpegs(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[image])
    assert read_header(tmp_path / "a.jpg").size == (32, 24)


# a placeable metafile, an enhanced one, and a FITS header: Pillow writes none of them
WMF = (
    b"\xd7\xcd\xc6\x9a\x00\x00"
    + struct.pack("<4hH", 0, 0, 32, 24, 96)
    + b"\x00" * 6
    + b"\x01\x00\x09\x00"
    + b"\x00" * 40
)
EMF = struct.pack("<2I8i", 1, 108, 0, 0, 32, 24, 0, 0, 900, 700) + b" EMF" + b"\x00" * 90
FITS = b"".join(
    line.ljust(80)
    for line in (b"SIMPLE  =                    T", b"BITPIX  =                    8", b"NAXIS   =                    2",
                 b"NAXIS1  =                   32", b"NAXIS2  =                   24", b"END")
).ljust(2880) + b"\x00" * 2880  # fmt: skip
XPM = b'/* XPM */\nstatic char *x[] = {\n"4 4 1 1",\n"a c #000000",\n"aaaa",\n"aaaa",\n"aaaa",\n"aaaa"};\n'
BYTES = {"WMF": WMF, "EMF": EMF, "FITS": FITS, "XPM": XPM}
SAVED = ("EPS", "IM", "PCX", "TGA", "SGI", "ICO", "ICNS", "XBM", "MSP", "SPIDER", "DDS", "BLP")


def written(kind: str, file: Path) -> Path:
    if kind in BYTES:
        file.write_bytes(BYTES[kind])
        return file
    mode = {"XBM": "1", "MSP": "1", "BLP": "P", "SPIDER": "F", "ICNS": "RGB", "EPS": "RGB"}.get(kind, "L")
    content = io.BytesIO()  # SPIDER's writer would make a file's ending its own
    Image.fromarray(PIXELS).convert(mode).save(content, format=kind)
    file.write_bytes(content.getvalue())
    return file


@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")  # Pillow on writing it
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".eps", ""])
@pytest.mark.parametrize("kind", [*SAVED, *BYTES])
def test_other_formats_are_refused_in_one_line(kind: str, suffix: str, tmp_path: Path) -> None:
    file = written(kind, tmp_path / f"a{suffix}")
    for read in (read_header, lambda path: read_image(path, 3), lambda path: read_mask(path, LESION)):
        with pytest.raises(ValueError, match="is not a picture in a supported format") as caught:
            read(file)
        assert "\n" not in str(caught.value)


def test_postscript_starts_no_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = tmp_path / "canary"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    ghostscript.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(ghostscript))
    file = written("EPS", tmp_path / "a.png")
    with pytest.raises(OSError), Image.open(file) as picture:  # noqa: PT011  that it ran is what matters
        picture.load()
    assert canary.exists(), "the attack must be real"
    canary.unlink()
    with pytest.raises(ValueError, match="supported format"):
        read_image(file, 3)
    assert not canary.exists()


def bmp_of(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<3I", 54, 0, 54) + struct.pack("<I2i2H6I", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


def gif_of(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<2H", width, height)
        + b"\x00\x00\x00,\x00\x00\x00\x00"
        + struct.pack("<2HB", width, height, 0)
        + b"\x08\x01\x00\x00;"
    )


def ppm_of(width: int, height: int) -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height)


@pytest.mark.parametrize("make", [bmp_of, png_of, gif_of, ppm_of])
@pytest.mark.parametrize(("width", "height"), [(65000, 65000), (9500, 9500), (14000, 12000)])
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(
    make: Callable[[int, int], bytes], width: int, height: int, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(make(width, height))
    with pytest.raises(ValueError, match="more than 89 megapixels; reduce it first"):
        read_image(file, 3)


def test_a_text_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """A PNG's compressed comment, which Pillow reads with the header."""
    content = b"Comment\x00\x00" + zlib.compress(bytes(80 * 10**6))
    chunk = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    whole = png_of(32, 24)
    (tmp_path / "a.png").write_bytes(whole[:33] + chunk + whole[33:])
    with pytest.raises(ValueError, match=r"a\.png: is damaged"):
        read_image(tmp_path / "a.png", 3)
