"""How stored values become the network's input: a data set's ``intensity``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

from medseg_monai.dataset.checks import as_numbers, check_one_of, store
from medseg_monai.program.messages import refuse_unknown_keys

IntensityKind = Literal["uint8", "percentile", "window", "zscore"]


@dataclass(frozen=True)
class Intensity:
    """How stored values become the network's input.

    ========== ======================================================================================
    kind       values
    ========== ======================================================================================
    uint8      8-bit photographs: value / 255, then (value - mean) / std
    percentile per image: the `lower` percentile becomes 0, the `upper` 1, clipped; then (value - mean) / std
    window     the value `lower` (e.g. -160 HU) becomes 0, `upper` 1, clipped; then (value - mean) / std
    zscore     per image: minus its own mean, over its own standard deviation
    ========== ======================================================================================

    Args:
        kind: one of the above.
        lower: percentile in 0..100 (default 0.5), or a value for ``window`` (no default).
        upper: as `lower` (default 99.5).
        mean: on the scale 0..1; one number for all channels or one per channel.
        std: as `mean`.

    Raises:
        ValueError: a parameter is invalid, missing, or not one of this kind.
    """

    kind: IntensityKind = "uint8"
    _: KW_ONLY
    lower: float | None = None
    upper: float | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)

    def __post_init__(self) -> None:
        check_one_of("intensity.kind", self.kind, get_args(IntensityKind))
        if self.kind == "percentile":
            store(self, "lower", 0.5 if self.lower is None else self.lower)
            store(self, "upper", 99.5 if self.upper is None else self.upper)
        for key in ("mean", "std"):
            value = getattr(self, key)
            store(self, key, as_numbers(f"intensity.{key}", [value] if isinstance(value, int | float) else value))
        if min(self.std) <= 0:
            raise ValueError(f"intensity.std: must be above 0, got {list(self.std)}")
        if self.kind == "zscore" and (self.mean, self.std) != ((0.5,), (0.25,)):
            raise ValueError("intensity: 'zscore' uses each image's own mean and std; leave them out")
        self._check_bounds()

    def _check_bounds(self) -> None:
        given = (self.lower, self.upper)
        if self.kind not in ("percentile", "window"):
            if given != (None, None):
                raise ValueError(f"intensity: {self.kind!r} has no 'lower' or 'upper'; leave them out")
            return
        lower, upper = as_numbers("intensity.lower and upper", given)
        if not lower < upper:
            raise ValueError(f"intensity: lower must be below upper, got {lower:g} and {upper:g}")
        if self.kind == "percentile" and (lower < 0 or upper > 100):
            raise ValueError(f"intensity: percentiles must be in 0 to 100, got {lower:g} and {upper:g}")

    @property
    def bounds(self) -> tuple[float, float]:
        """(lower, upper): percentiles, or values for ``window``; ValueError for kinds without."""
        if self.lower is None or self.upper is None:
            raise ValueError(f"intensity {self.kind!r} has no bounds")
        return self.lower, self.upper

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the kind and its parameters."""
        content = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        unused = {"mean", "std"} if self.kind == "zscore" else set()
        return {key: value for key, value in content.items() if value is not None and key not in unused}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | str) -> Intensity:
        """From `to_dict`'s result, or from the name of a kind alone."""
        if isinstance(content, str):
            return cls(content)  # type: ignore[arg-type]  # checked on construction
        if not isinstance(content, Mapping):
            raise ValueError(f"intensity: expected a kind or a mapping, got {content!r}")
        refuse_unknown_keys(content, [f.name for f in dataclasses.fields(cls)], "intensity")
        return cls(**content)
