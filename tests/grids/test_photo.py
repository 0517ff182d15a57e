"""The rectangle of a photograph in the network's input, and maps brought back from it."""

import pytest
import torch

from medseg_monai.grids.photo import PhotoGrid


@pytest.mark.parametrize(
    ("own", "box"),
    [
        ((1000, 1), (0, 31, 64, 1)),
        ((1, 1000), (31, 0, 1, 64)),
        ((1000, 40), (0, 30, 64, 3)),
        ((64, 64), (0, 0, 64, 64)),
    ],
)
def test_the_thinnest_photograph_keeps_a_row(own: tuple[int, int], box: tuple[int, ...]) -> None:
    grid = PhotoGrid(own, (64, 64), "pad")
    assert grid.box == box
    assert grid.restore(torch.ones(1, 64, 64)).shape == (1, *own)


@pytest.mark.parametrize("own", [(2, 16), (16, 2)])
def test_an_axis_that_shrinks_takes_means_though_the_other_grows(own: tuple[int, int]) -> None:
    values = torch.zeros(1, 8, 8)
    values[0, 0] = values[0, :, 0] = 1  # the very first row and column, which samples of every fourth would miss
    back = PhotoGrid(own, (8, 8)).restore(values)
    shrunk = back.amin(dim=2 if own[0] == 2 else 1)[0]
    assert shrunk[0] > 0.05
    assert shrunk[1] == 0


def test_what_is_restored_lies_row_by_row_as_pictures_are_stored() -> None:
    values = torch.rand(2, 8, 8)
    back = PhotoGrid((31, 20), (8, 8)).restore(values)
    assert back.shape == (2, 31, 20)
    assert back.transpose(1, 2).is_contiguous()
    expected = torch.nn.functional.interpolate(values[None], (31, 20), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(back, expected)
