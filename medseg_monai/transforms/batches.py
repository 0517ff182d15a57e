"""Cases to a batch, as a ``DataLoader`` asks for it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate


def collate(batch: Sequence[Mapping[Hashable, Any]]) -> dict[Hashable, Any]:
    """A batch: tensors of one shape are stacked, dictionaries go inside, all else (and tensors of several shapes) is listed.

    What is a list in a case itself (files of several masks, the classes that are present) stays out: MONAI's ``decollate_batch``
    takes such a list for a batch of its own, and three masks of one image would become three images.
    """
    values = {key: [case.get(key) for case in batch] for key in batch[0]}
    return {
        key: _collate_values(of_all)
        for key, of_all in values.items()
        if not any(isinstance(value, (list, tuple)) for value in of_all)
    }


def _collate_values(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        return collate(values)
    if all(isinstance(v, Tensor) and v.shape == first.shape for v in values):
        return default_collate([v.as_subclass(Tensor) for v in values])
    return values
