"""Clicks as MONAI Label's clients send them."""

import pytest

from medseg_monai.clicks import Click
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.label.points import clicks_of

PHOTO = DatasetSpec(name="p", task="binary", classes=("lesion",), channels=("grey",), size=(64, 64))
VOLUME = DatasetSpec(
    name="v", task="multiclass", classes=("liver", "spleen"), channels=("CT",), spatial_dims=3, spacing_mm=(1, 1, 1)
)


def test_x_is_the_column_and_y_the_row():
    """3D Slicer adds a z of 0 to a photograph; a point that is sent twice is one click."""
    found = clicks_of(PHOTO, foreground=[[7, 3], [7.4, 2.6, 0]], background=[[1, 2, 0]], label="Segment_1")
    assert found == [Click(3, 7), Click(2, 1, inside=False)]


def test_z_is_the_slice():
    assert clicks_of(VOLUME, foreground=[[7, 3, 5]], label="spleen") == [Click(3, 7, slice=5, class_name="spleen")]
    assert clicks_of(VOLUME, background=[[7, 3, 5]]) == [Click(3, 7, inside=False, slice=5)]


def test_points_by_class():
    found = clicks_of(VOLUME, by_class={"liver": [[1, 2, 3]], "spleen": [[4, 5, 6]]}, background=[[0, 0, 0]])
    assert found == [
        Click(0, 0, inside=False, slice=0),
        Click(2, 1, slice=3, class_name="liver"),
        Click(5, 4, slice=6, class_name="spleen"),
    ]


@pytest.mark.parametrize("point", [[1, 2, 1], [1, 2, 0, 0]])
def test_a_photograph_has_one_slice(point: list[float]):
    with pytest.raises(ValueError, match="params.background: expected x, y of a photograph, not"):
        clicks_of(PHOTO, background=[point])


def test_a_volume_needs_three_numbers():
    with pytest.raises(ValueError, match=r"params.liver: expected x, y, z of a volume, not \[1, 2\]"):
        clicks_of(VOLUME, by_class={"liver": [[1, 2]]})
