"""Names of the files of a prediction, and formats of masks: the rules for photographs and for volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import file_part
from medseg_monai.formats.dicom_seg import SUFFIX as DICOM_SEG_SUFFIX
from medseg_monai.formats.geojson import SUFFIX as GEOJSON_SUFFIX
from medseg_monai.images.volumes import volume_suffix
from medseg_monai.program.messages import did_you_mean
from medseg_monai.quality.conformal import Margins

MASK, PROBABILITY, OVERLAY, UNCERTAINTY = "_mask", "_probability", "_overlay", "_uncertainty"
OUTER, INNER = "_outer", "_inner"
SCAN_ENDINGS = {".nrrd": ".seg.nrrd", ".nhdr": ".seg.nrrd", ".mha": ".mha", ".mhd": ".mha"}
"""Suffix of a label map, by the scan's format; .nii.gz for all others (NIfTI, DICOM). 3D Slicer recognises segmentations by the
suffix ``.seg.nrrd``."""


class Written(NamedTuple):
    """The outputs of a case.

    Attributes:
        files: its own files.
        entries: its entries in files for all cases, by table.
    """

    files: list[Path]
    entries: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Wanted:
    """What is written of each case.

    Attributes:
        formats: of masks, see `chosen_formats`; () for volumes in their own format.
        probabilities: ``<id>_probability…``: 8-bit pictures, 255 for 1; of volumes 8 bits, scaled by the header to 0..1.
        overlays: ``<id>_overlay.jpg``.
        uncertainty: ``<id>_uncertainty…``, like the probabilities.
        margins: the limits of the outer and the inner mask of each class, ``<id>_outer…`` and ``<id>_inner…``; None for no such masks.
    """

    formats: Sequence[str] = ()
    probabilities: bool = False
    overlays: bool = False
    uncertainty: bool = False
    margins: Margins | None = None


@dataclass(frozen=True)
class FileRules:
    """The rules for the files of one kind of image.

    Attributes:
        images: name of the kind, for messages.
        label_endings: format -> suffix of label maps: one file, or one per overlapping class.
        whole_endings: format -> suffix of files with all classes.
        tables: formats that are one file for all cases.
        kept: further files for all cases, which every run writes.
        default: the formats if none is named; () for label maps in the image's own format.
        map_ending: suffix of maps: probabilities, uncertainty, explanations.
    """

    images: str
    label_endings: Mapping[str, str]
    whole_endings: Mapping[str, str]
    tables: tuple[str, ...]
    kept: tuple[str, ...]
    default: tuple[str, ...]
    map_ending: str

    @property
    def formats(self) -> tuple[str, ...]:
        """All names."""
        return (*self.label_endings, *self.whole_endings, *self.tables)

    def endings(self, formats: Sequence[str], image: str) -> list[str]:
        """Suffixes of the requested label maps; if there are none, and by default, the image's own."""
        named = [self.label_endings[name] for name in formats if name in self.label_endings]
        return named or ([] if self.default else [SCAN_ENDINGS.get(volume_suffix(image), ".nii.gz")])


PHOTOGRAPHS = FileRules(
    "photographs", {"png": ".png"}, {"geojson": GEOJSON_SUFFIX}, tables=("coco", "rle"), kept=("predictions",),
    default=("png",), map_ending=".png",
)  # fmt: skip
VOLUMES = FileRules(
    "volumes", {"nifti": ".nii.gz", "nrrd": ".seg.nrrd", "mha": ".mha"}, {"dicomseg": DICOM_SEG_SUFFIX}, tables=(),
    kept=("predictions", "volumes"), default=(), map_ending=".nii.gz",
)  # fmt: skip
RULES = {2: PHOTOGRAPHS, 3: VOLUMES}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


def file_rules(spec: DatasetSpec) -> FileRules:
    """The rules for a data set's images."""
    return RULES[spec.spatial_dims]


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
    rules = file_rules(spec)
    for name in wanted:
        if name not in rules.formats:
            raise ValueError(f"unknown format {name!r} for masks of {rules.images}{did_you_mean(name, rules.formats)}")
    return tuple(dict.fromkeys(wanted)) or rules.default


