"""Cases to a batch, for a ``DataLoader``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate


def collate(batch: Sequence[Mapping[Hashable, Any]]) -> dict[Hashable, Any]:
    """A batch: tensors of one shape are stacked, dictionaries are collated recursively, everything else is put into a list.

    Entries that are lists in a case (files of several masks, the classes that are present) are left out: MONAI's ``decollate_batch``
    takes such a list for a batch, and three masks of one image would become three images.
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
