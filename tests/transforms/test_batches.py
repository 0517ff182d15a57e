import pytest
import torch
from monai.data import MetaTensor, decollate_batch

from medseg_monai.transforms.batches import collate


@pytest.mark.parametrize("images", [1, 2, 3])
def test_decollated_are_as_many_cases_as_were_collated(images):
    """Also where a case holds lists: masks in a file per class, the classes that are present."""
    cases = [
        {
            "image": torch.full((1, 2, 2), float(n)),
            "id": f"c{n}",
            "label": ["a.png", "b.png", "c.png"],
            "present": ["a", "b"][:n],
        }
        for n in range(images)
    ]
    parts = decollate_batch(collate(cases))
    assert [part["id"] for part in parts] == [f"c{n}" for n in range(images)]
    assert [float(part["image"].mean()) for part in parts] == list(range(images))


def test_collate_lists_what_cannot_be_stacked():
    batch = collate([{"a": torch.zeros(2), "b": 1}, {"a": torch.zeros(3), "b": None}])
    assert [tensor.shape for tensor in batch["a"]] == [(2,), (3,)]
    assert batch["b"] == [1, None]
    assert type(collate([{"a": MetaTensor(torch.ones(2))}])["a"]) is torch.Tensor
