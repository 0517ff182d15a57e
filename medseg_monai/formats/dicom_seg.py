"""DICOM segmentation objects (DICOM-SEG) for masks of DICOM series, by highdicom; they refer to the images they were made from."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import medseg_monai
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.convert import needed
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.files.writing import write_whole
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.dicom import sorted_slices
from medseg_monai.images.dicom_files import is_dicom_folder, pydicom
from medseg_monai.images.dicom_stack import Slice

SUFFIX = ".dcm"
MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
MUST_BE_THERE = ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
LONGEST_DESCRIPTION = 1024
"""Characters that DICOM has room for in a segment's description (ST)."""
UTF8 = "ISO_IR 192"
"""DICOM's name for UTF-8, the encoding of a segmentation's text: class names and patients' names may be in any script."""
WHOLE_SERIES_BYTES = 64 * 2**20
"""Up to this size a frame is written for every slice, including empty ones: many programs rebuild the grid from the existing frames."""


def write_dicom_seg(
    mask: NDArray[np.uint8],
    image: str | Path,
    file: Path,
    spec: DatasetSpec,
    *,
    predicted_dice: Mapping[str, float] | None = None,
    reason: str = "",
) -> Path:
    """Write a mask as one binary segmentation object with a segment for each class.

    Args:
        mask: (1, I, J, K) of class numbers, or (classes, I, J, K) of {0, 1} for multilabel, on the series' own grid.
        image: the DICOM series, ``FOLDER`` or ``FOLDER#UID``.
        file: the file to write.
        spec: the data set; classes are named by this package's own coded concepts, since it cannot know the right SNOMED codes.
        predicted_dice: class -> the Dice that its mask is likely to have; it goes into the segment's description.
        reason: why a person should look at the mask; it goes into all descriptions.

    Raises:
        ValueError: the scan is not a DICOM series, the mask has another grid, or the headers lack something that a DICOM-SEG copies.
        ImportError: highdicom is not installed; names the extra.
    """
    highdicom = needed("highdicom", extra="dicomseg")
    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it logs every module that it copies
    if not is_dicom_folder(image):
        raise ValueError(f"{image}: is not a DICOM series, but a DICOM-SEG refers to one: write nifti or nrrd instead")
    slices, geometry = sorted_slices(image)
    planes = class_masks(mask, len(spec.classes))
    if planes.shape[1:] != geometry.shape:
        raise ValueError(f"{image}: the mask has {planes.shape[1:]} voxels, but the series {geometry.shape}")
    sources = [_source(one, geometry) for one in slices]
    try:
        content = _segmentation(highdicom, planes, sources, spec, _said(spec, predicted_dice or {}, reason))
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:  # raised by highdicom and pydicom for unusual headers
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{image}: a DICOM-SEG cannot refer to these headers ({reason}): write nifti or nrrd instead"
        ) from None
    write_whole(file, content)
    return file


def _said(spec: DatasetSpec, predicted_dice: Mapping[str, float], reason: str) -> list[str]:
    """Of each class how far its mask is to be trusted, in words; "" if nothing is known."""
    look = f"a person should look at it: {reason}" if reason else ""
    known = [f"predicted Dice {predicted_dice[name]:.2f}" if name in predicted_dice else "" for name in spec.classes]
    return ["; ".join(filter(None, (dice, look)))[:LONGEST_DESCRIPTION] for dice in known]


def _segmentation(
    highdicom: Any, planes: NDArray[np.bool_], sources: Sequence[Any], spec: DatasetSpec, said: Sequence[str]
) -> bytes:
    """The file's content for (classes, I, J, K) masks of the sources' slices."""
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.ascontiguousarray(planes.transpose(3, 2, 1, 0)).astype(np.uint8),  # slice, row, column, class
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(highdicom, number, name, text)
            for number, (name, text) in enumerate(zip(spec.classes, said, strict=True), 1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=_number_of(sources[0]) + 1000,
        series_description=f"Segmentation {spec.name}"[:64],
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        content_label="SEGMENTATION",
        manufacturer="medseg-monai",
        manufacturer_model_name="medseg-monai",
        software_versions=medseg_monai.__version__,
        device_serial_number="0",
        omit_empty_frames=planes.size / 8 > WHOLE_SERIES_BYTES and bool(planes.any()),
    )
    content = io.BytesIO()
    segmentation.save_as(content)
    return content.getvalue()


def _source(one: Slice, geometry: Geometry) -> Any:
    """A slice's header, made safe for highdicom to copy from.

    Tags that must exist but may be empty are emptied if they were removed for anonymisation or are invalid. The distance
    between slices is that of their positions, whatever the header says: programs position the segmentation by it. Text becomes UTF-8.

    Raises:
        ValueError: a tag that a segmentation refers to is missing.
    """
    dataset = pydicom().dcmread(one.file, stop_before_pixels=True, force=True)
    for keyword in MUST_BE_THERE:
        if not dataset.get(keyword):
            raise ValueError(f"{one.file}: has no {keyword}, which a DICOM-SEG refers to: write nifti or nrrd instead")
    dataset.decode()
    dataset.SpecificCharacterSet = UTF8
    for keyword in MAY_BE_EMPTY:
        if keyword not in dataset or not _is_usable(keyword, str(dataset.get(keyword))):
            setattr(dataset, keyword, "")
    dataset.SpacingBetweenSlices = dataset.SliceThickness = round(geometry.spacing_mm[2], 6)
    return dataset


def _is_usable(keyword: str, value: str) -> bool:
    """Whether a sex, date or time is valid in DICOM; values of other tags always are."""
    if keyword == "PatientSex":
        return value in ("M", "F", "O", "")
    try:
        if keyword.endswith("Date"):
            pydicom().valuerep.DA(value)
        elif keyword.endswith("Time"):
            pydicom().valuerep.TM(value)
    except ValueError:
        return False
    return True


def _number_of(source: Any) -> int:
    """The series' number, or 0 if it has no valid one."""
    text = str(source.get("SeriesNumber") or "")
    return int(text) if text.isdecimal() else 0


def _description(highdicom: Any, number: int, name: str, said: str) -> Any:
    """A segment made by this program, and what is said of it."""
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="medseg-monai",
        version=medseg_monai.__version__,
        family=highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=highdicom.sr.CodedConcept("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=highdicom.sr.CodedConcept(f"CLASS{number}", "99MEDSEG", name[:64]),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    if said:
        description.SegmentDescription = said
    return description
