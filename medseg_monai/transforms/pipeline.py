"""Transforms in sequence."""

from __future__ import annotations

from typing import Any

from monai.transforms.compose import Compose


class Pipeline(Compose):
    """MONAI's ``Compose``, except that an error in a transform reaches the caller unwrapped, not as a ``RuntimeError``."""

    def __call__(
        self,
        input_: Any,
        start: int = 0,
        end: int | None = None,
        threading: bool = False,
        lazy: bool | None = None,
    ) -> Any:
        """Apply the transforms in sequence."""
        for transform in self.transforms[start:end]:
            input_ = transform(input_)
        return input_
