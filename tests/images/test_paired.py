"""A header and its voxels are one volume: read by the header, and never taken for another of the same header."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg_monai.dataset.leaks import same_content
from medseg_monai.images.label_volumes import write_label_volume
from medseg_monai.images.paired import all_files, header_of, missing_voxels
from medseg_monai.images.volumes import read_geometry, read_volume
from medseg_monai.inference.volumes import find_volumes

sitk = pytest.importorskip("SimpleITK")

RAMP = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
HEADERS = ("x.hdr", "x.hdr.gz", "x.mhd", "x.nhdr")


def write_pair(file: Path, array: np.ndarray = RAMP) -> Path:
    """A header and its voxels, sides 1, 2 and 3 mm."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if ".hdr" in file.name and ".nhdr" not in file.name:
        nibabel.save(nibabel.Nifti1Pair(array, np.diag([1, 2, 3, 1.0])), file)
    else:
        image = sitk.GetImageFromArray(array.T)
        image.SetSpacing((1, 2, 3))
        sitk.WriteImage(image, str(file))
    return file


@pytest.mark.parametrize("name", HEADERS)
def test_a_pair_is_read_by_its_header(tmp_path: Path, name: str) -> None:
    volume = read_volume(write_pair(tmp_path / name))
    assert np.array_equal(volume.array, RAMP)
    assert volume.geometry.spacing_mm == pytest.approx((1, 2, 3))
    assert [Path(scan.path).name for scan in find_volumes(tmp_path)] == [name]
    assert find_volumes(tmp_path)[0].name.as_posix() == "x"


@pytest.mark.parametrize("name", HEADERS)
def test_the_file_of_voxels_names_its_header(tmp_path: Path, name: str) -> None:
    _, voxels = all_files(write_pair(tmp_path / name))
    assert header_of(voxels) == tmp_path / name
    with pytest.raises(ValueError, match=f"{voxels.name}: contains only the voxels of {name}; name that file"):
        read_volume(voxels)


@pytest.mark.parametrize("name", HEADERS)
def test_missing_voxels_are_named(tmp_path: Path, name: str) -> None:
    _, voxels = all_files(write_pair(tmp_path / name))
    voxels.unlink()
    with pytest.raises(ValueError, match=rf"{name}: is the header of a pair; .*missing") as error:
        read_volume(tmp_path / name)
    assert str(error.value).count(str(tmp_path / name)) == 1


def test_an_analyze_volume_is_refused_because_it_has_no_sides(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(RAMP, np.diag([1, 2, 3, 1.0])), tmp_path / "x.hdr")
    with pytest.raises(ValueError, match=r"x\.hdr: is an Analyze volume, which does not say which side is left"):
        read_volume(tmp_path / "x.hdr")


def test_capitals_do_not_matter(tmp_path: Path) -> None:
    header, voxels = all_files(write_pair(tmp_path / "x.hdr"))
    header.rename(tmp_path / "X.HDR")
    voxels.rename(tmp_path / "X.IMG")
    assert np.array_equal(read_volume(tmp_path / "X.HDR").array, RAMP)


