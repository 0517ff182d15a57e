"""Values are those stored times slope plus intercept, however they are shown, packed or compressed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
sitk = pytest.importorskip("SimpleITK")

from dicom_series import write_series, write_slice  # noqa: E402

from medseg_monai.images.volumes import read_volume  # noqa: E402


def change_each(folder: Path, change: Callable[[Any], None]) -> None:
    for file in sorted(folder.iterdir()):
        data = pydicom.dcmread(file)
        change(data)
        data.save_as(file)


def compress_by_simpleitk(data: Any) -> None:
    """The JPEG that GDCM writes; of 16-bit values it is the lossless one."""
    image = sitk.GetImageFromArray(np.frombuffer(data.PixelData, "<i2").reshape(1, data.Rows, data.Columns))
    file = f"{data.filename}.jpeg.dcm"
    sitk.WriteImage(image, file, useCompression=True, imageIO="GDCMImageIO", compressor="JPEG")
    encoded = pydicom.dcmread(file)
    Path(file).unlink()
    data.PixelData = encoded.PixelData
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID


def run_length(data: Any) -> None:
    data.compress(pydicom.uid.RLELossless, generate_instance_uid=False)


def deflated(data: Any) -> None:
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian


def plain(data: Any) -> None:
    pass


@pytest.mark.parametrize("shown", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("pack", [plain, run_length, deflated, compress_by_simpleitk])
def test_how_values_are_shown_or_packed_changes_nothing(
    tmp_path: Path, shown: str, pack: Callable[[Any], None]
) -> None:
    values = write_series(tmp_path, PhotometricInterpretation=shown, RescaleSlope=2, RescaleIntercept=-7)
    change_each(tmp_path, pack)
    assert np.array_equal(read_volume(tmp_path).array, 2 * values.transpose(1, 0, 2) - 7)


def test_one_inverted_slice_among_others(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    data = pydicom.dcmread(tmp_path / "s02.dcm")
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(tmp_path / "s02.dcm")
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2) - 1024)


@pytest.mark.parametrize("shown", ["MONOCHROME1", "MONOCHROME2"])
def test_bits_that_are_not_stored_are_not_read(tmp_path: Path, shown: str) -> None:
    """12 of 16 bits; the upper four once held an overlay."""
    values = write_series(
        tmp_path, BitsStored=12, HighBit=11, PixelRepresentation=0, PhotometricInterpretation=shown, RescaleIntercept=0
    )

    def overlay(data: Any) -> None:
        data.PixelData = (np.frombuffer(data.PixelData, "<u2") | 0xA000).tobytes()

    change_each(tmp_path, overlay)
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2))


def test_12_bits_with_a_sign(tmp_path: Path) -> None:
    stored = np.array([[-2048, -1, 0], [1, 5, 2047]])
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1, "RescaleIntercept": 0}
    for number in range(2):
        write_slice(tmp_path / f"{number}.dcm", stored & 0x0FFF, (0, 0, number), **tags)
    array = read_volume(tmp_path).array
    assert array[..., 0].T.tolist() == array[..., 1].T.tolist() == stored.tolist()


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"),
    [(1, 0, "int16"), (1, 32000, "uint16"), (1000, 0, "int32"), (3_000_000, 0, "float32"), (0.5, 0, "float32")],
)
def test_the_type_holds_the_values(tmp_path: Path, slope: float, intercept: float, kind: str) -> None:
    values = write_series(tmp_path, RescaleSlope=slope, RescaleIntercept=intercept)
    array = read_volume(tmp_path).array
    assert array.dtype == kind
    np.testing.assert_allclose(array, values.transpose(1, 0, 2) * slope + intercept, rtol=1e-7)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            r"contains colours \(PALETTE COLOR\); expected one grey value",
        ),
        ({"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3}, r"contains colours \(YBR_FULL_422\)"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, r"side by side in one picture \(mosaic\)"),
        ({"ModalityLUTSequence": [pydicom.Dataset()]}, r"maps its values by a lookup table \(ModalityLUTSequence\)"),
    ],
)
def test_what_is_not_one_grey_slice_is_called_what_it_is(tmp_path: Path, tags: dict[str, Any], message: str) -> None:
    write_series(tmp_path, **tags)
    with pytest.raises(ValueError, match=message) as error:
        read_volume(tmp_path)
    assert "\n" not in str(error.value)
