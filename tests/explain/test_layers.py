import torch

from medseg_monai.explain.layers import enlarge, stride_of


def test_a_map_lies_where_it_was_computed_at_sizes_its_stride_does_not_divide():
    # 37 pixels at stride 8 are 5 columns, of which the last covers the pixels 32 to 39
    assert stride_of(5, 37) == 8
    columns = torch.zeros(1, 1, 5, 5)
    columns[..., 2, :] = 1
    enlarged = enlarge(columns, (37, 40))
    assert enlarged.shape == (1, 1, 37, 40)
    assert enlarged[0, 0, :, 0].argmax() in (19, 20)
    assert enlarged[0, 0, 16:24, 0].sum() > enlarged[0, 0, :16, 0].sum()