@pytest.mark.parametrize(
    ("suffix", "line", "names"),
    [
        (".mhd", "ElementDataFile = a.raw", ["a.raw"]),
        (".mhd", "ElementDataFile=sub folder/a.raw", ["sub folder/a.raw"]),
        (".mhd", "ElementDataFile = LIST\na.raw\nb.raw", ["a.raw", "b.raw"]),
        (".mhd", "ElementDataFile = s%02d.raw 1 2 1", ["s01.raw", "s02.raw"]),
        (".mhd", "ElementDataFile = LOCAL", []),
        (".nhdr", "data file: ./a.raw", ["a.raw"]),
        (".nhdr", "datafile: a.raw", ["a.raw"]),
        (".nhdr", "dimension: 3", []),
    ],
)
def test_the_files_that_a_header_names(tmp_path: Path, suffix: str, line: str, names: list[str]) -> None:
    for name in ("a.raw", "b.raw", "s01.raw", "s02.raw", "sub folder/a.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    header = tmp_path / f"x{suffix}"
    header.write_text(f"NDims = 3\n{line}\n")
    assert all_files(header) == [header, *(tmp_path / name for name in names)]


def test_other_files_are_alone(tmp_path: Path) -> None:
    assert all_files(tmp_path / "x.nii.gz") == [tmp_path / "x.nii.gz"]
    assert all_files(tmp_path / "missing.mhd") == [tmp_path / "missing.mhd"]
    assert header_of(tmp_path / "x.raw") is None


@pytest.mark.parametrize("name", HEADERS)
def test_two_patients_with_one_header_are_two(tmp_path: Path, name: str) -> None:
    """All scans of a scanner have the same header; the voxels tell them apart."""
    one, two = write_pair(tmp_path / "a" / name), write_pair(tmp_path / "b" / name, RAMP[::-1].copy())
    if name != "x.hdr.gz":  # whose compressed header holds the time
        assert one.read_bytes() == two.read_bytes()
    assert same_content({"training": [[one]], "test": [[two]]}) == []
    again = write_pair(tmp_path / "c" / name)
    if name != "x.hdr.gz":
        assert same_content({"training": [[one]], "test": [[again]]}) == [{"training": [one], "test": [again]}]


def test_a_label_of_a_pair_lies_where_the_scan_does(tmp_path: Path) -> None:
    scan = write_pair(tmp_path / "x.hdr")
    geometry = read_geometry(scan)
    label = write_label_volume(np.ones(geometry.shape), geometry, tmp_path / "label.nii.gz", like=scan)
    ours, theirs = nibabel.load(label).header, nibabel.load(scan).header
    for field in ("sform_code", "qform_code", "srow_x", "qoffset_x"):
        assert np.array_equal(ours[field], theirs[field])


def test_one_file_of_voxels_is_taken_whether_its_suffix_is_small_or_large(tmp_path: Path) -> None:
    for name in ("x.hdr", "x.IMG", "x.img"):
        (tmp_path / name).write_bytes(b"1")
    assert len(all_files(tmp_path / "x.hdr")) == 2
    (tmp_path / "x.img").unlink(missing_ok=True)
    if (tmp_path / "x.IMG").exists():  # where capitals make another name
        assert all_files(tmp_path / "x.hdr") == [tmp_path / "x.hdr", tmp_path / "x.IMG"]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("ElementDataFile = LOCAL", ""),
        ("ElementDataFile = local", ""),
        ("ElementDataFile = a.raw", ""),
        ("ElementDataFile = b.raw", "b.raw"),
        ("ElementDataFile = LIST\na.raw\nc.raw", "c.raw"),
        ("NDims = 3", ""),
    ],
)
def test_the_first_file_that_is_named_and_not_there(tmp_path: Path, line: str, missing: str) -> None:
    (tmp_path / "a.raw").write_bytes(b"1")
    (tmp_path / "x.mhd").write_text(f"{line}\n")
    assert missing_voxels(tmp_path / "x.mhd") == missing


def test_a_numbered_voxel_file_may_be_anywhere_and_have_any_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else[where]"
    elsewhere.mkdir()
    for number in (1, 2):
        (elsewhere / f"s[a]{number:03d}.raw").touch()
    header = tmp_path / "x.mhd"
    for pattern in (f"{elsewhere}/s[a]%03d.raw", "else[where]/s[a]%03d.raw"):
        header.write_text(f"ElementDataFile = {pattern} 1 2 1\n")
        assert [file.name for file in all_files(header)] == ["x.mhd", "s[a]001.raw", "s[a]002.raw"]
    for nothing in ("/%d.raw", "a\0/%d.raw", "**/%d"):
        header.write_text(f"ElementDataFile = {nothing}\n")
        assert all_files(header) == [header]
