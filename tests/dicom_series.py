"""Small DICOM series, written for the tests of several modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom

AXIAL = (1, 0, 0, 0, 1, 0)
CT = "1.2.840.10008.5.1.4.1.1.2"
UID = "1.2.3.4"


def write_slice(file: Path, pixels: np.ndarray, position: Any, **tags: Any) -> None:
    """One slice, (rows, columns) int16, at a position in LPS."""
    file.parent.mkdir(parents=True, exist_ok=True)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = tags.pop("syntax", pydicom.uid.ExplicitVRLittleEndian)
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = "CT", "p1", "1.2.3", UID
    data.SeriesDescription, data.SeriesNumber, data.FrameOfReferenceUID = "abdomen", 2, "1.9"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.ImagePositionPatient, data.ImageOrientationPatient = [float(v) for v in position], list(AXIAL)
    data.PixelSpacing, data.SliceThickness = [0.5, 0.75], 2.0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = pixels.astype("<i2").tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(file, enforce_file_format=True)


def write_series(folder: Path, slices: int = 5, *, step: Any = (0, 0, 2), prefix: str = "s", **tags: Any) -> np.ndarray:
    """Slices of 4 rows and 6 columns; returns the stored values, (rows, columns, slices)."""
    values = np.random.default_rng(0).integers(0, 2000, (4, 6, slices))
    for number in range(slices):
        position = np.array([-10.0, 20.0, 30.0]) + number * np.asarray(step, float)
        write_slice(folder / f"{prefix}{slices - number:02}.dcm", values[..., number], position, **tags)
    return values
