"""Any folder of volumes with a folder of label volumes (NIfTI, NRRD, MHA): the user's own data, or a public set laid out like this.

``images/…`` and ``labels/…`` with matching names; for overlapping classes ``labels/<class>/…``. As for photographs in `folder.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medseg_monai.dataset import DatasetSpec, Task
from medseg_monai.dataset.label_values import MOST_CLASSES, LabelValues, Value
from medseg_monai.images.label_volumes import read_label_names
from medseg_monai.prepare.folder import Source, read_source, reasons, with_facts
from medseg_monai.prepare.layouts.choose import AUTO
from medseg_monai.prepare.layouts.contents import Drawing, chosen, facts_of, named_by, plain_values, task_of
from medseg_monai.prepare.mask_contents import refuse_if_most
from medseg_monai.prepare.pairs import VOLUMES, Pair, Progress
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.splits import table_of_splits
from medseg_monai.prepare.volume_pairs import (
    VOLUME_FRACTIONS,
    Modality,
    VolumeFacts,
    VolumeOverrides,
    guessed_modality,
    intensity_of,
    named_modality,
    of_channels,
    of_classes,
    spec_of,
    usable_volumes,
    with_present,
)


def prepare_nifti(
    raw: Path,
    out: Path,
    *,
    images: str = "",
    labels: str = "",
    layout: str = AUTO,
    pattern: str = "",
    name: str = "",
    task: Task | None = None,
    classes: Sequence[str] = (),
    label_values: Mapping[str, Sequence[Value]] | None = None,
    ignore: Sequence[Value] = (),
    splits: Path | None = None,
    groups: Path | None = None,
    leave_out: Path | None = None,
    group_pattern: str = "",
    seed: int = 0,
    fractions: Sequence[float] = VOLUME_FRACTIONS,
    overrides: VolumeOverrides | None = None,
    progress: Progress = iter,
) -> Prepared:
    """Pair volumes with label volumes by name, in place. Every pair is read in full; a broken one is left out and reported.

    Args:
        raw: the folder that contains both.
        out: folder for dataset.json.
        images, labels: their folders below `raw`; the same name if both are in one folder (labels then carry a suffix such as
            ``_label``). Default: ``images`` and ``labels`` if they exist, else the folders that `layout` finds.
        layout, pattern: how the folder is read, see `medseg_monai.prepare.layouts`.
        name: the data set's name; default: the raw folder's.
        task: default: multilabel if `labels` has a folder for each class; else binary for one class, multiclass for several.
        classes: foreground classes, label 1 first; default: the folders below `labels`, else the names in the labels' headers,
            else ``class 1``, ``class 2`` … for each label that occurs.
        label_values: each class's numbers in the labels, see `medseg_monai.dataset.label_values`; default: 1, 2, … in the order of the
            classes or, without `classes`, the numbers that occur.
        ignore: values of voxels to ignore.
        splits: CSV with the columns image_id,split; default: ``splits.csv`` in `raw`, else drawn from `seed`.
        groups: CSV with the columns image_id,group.
        leave_out: CSV with the column image_id: images to leave out.
        group_pattern: a regular expression with one group in parentheses that matches the patient in an image's path.
        seed, fractions: for a drawn split, 60 / 20 / 20 by default.
        overrides: spacing, patch, modality and window that override those derived from the data.
        progress: wraps the pass over all pairs.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: names match in more than one way, class folders do not fit the classes, or nothing usable is left.
    """
    raw, out, overrides = Path(raw), Path(out), overrides or VolumeOverrides()
    source = Source(raw, VOLUMES, images or "images", labels or "labels", named=bool(images or labels))
    way, root, found = read_source(source, classes, Drawing(out, task, progress), layout=layout, pattern=pattern)
    found = found if found.classes_of else chosen(found, classes, label_values, ignore)
    looks, bad = usable_volumes(with_facts(found.pairs, root, group_pattern), progress=progress)
    gone = [*found.left_out, *bad]
    channels = max((look.channels for look in looks.values()), default=1)
    looks, wrong = of_channels(looks, channels)
    gone += wrong
    if found.classes_of:
        levels = {level for look in looks.values() for level in look.levels}
        found = chosen(named_by(found, levels), classes, label_values, ignore)
    if not found.classes:
        numbered = {name: (number,) for name, number in _numbered(looks, found.ignore).items()}
        found = replace(found, classes=tuple(numbered), values=plain_values(numbered))
    values = LabelValues.from_dict(found.values) if found.values else None
    if not found.class_files:
        count = len(looks)
        looks, wrong = of_classes(looks, found.classes, values, found.ignore)
        refuse_if_most(wrong, count=count)
        gone += wrong
    if not looks:
        raise ValueError(f"{raw}: no volume with a usable label: {reasons(gone)}")
    modality = overrides.modality or named_modality(found.channels) or guessed_modality(looks.values())
    draft = DatasetSpec(
        name or re.sub(r"[^A-Za-z0-9_.-]+", "_", raw.resolve().name).lstrip("._-") or "volumes",
        task or task_of(found, overlap=any(look.overlap for look in looks.values())),
        classes=found.classes,
        channels=_channels(channels, found.channels, modality),
        spatial_dims=3,
        spacing_mm=(1, 1, 1),
        intensity=intensity_of(modality, overrides.window),
        modality=modality.upper(),
        label_values=values,
        ignore=found.ignore,
        **facts_of(found),
    )
    prepared = finish(
        with_present(looks, draft),
        spec_of(draft, looks, overrides),
        out,
        left_out=gone,
        splits=table_of_splits(splits, raw),
        groups=groups,
        leave_out=leave_out,
        seed=seed,
        fractions=fractions,
    )
    return replace(prepared, layout=way)


def _channels(count: int, names: Sequence[str], modality: Modality) -> tuple[str, ...]:
    """The names that the layout states, in lower case, if their number fits; else the modality, or numbers."""
    if len({name.lower() for name in names}) == count:
        return tuple(name.lower() for name in names)
    return (modality,) if count == 1 else tuple(f"channel {n}" for n in range(1, count + 1))


def _numbered(looks: Mapping[Pair, VolumeFacts], ignore: Sequence[Value]) -> dict[str, int]:
    """The label of each class that occurs or that the headers name; names come from the headers if they have any."""
    found = {level for look in looks.values() for level in look.levels} - {
        0,
        *(n for n in ignore if isinstance(n, int)),
    }
    known: dict[int, str] = {}
    for pair in looks:
        known = read_label_names(pair.masks[0]) | known
    if found == {255} and not known:
        found = {1}  # a mask of 0 and 255
    numbers = sorted(found | known.keys()) or [1]
    if len(numbers) > MOST_CLASSES:
        raise ValueError(
            f"the labels have {len(numbers)} values up to {numbers[-1]}, more than the {MOST_CLASSES} that can be classes; "
            "name the classes with --class"
        )
    only = len(numbers) == 1 and numbers[0] == 1
    return {known.get(number, "foreground" if only else f"class {number}"): number for number in numbers}