def output_files(
    case_id: str,
    spec: DatasetSpec,
    folder: str | Path,
    *,
    image: str = "",
    probabilities: bool = False,
    overlays: bool = False,
    uncertainty: bool = False,
    margins: bool = False,
    formats: str | Sequence[str] | None = None,
) -> list[Path]:
    """The files of a case's prediction, without the files for all cases.

    ``<id>_mask.png``, or ``<id>_mask_<class>.png`` for each of several overlapping classes; ``<id>_mask.geojson``;
    ``<id>_probability.png``, one per foreground class where there are several; ``<id>_uncertainty.png``; ``<id>_outer.png`` and
    ``<id>_inner.png``, likewise one per class; ``<id>_overlay.jpg``. Of volumes ``.nii.gz`` instead of ``.png``, of masks also the ending
    of the `image`'s own format, and ``<id>_mask.dcm``.

    Raises:
        ValueError: the id leads outside ``folder``, or a format is unknown.
    """
    stem = _stem(case_id, Path(folder))
    wanted, rules = chosen_formats(formats, spec), file_rules(spec)
    files = [file for ending in rules.endings(wanted, image) for file in mask_files(stem, spec, ending)]
    files += [named(stem, MASK, rules.whole_endings[name]) for name in wanted if name in rules.whole_endings]
    files += probability_files(stem, spec) if probabilities else []
    files += [uncertainty_file(stem, spec)] if uncertainty else []
    files += margin_files(stem, spec) if margins else []
    return files + ([overlay_file(stem)] if overlays else [])


def possible_masks(case_id: str, spec: DatasetSpec, folder: str | Path) -> list[Path]:
    """Every file that may contain a case's mask, in any format: label maps first.

    Raises:
        ValueError: the id leads outside ``folder``.
    """
    stem, rules = _stem(case_id, Path(folder)), file_rules(spec)
    label_maps = [file for ending in rules.label_endings.values() for file in mask_files(stem, spec, ending)]
    return label_maps + [named(stem, MASK, ending) for ending in rules.whole_endings.values()]


def _stem(case_id: str, folder: Path) -> Path:
    stem = folder / case_id
    if not stem.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"case id {case_id!r} leads outside the output folder {folder}")
    return stem


def image_of(case: Mapping[str, Any]) -> str:
    """The picture or volume that a loaded case came from."""
    return str(case.get("image_meta_dict", {}).get("filename_or_obj", ""))


def named(stem: Path, what: str, suffix: str) -> Path:
    """``<stem><what><suffix>``."""
    return stem.with_name(f"{stem.name}{what}{suffix}")


def mask_files(stem: Path, spec: DatasetSpec, ending: str) -> list[Path]:
    """``<id>_mask<ending>``, or one ``<id>_mask_<class><ending>`` per overlapping class."""
    return files_per_class(named(stem, MASK, ""), spec, ending)


def files_per_class(stem: Path, spec: DatasetSpec, ending: str) -> list[Path]:
    """``<stem><ending>``, or one ``<stem>_<class><ending>`` per overlapping class."""
    return _per_class(stem, "", ending, spec.classes if spec.task == "multilabel" else ())


def probability_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """One map per foreground class; without the class in its name if there is only one."""
    return _per_class(stem, PROBABILITY, file_rules(spec).map_ending, spec.classes if len(spec.classes) > 1 else ())


def uncertainty_file(stem: Path, spec: DatasetSpec) -> Path:
    """The map of uncertainty."""
    return named(stem, UNCERTAINTY, file_rules(spec).map_ending)


def margin_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """The outer mask of each class, then the inner ones."""
    ending, classes = file_rules(spec).map_ending, spec.classes if len(spec.classes) > 1 else ()
    return [file for what in (OUTER, INNER) for file in _per_class(stem, what, ending, classes)]


def overlay_file(stem: Path) -> Path:
    """The picture with outlines; for a volume the axial slice with most of the mask."""
    return named(stem, OVERLAY, ".jpg")


def _per_class(stem: Path, what: str, ending: str, classes: Sequence[str]) -> list[Path]:
    parts = [f"_{file_part(name)}" for name in classes] or [""]
    return [named(stem, f"{what}{part}", ending) for part in parts]
