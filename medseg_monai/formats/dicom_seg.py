"""DICOM segmentation objects (DICOM-SEG) for masks of DICOM series, by highdicom; they refer to the images they were made from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import medseg_monai
from medseg_monai.engines.convert import needed
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.files import write_whole
from medseg_monai.images import dicom
from medseg_monai.spec import DatasetSpec

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


def write_dicom_seg(mask: NDArray[np.uint8], image: str | Path, file: Path, spec: DatasetSpec) -> Path:
    """Write a mask as one binary segmentation object with a segment for each class.

    Args:
        mask: (1, I, J, K) of class numbers, or (classes, I, J, K) of {0, 1} for multilabel, on the series' own grid.
        image: the DICOM series, ``FOLDER`` or ``FOLDER#UID``.
        file: where to.
        spec: the data set; classes are named by coded concepts of this package's own, for it cannot know the right SNOMED codes.

    Raises:
        ValueError: the scan is no DICOM series, or the mask does not lie on it.
        ImportError: highdicom is not installed; names the extra.
    """
    highdicom = needed("highdicom", extra="dicomseg")
    if not dicom.is_dicom_folder(image):
        raise ValueError(f"{image}: is no DICOM series, and a DICOM-SEG refers to one: write nifti or nrrd instead")
    slices, _ = dicom._stack(image)
    sources = [_read(one.file) for one in slices]
    planes = class_masks(mask, len(spec.classes))
    wanted = (int(sources[0].Columns), int(sources[0].Rows), len(sources))
    if planes.shape[1:] != wanted:
        raise ValueError(f"{image}: a mask of {planes.shape[1:]} voxels came for a series of {wanted}")
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.ascontiguousarray(planes.transpose(3, 2, 1, 0)).astype(np.uint8),  # slice, row, column, class
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(highdicom, number, name) for number, name in enumerate(spec.classes, 1)],
        series_instance_uid=highdicom.UID(),
        series_number=int(sources[0].get("SeriesNumber") or 0) + 1000,
        series_description=f"Segmentation {spec.name}"[:64],
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="medseg-monai",
        manufacturer_model_name="medseg-monai",
        software_versions=medseg_monai.__version__,
        device_serial_number="0",
        omit_empty_frames=bool(planes.any()),
    )
    content = io.BytesIO()
    segmentation.save_as(content)
    write_whole(file, content.getvalue())
    return file


def _read(file: Path) -> Any:
    """An image; what must be there but may be empty, and was taken out to make it anonymous, is put back empty."""
    dataset = dicom.pydicom().dcmread(file)
    for keyword in MAY_BE_EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    for keyword in MUST_BE_THERE:
        if not dataset.get(keyword):
            raise ValueError(f"{file}: has no {keyword}, which a DICOM-SEG refers to: write nifti or nrrd instead")
    return dataset


def _description(highdicom: Any, number: int, name: str) -> Any:
    """A segment made by this program."""
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="medseg-monai",
        version=medseg_monai.__version__,
        family=highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=highdicom.sr.CodedConcept("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=highdicom.sr.CodedConcept(f"CLASS{number}", "99MEDSEG", name[:64]),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
