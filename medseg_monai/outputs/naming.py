"""How the files of a prediction are called, and in which formats masks are written: the rules of photographs and of volumes."""

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

MASK, PROBABILITY, OVERLAY, UNCERTAINTY = "_mask", "_probability", "_overlay", "_uncertainty"
OUTER, INNER = "_outer", "_inner"
SCAN_ENDINGS = {".nrrd": ".seg.nrrd", ".nhdr": ".seg.nrrd", ".mha": ".mha", ".mhd": ".mha"}
"""What a label map is written as, by the scan's format; all others (NIfTI, DICOM) as .nii.gz. 3D Slicer knows segmentations by the
ending ``.seg.nrrd``."""


class Written(NamedTuple):
    """What was written of a case.

    Attributes:
        files: its own.
        entries: what goes into files for all cases, by table.
    """

    files: list[Path]
    entries: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class FileRules:
    """What the files of a kind of image are.

    Attributes:
        images: the kind, for people.
        label_endings: format -> ending of label maps: one file, or one per overlapping class.
        whole_endings: format -> ending of what holds all classes in one file.
        tables: formats that are one file for all cases.
        default: the formats if none is named; () for label maps in the image's own format.
        map_ending: of maps: probabilities, uncertainty, explanations.
    """

    images: str
    label_endings: Mapping[str, str]
    whole_endings: Mapping[str, str]
    tables: tuple[str, ...]
    default: tuple[str, ...]
    map_ending: str

    @property
    def formats(self) -> tuple[str, ...]:
        """All names."""
        return (*self.label_endings, *self.whole_endings, *self.tables)

    def endings(self, formats: Sequence[str], image: str) -> list[str]:
        """Of the label maps that the formats ask for; if that is none, and by default, the image's own."""
        named = [self.label_endings[name] for name in formats if name in self.label_endings]
        return named or ([] if self.default else [SCAN_ENDINGS.get(volume_suffix(image), ".nii.gz")])


PHOTOGRAPHS = FileRules(
    "photographs", {"png": ".png"}, {"geojson": GEOJSON_SUFFIX}, tables=("coco", "rle"), default=("png",),
    map_ending=".png",
)  # fmt: skip
VOLUMES = FileRules(
    "volumes", {"nifti": ".nii.gz", "nrrd": ".seg.nrrd", "mha": ".mha"}, {"dicomseg": DICOM_SEG_SUFFIX}, tables=(),
    default=(), map_ending=".nii.gz",
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
            raise ValueError(f"no format {name!r} for masks of {rules.images}{did_you_mean(name, rules.formats)}")
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
    """The files of a case's own that its prediction consists of.

    ``<id>_mask.png``, or ``<id>_mask_<class>.png`` for each of several overlapping classes; ``<id>_mask.geojson``;
    ``<id>_probability.png``, one per foreground class where there are several; ``<id>_uncertainty.png``; ``<id>_outer.png`` and
    ``<id>_inner.png``, likewise one per class; ``<id>_overlay.jpg``. Of volumes ``.nii.gz`` instead of ``.png``, of masks also the ending
    of the `image`'s own format, and ``<id>_mask.dcm``.

    Raises:
        ValueError: the id leads out of ``folder``, or a format is none.
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
    """Every file that may hold a case's mask, whatever the formats: label maps first.

    Raises:
        ValueError: the id leads out of ``folder``.
    """
    stem, rules = _stem(case_id, Path(folder)), file_rules(spec)
    label_maps = [file for ending in rules.label_endings.values() for file in mask_files(stem, spec, ending)]
    return label_maps + [named(stem, MASK, ending) for ending in rules.whole_endings.values()]


def _stem(case_id: str, folder: Path) -> Path:
    stem = folder / case_id
    if not stem.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"case id {case_id!r} leads out of the output folder {folder}")
    return stem


def image_of(case: Mapping[str, Any]) -> str:
    """The picture or volume that a loaded case came from."""
    return str(case.get("image_meta_dict", {}).get("filename_or_obj", ""))


def named(stem: Path, what: str, suffix: str) -> Path:
    """``<stem><what><suffix>``."""
    return stem.with_name(f"{stem.name}{what}{suffix}")


def mask_files(stem: Path, spec: DatasetSpec, ending: str) -> list[Path]:
    """``<id>_mask<ending>``, or one ``<id>_mask_<class><ending>`` per overlapping class."""
    return _per_class(stem, MASK, ending, spec.classes if spec.task == "multilabel" else ())


def probability_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """One map per foreground class; without the class in its name where there is only one."""
    return _per_class(stem, PROBABILITY, file_rules(spec).map_ending, spec.classes if len(spec.classes) > 1 else ())


def uncertainty_file(stem: Path, spec: DatasetSpec) -> Path:
    """The map of how unsure the network is."""
    return named(stem, UNCERTAINTY, file_rules(spec).map_ending)


def margin_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """The outer mask of each class, then the inner ones."""
    ending, classes = file_rules(spec).map_ending, spec.classes if len(spec.classes) > 1 else ()
    return [file for what in (OUTER, INNER) for file in _per_class(stem, what, ending, classes)]


def overlay_file(stem: Path) -> Path:
    """The picture with outlines; of a volume of the axial slice with most of the mask."""
    return named(stem, OVERLAY, ".jpg")


def _per_class(stem: Path, what: str, ending: str, classes: Sequence[str]) -> list[Path]:
    parts = [f"_{file_part(name)}" for name in classes] or [""]
    return [named(stem, f"{what}{part}", ending) for part in parts]
