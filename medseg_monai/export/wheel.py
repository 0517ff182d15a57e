"""The wheel of this package for a bundle's zip: from the source, or from the installation that is running."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

import medseg_monai
from medseg_monai.files.csv_tables import csv_text

NAME = "medseg-monai"
BUNDLED_WEIGHTS = ("medseg_monai/bundles/*/models/*", "medseg_monai/bundles/*/models/*/*")
_MADE_BY_INSTALLING = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def wheel_of_this(folder: Path) -> Path:
    """The wheel of the running package, written to `folder`, without the bundles' shipped weights, which are many times its size.

    Raises:
        FileNotFoundError: there is neither a source nor an installation to make it from.
        OSError: pip could not build it; the message quotes pip.
    """
    source = Path(medseg_monai.__file__).resolve().parent.parent
    if (source / "pyproject.toml").is_file():
        wheel = _built(source, folder)
        with zipfile.ZipFile(wheel) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
    else:
        wheel, content = _installed(source, folder)
    _write(wheel, content)
    return wheel


def _built(source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    if importlib.util.find_spec("hatchling"):  # then nothing needs to be downloaded
        command.insert(5, "--no-build-isolation")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("medseg_monai-*.whl"))
    if ended.returncode or not wheels:
        said = (ended.stderr.strip() or ended.stdout.strip() or "nothing").splitlines()[-1]
        raise OSError(f"the wheel of medseg-monai could not be built ({said}): name one with --wheel")
    return wheels[0]


def _installed(site: Path, folder: Path) -> tuple[Path, dict[str, bytes]]:
    """The wheel's file and its content, gathered from what pip unpacked."""
    try:
        found: Distribution | None = distribution(NAME)
    except PackageNotFoundError:
        found = None
    files = [] if found is None else [file for file in found.files or () if _from_wheel(file)]
    if found is None or not any(file.as_posix() == "medseg_monai/__init__.py" for file in files):
        raise FileNotFoundError(
            "neither the source of medseg-monai nor its installation by pip was found, so its wheel cannot be made: "
            "name one with --wheel"
        )
    folder.mkdir(parents=True, exist_ok=True)
    content = {file.as_posix(): (site / file).read_bytes() for file in files}
    return folder / f"medseg_monai-{found.version}-py3-none-any.whl", content


def _from_wheel(file: PurePosixPath) -> bool:
    """Whether an installed file came from the wheel: compiled files and commands were created by the installation."""
    made = file.parent.suffix == ".dist-info" and file.name in _MADE_BY_INSTALLING
    return not made and ".." not in file.parts and file.suffix != ".pyc"


def _is_bundled_weights(name: str) -> bool:
    return any(PurePosixPath(name).match(pattern) for pattern in BUNDLED_WEIGHTS)


def _write(wheel: Path, content: Mapping[str, bytes]) -> None:
    """Write a wheel with a new RECORD."""
    kept = {name: data for name, data in content.items() if not _is_bundled_weights(name)}
    info = next(PurePosixPath(name).parent for name in kept if PurePosixPath(name).name == "WHEEL")
    record = f"{info}/RECORD"
    kept.pop(record, None)
    rows = [(name, f"sha256={_digest(data)}", len(data)) for name, data in kept.items()]
    kept[record] = csv_text([*rows, (record, "", "")]).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in kept.items():
            entry = zipfile.ZipInfo(name)  # its date is fixed: the same content gives the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)


def _digest(data: bytes) -> str:
    """A checksum in the format of RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
