"""Clicks as MONAI Label's clients send them: lists of points x, y, z in the image's own indices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from medseg_monai.clicks.click import Click
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.outputs.naming import file_rules

Points = Sequence[Sequence[float]]


def clicks_of(
    spec: DatasetSpec,
    *,
    foreground: Points = (),
    background: Points = (),
    by_class: Mapping[str, Points] | None = None,
    label: str = "",
) -> list[Click]:
    """The clicks of a request; repeated points count once.

    Args:
        spec: what the model segments.
        foreground: points that belong to `label`, or to the only class.
        background: points that do not; of classes that exclude each other, and without `label`, that belong to none.
        by_class: class -> points that belong to it, as clients send them for several classes.
        label: the class that `foreground` and `background` are about. A name that is no class of the model's counts as none if the model
            has only one: annotators name their segments as they like.

    Raises:
        ValueError: a point does not have the numbers that an image of this kind needs, or a class is unknown or missing.
    """
    named = None if len(spec.classes) == 1 else label or None
    clicks = [_click(point, spec, "foreground", inside=True, class_name=named) for point in foreground]
    clicks += [_click(point, spec, "background", inside=False, class_name=named) for point in background]
    for name, points in (by_class or {}).items():
        clicks += [_click(point, spec, name, inside=True, class_name=name) for point in points]
    return list(dict.fromkeys(clicks))


def _click(point: Sequence[float], spec: DatasetSpec, field: str, *, inside: bool, class_name: str | None) -> Click:
    numbers = [math.floor(number + 0.5) for number in point]
    if len(numbers) == 3 and not any(numbers[spec.spatial_dims :]):
        numbers = numbers[: spec.spatial_dims]  # clients that show a photograph as a volume of one slice
    if len(numbers) != spec.spatial_dims:
        wanted = ", ".join("xyz"[: spec.spatial_dims])
        raise ValueError(
            f"params.{field}: expected {wanted} of a {file_rules(spec).images.removesuffix('s')}, not {list(point)}"
        )
    column, row, *depth = numbers
    return Click(row, column, inside, slice=depth[0] if depth else None, class_name=class_name)
