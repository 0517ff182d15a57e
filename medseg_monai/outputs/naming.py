"""How the files of a prediction are called, and in which formats masks are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.formats.dicom_seg import SUFFIX as DICOM_SEG_SUFFIX
from medseg_monai.formats.geojson import SUFFIX as GEOJSON_SUFFIX
from medseg_monai.images.masks import class_file, mask_files
from medseg_monai.outputs.volumes import volume_files
from medseg_monai.program.messages import did_you_mean

MASK, PROBABILITY, OVERLAY, UNCERTAINTY = "_mask", "_probability", "_overlay", "_uncertainty"
PICTURE_FORMATS = ("png", "geojson", "coco", "rle")
VOLUME_FORMATS = {"nifti": ".nii.gz", "nrrd": ".seg.nrrd", "mha": ".mha", "dicomseg": DICOM_SEG_SUFFIX}
"""Format -> how its files end."""


def chosen_formats(formats: str | Sequence[str] | None, spec: DatasetSpec) -> tuple[str, ...]:
    """The formats of masks, checked; () for volumes in the scan's own format, which is the default there.

    Args:
        formats: names, also as one text with commas; none for the default, PNG for photographs.
        spec: the data set: photographs and volumes have formats of their own.

    Raises:
        ValueError: a format that is unknown or for the other kind of image.

    >>> spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    >>> chosen_formats("png,geojson", spec)
    ('png', 'geojson')
    """
    names = formats.split(",") if isinstance(formats, str) else list(formats or [])
    wanted = [name.strip().lower() for name in names if name.strip()]
    known = tuple(VOLUME_FORMATS) if spec.spatial_dims == 3 else PICTURE_FORMATS
    for name in wanted:
        if name not in known:
            kind = "volumes" if spec.spatial_dims == 3 else "photographs"
            raise ValueError(f"no format {name!r} for masks of {kind}{did_you_mean(name, known)}")
    return tuple(dict.fromkeys(wanted)) or (() if spec.spatial_dims == 3 else ("png",))


def output_files(
    case_id: str,
    spec: DatasetSpec,
    folder: str | Path,
    *,
    image: str = "",
    probabilities: bool = False,
    overlays: bool = False,
    uncertainty: bool = False,
    formats: str | Sequence[str] | None = None,
) -> list[Path]:
    """The files of a case's own that its prediction consists of.

    ``<id>_mask.png``, or ``<id>_mask_<class>.png`` for each of several overlapping classes; ``<id>_mask.geojson``;
    ``<id>_probability.png``, one per foreground class where there are several; ``<id>_uncertainty.png``; ``<id>_overlay.jpg``. Of
    volumes, `medseg_monai.outputs.volumes.volume_files`, whose format depends on that of the `image`, and ``<id>_mask.dcm``.

    Raises:
        ValueError: the id leads out of ``folder``, or a format is none.
    """
    stem = Path(folder) / case_id
    if not stem.resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"case id {case_id!r} leads out of the output folder {folder}")
    wanted = chosen_formats(formats, spec)
    if spec.spatial_dims == 3:
        return _volume_files(
            stem, spec, image, wanted, probabilities=probabilities, overlays=overlays, uncertainty=uncertainty
        )
    files = mask_files(named(stem, MASK, ".png"), spec) if "png" in wanted else []
    files += [named(stem, MASK, GEOJSON_SUFFIX)] if "geojson" in wanted else []
    files += probability_files(stem, spec) if probabilities else []
    files += [named(stem, UNCERTAINTY, ".png")] if uncertainty else []
    return files + ([overlay_file(stem)] if overlays else [])


def _volume_files(
    stem: Path,
    spec: DatasetSpec,
    image: str,
    formats: Sequence[str],
    *,
    probabilities: bool,
    overlays: bool,
    uncertainty: bool,
) -> list[Path]:
    files: list[Path] = []
    for ending in label_endings(formats):
        files += volume_files(
            stem,
            spec,
            image,
            probabilities=probabilities,
            overlays=overlays,
            uncertainty=uncertainty,
            ending=ending,
        )
    if "dicomseg" in formats:
        files.append(named(stem, MASK, DICOM_SEG_SUFFIX))
    return list(dict.fromkeys(files))


def label_endings(formats: Sequence[str]) -> list[str | None]:
    """Of label maps; None for the scan's own format, where none or only DICOM-SEG beside it was asked for."""
    return [VOLUME_FORMATS[name] for name in formats if name != "dicomseg"] or [None]


def named(stem: Path, what: str, suffix: str) -> Path:
    """``<stem><what><suffix>``."""
    return stem.with_name(f"{stem.name}{what}{suffix}")


def probability_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """One 8-bit PNG per foreground class; without the class in its name where there is only one."""
    file = named(stem, PROBABILITY, ".png")
    return [file] if len(spec.classes) == 1 else [class_file(file, name) for name in spec.classes]


def overlay_file(stem: Path) -> Path:
    """The picture with outlines."""
    return named(stem, OVERLAY, ".jpg")
