"""A data set by number, slice, id and split; its images and masks as arrays in the order of pictures."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.api.datasets import ImageDataset, load_dataset
from medseg_monai.dataset import Dataset, DatasetSpec, read_dataset, write_dataset


@pytest.fixture(scope="module")
def data(demo_data: Path) -> ImageDataset:
    return load_dataset(demo_data)


def written(folder: Path, spec: DatasetSpec, cases: Sequence[dict[str, object]]) -> ImageDataset:
    write_dataset(Dataset(spec, folder, training=tuple(cases)), folder)
    return load_dataset(folder)


def test_cases_are_found_by_number_slice_id_and_split(data: ImageDataset, demo_data: Path) -> None:
    expected = [
        case["id"] for split in ("training", "validation", "test") for case in read_dataset(demo_data).cases(split)
    ]
    assert [case.id for case in data] == expected
    assert (len(data), data[-1].id, data[expected[2]].id) == (20, expected[-1], expected[2])
    assert [case.id for case in data[3:6]] == expected[3:6]
    assert [case.id for case in data[::7]] == expected[::7]
    assert [case.id for case in data["test"]] == [case.id for case in data.test] == expected[-len(data.test) :]
    assert {case.split for case in data.validation} == {"validation"}
    assert expected[0] in data
    assert "nosuch" not in data
    assert data[0] in data
    assert data.test[0] not in data.training
    assert (data.is_whole, data.test.is_whole, data[:2].is_whole) == (True, False, False)
    assert repr(data.test[:2]) == "ImageDataset(demo test [:2]: 2 test cases of lesion)"


def test_what_is_not_there_is_said_with_the_nearest_name(data: ImageDataset) -> None:
    with pytest.raises(KeyError, match=f"did you mean '{data[0].id}'"):
        data[f"{data[0].id}x"]
    with pytest.raises(ValueError, match="unknown split 'trainin'.*training"):
        data.split("trainin")
    with pytest.raises(IndexError):
        data[20]


def test_arrays_are_in_the_order_of_pictures(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    mask = np.zeros((8, 12), np.uint8)
    mask[2, 9] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    spec = DatasetSpec("x", "binary", classes=("spot",), channels=("red", "green", "blue"), size=(8, 8))
    case = written(tmp_path, spec, [{"image": "a.png", "label": "a_mask.png", "group": "p1"}])[0]
    assert np.array_equal(case.image, picture)
    assert np.array_equal(case.mask, (mask > 0).astype(np.uint8))
    assert (case.id, case.group, case.split) == ("a", "p1", "training")
    assert case.image_files == [tmp_path / "a.png"]
    page = case._repr_html_()
    assert "data:image/jpeg" in page
    assert "<td>1</td>" in page
    assert "p1" in page
    assert len(case.plot().axes) == 2


def test_grey_pictures_have_two_axes_and_overlapping_classes_a_plane_each(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    planes = np.zeros((2, 6, 8), np.uint8)
    planes[0, 1:3], planes[1, 2:4] = 255, 255
    Image.fromarray(grey).save(tmp_path / "a.png")
    for name, plane in zip("uv", planes, strict=True):
        Image.fromarray(plane).save(tmp_path / f"{name}.png")
    spec = DatasetSpec("x", "multilabel", classes=("u", "v"), channels=("grey",), size=(8, 8))
    case = written(tmp_path, spec, [{"image": "a.png", "label": ["u.png", "v.png"]}])[0]
    assert np.array_equal(case.image, grey)
    assert np.array_equal(case.mask, planes // 255)


def test_volumes_keep_their_own_axes(demo_volumes: Path) -> None:
    data = load_dataset(demo_volumes)
    case = data[0]
    assert case.image.ndim == 3
    assert case.image.shape == case.mask.shape
    assert set(np.unique(case.mask)) <= set(range(len(data.classes) + 1))
    assert "voxels" in case._repr_html_()
    assert "slice" in case.plot().axes[0].get_title()
    assert len(data[:2].plot().axes) == 2


def test_a_broken_image_does_not_hide_the_others(tmp_path: Path) -> None:
    spec = DatasetSpec("x", "binary", classes=("<b>spot</b>",), channels=("grey",), size=(8, 8))
    for name in "abc":
        Image.new("L", (8, 8), 9).save(tmp_path / f"{name}.png")
    data = written(tmp_path, spec, [{"image": f"{name}.png", "label": f"{name}.png"} for name in "abc"])
    (tmp_path / "b.png").write_bytes(b"broken")
    figure = data.plot()
    assert [axes.get_title() for axes in figure.axes] == ["a", "c"]
    assert figure.get_suptitle() == "1 of 3 could not be read"
    page = data._repr_html_()
    assert page.count("data:image") == 2
    assert "b: " in page
    assert "&lt;b&gt;spot&lt;/b&gt;" in page
    assert "<b>" not in page
    for name in "ac":
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(ValueError, match="nothing to draw of ImageDataset"):
        data.plot()


def test_a_gallery_is_spread_over_all_cases(data: ImageDataset) -> None:
    assert [axes.get_title() for axes in data.plot(count=4).axes] == [case.id for case in data[::5]]


def test_a_name_is_looked_for_in_data_as_prepare_names_folders(
    demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").symlink_to(demo_data)
    assert len(load_dataset("mine")) == 20
    load_dataset("mine").check()
    with pytest.raises(FileNotFoundError, match="nosuch"):
        load_dataset("nosuch")


def test_a_data_set_here_goes_before_one_in_data(
    demo_data: Path, demo_volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(demo_data, tmp_path / "mine")
    shutil.copytree(demo_volumes, tmp_path / "data" / "mine")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("mine").spec.spatial_dims == 2
    (tmp_path / "mine" / "dataset.json").unlink()
    assert load_dataset("mine").spec.spatial_dims == 3
