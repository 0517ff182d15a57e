"""Any folder of images with a folder of masks: the user's own data, or one of the many public sets laid out like this.

``images/…`` and ``masks/…`` with matching names; for overlapping classes ``masks/<class>/…``, with a mask for each image
in every class folder (an empty mask says that the class is absent). If all images are in ``images/train…``, ``val…`` and
``test…``, these are the splits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medseg_monai.dataset import Aspect, DatasetSpec, Intensity, Task
from medseg_monai.dataset.cases import absolute_path, case_names, stem
from medseg_monai.dataset.label_values import LabelValues, Value
from medseg_monai.prepare.layouts.choose import AUTO, read_layout
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, chosen, facts_of, innermost, task_of
from medseg_monai.prepare.mask_contents import look_into_masks
from medseg_monai.prepare.pairs import (
    PICTURES,
    FileKind,
    LeftOut,
    Pair,
    PictureKind,
    Progress,
    core,
    find_files,
    likely_pattern,
    match_masks,
    nearest_names,
    usable,
)
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.splits import FRACTIONS, split_named, table_of_splits
from medseg_monai.program.messages import did_you_mean, listed

SIZE = (256, 256)


def prepare_folder(
    raw: Path,
    out: Path,
    *,
    images: str = "",
    masks: str = "",
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
    fractions: Sequence[float] = FRACTIONS,
    size: tuple[int, int] = SIZE,
    aspect: Aspect = "stretch",
    progress: Progress = iter,
) -> Prepared:
    """Pair images with masks by name, in place, without copying pixels. Every mask is read; unusable ones are left out and reported.

    Args:
        raw: the folder that contains both.
        out: folder for dataset.json.
        images, masks: their folders below `raw`; the same name if both are in one folder (masks then carry a suffix
            such as ``_mask``). Default: ``images`` and ``masks`` if they exist, else the folders that `layout` finds.
        layout, pattern: how the folder is read, see `medseg_monai.prepare.layouts`.
        name: the data set's name; default: the raw folder's.
        task: default: binary for one class; for several, multilabel if `masks` has a folder for each, else multiclass.
        classes: foreground classes; default: the names of the folders below `masks` (unless `images` has folders of
            the same names), else "foreground".
        label_values: each class's numbers or colours in the masks, see `medseg_monai.dataset.label_values`; default: 1, 2, … in the
            order of the classes, or two levels for one class.
        ignore: values of pixels to ignore.
        splits: CSV with the columns image_id,split; default: ``splits.csv`` in `raw`, else drawn from `seed`.
        groups: CSV with the columns image_id,group.
        leave_out: CSV with the column image_id: images to leave out.
        group_pattern: a regular expression with one group in parentheses that matches patient or lesion in an image's path
            below `images`, e.g. ``^([^_]+)_``.
        seed, fractions: for a drawn split.
        size: (width, height) of the network's input.
        aspect: ``stretch``, or keep the aspect ratio and ``pad``.
        progress: wraps the pass over all pairs.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: names match in more than one way, class folders do not fit the classes, or nothing usable is left.
    """
    raw, out = Path(raw), Path(out)
    source = Source(raw, PICTURES, images or "images", masks or "masks", named=bool(images or masks))
    way, root, found = read_source(source, classes, Drawing(out, task, progress), layout=layout, pattern=pattern)
    found = chosen(found, classes, label_values, ignore)
    good, bad = usable(with_facts(found.pairs, root, group_pattern), progress=progress)
    gone = [*found.left_out, *bad]
    if not good:
        raise ValueError(f"{raw}: no image with a usable mask: {reasons(gone)}")
    names = found.classes or ("foreground",)
    channels, intensity = _channels(good, found.channels)
    spec = DatasetSpec(
        name or re.sub(r"[^A-Za-z0-9_.-]+", "_", raw.resolve().name).lstrip("._-") or "folder",
        task or task_of(found),
        classes=names,
        channels=channels,
        size=size,
        aspect=aspect,
        intensity=intensity,
        label_values=LabelValues.from_dict(found.values) if found.values else None,
        ignore=found.ignore,
        **facts_of(found),
    )
    contents = look_into_masks(list(good), spec, progress=progress)
    gone += contents.left_out
    prepared = finish(
        contents.pairs,
        spec,
        out,
        left_out=gone,
        notes=contents.notes,
        splits=table_of_splits(splits, raw),
        groups=groups,
        leave_out=leave_out,
        seed=seed,
        fractions=fractions,
    )
    return replace(prepared, layout=way)


@dataclass(frozen=True)
class Source:
    """A raw folder, and where in it the images and the masks should be.

    Args:
        named: the user named these folders, so no others are tried.
    """

    raw: Path
    kind: FileKind
    images: str
    masks: str
    named: bool


def read_source(
    source: Source, classes: Sequence[str], drawing: Drawing, *, layout: str, pattern: str
) -> tuple[str, Path, FolderContents]:
    """The layout, the folder of the images, and what was found.

    The user's folders, or ``images`` and ``masks`` if they exist, take precedence over the layouts. Raises as `prepare_folder` does.
    """
    raw, kind = source.raw, source.kind
    image_root, mask_root = raw / source.images, raw / source.masks
    there = image_root.is_dir() and mask_root.is_dir() and layout == AUTO and not pattern
    if source.named + (layout != AUTO) + bool(pattern) > 1:
        raise ValueError(
            "named folders (--images, --masks), a layout and a pattern exclude each other; give one of them"
        )
    if source.named or there:
        files, gone = images_below(raw, image_root, mask_root, kind)
        by_class = {} if image_root == mask_root else class_folders(mask_root, image_root, classes, drawing.task)
        pairs, unpaired = pairs_of(files, image_root, by_class or {"": mask_root}, kind)
        if not pairs and len(by_class) < 2:
            below = (
                [path.relative_to(raw) for path in files],
                [path.relative_to(raw) for path, _ in unpaired if path not in files],
            )
            raise ValueError(
                f"{raw}: none of {len(files)} {kind.noun}s has a mask of the same name; {nearest_names(*below)}. "
                f"Rename them, or say how they match, e.g. --pattern '{likely_pattern(*below)}'"
            )
        return (
            "folders",
            image_root,
            FolderContents(tuple(pairs), (*gone, *unpaired), tuple(by_class), class_files=bool(by_class)),
        )
    way, found = read_layout(raw, kind, drawing, layout=layout, pattern=pattern)
    return way, innermost(raw), found


def reasons(gone: Sequence[LeftOut]) -> str:
    """The first few reasons why files were left out."""
    return listed((f"{path}: {why}" for path, why in gone), limit=3)


def images_below(
    raw: Path, image_root: Path, mask_root: Path, kind: FileKind = PICTURES
) -> tuple[list[Path], list[LeftOut]]:
    """Pictures below `image_root`, and other files there; without the masks if these are there as well."""
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder")
    if not image_root.is_dir():
        here = sorted(path.name for path in raw.iterdir() if path.is_dir())
        raise FileNotFoundError(
            f"{image_root}: no such folder (folders in {raw}: {listed(here) or 'none'}); name the one with the images"
        )
    pictures, others = find_files(image_root, kind)
    if image_root == mask_root:
        pictures = [path for path in pictures if core(stem(path)) == stem(path).casefold()]
    else:
        pictures = [path for path in pictures if mask_root not in path.parents]
    return pictures, [(path, f"not a {kind.noun}") for path in others if mask_root not in path.parents]


def class_folders(mask_root: Path, image_root: Path, classes: Sequence[str], task: Task | None) -> dict[str, Path]:
    """The folder of masks of each class, in the order of the classes; empty if masks are not sorted by class."""
    if not mask_root.is_dir():
        raise FileNotFoundError(f"{mask_root}: no such folder; name the one with the masks")
    found = {path.name: path for path in sorted(mask_root.iterdir()) if path.is_dir() and path.name[0] not in "._"}
    mirrored = any((image_root / name).is_dir() for name in found)
    if not classes:
        loose = any(path.is_file() and path.name[0] != "." for path in mask_root.iterdir())
        return {} if mirrored or loose or task == "binary" else found
    if not found.keys() & set(classes):
        if found and task == "multilabel":
            raise ValueError(f"{mask_root}: no folder of any class; expected {listed(classes)}, found {listed(found)}")
        return {}
    for name in classes:
        if name not in found:
            raise ValueError(f"{mask_root}: no folder for the class {name!r}; there are {listed(found)}")
    for name in found:
        if name not in classes:
            raise ValueError(f"{mask_root / name}: is not a class{did_you_mean(name, classes)}; name it or move it")
    return {name: found[name] for name in classes}


def pairs_of(
    files: Sequence[Path], image_root: Path, folders: Mapping[str, Path], kind: FileKind = PICTURES
) -> tuple[list[Pair], list[LeftOut]]:
    """Images with a mask in every folder (one per class, or one for all), and files without a partner."""
    gone: list[LeftOut] = []
    mask_of: dict[str, dict[Path, tuple[Path, ...]]] = {}
    ids = dict(zip(files, case_names([absolute_path(image) for image in files]), strict=True))
    for name, folder in folders.items():
        masks, others = find_files(folder, kind)
        masks = [path for path in masks if path not in ids]
        mask_of[name], orphans = match_masks(files, masks, image_root=image_root, mask_root=folder)
        gone += [(mask, f"no image in {image_root}") for mask in orphans]
        gone += [(path, f"not a {kind.noun}") for path in others]
    pairs = []
    for image in files:
        several = [found[image] for found in mask_of.values() if len(found.get(image, ())) > 1]
        lacking = [str(folders[name]) for name in folders if image not in mask_of[name]]
        if lacking:
            hint = "; an empty mask says that a class is absent" if len(folders) > 1 else ""
            gone.append((image, f"no mask in {listed(lacking)}{hint}"))
        elif several and len(folders) > 1:
            gone.append((image, f"several masks of one class: {listed(path.name for path in several[0])}; merge them"))
        else:
            pairs.append(Pair(image, tuple(mask for name in folders for mask in mask_of[name][image]), id=ids[image]))
    return pairs, gone


def with_facts(pairs: Sequence[Pair], image_root: Path, pattern: str) -> list[Pair]:
    """Groups by a regular expression; splits if all images are in folders named after splits."""
    if pattern and re.compile(pattern).groups != 1:
        raise ValueError(f"group_pattern: one part in parentheses is required, as in '^([^_]+)_'; got {pattern!r}")
    paths = [pair.image.relative_to(image_root) for pair in pairs]
    splits = [
        pair.split or (split_named(path.parts[0]) if len(path.parts) > 1 else "")
        for pair, path in zip(pairs, paths, strict=True)
    ]
    if not all(splits) or len(set(splits)) < 2:
        splits = [""] * len(pairs)
    groups = [re.search(pattern, path.as_posix()) if pattern else None for path in paths]
    if pattern and (unknown := [str(path) for path, group in zip(paths, groups, strict=True) if not group]):
        raise ValueError(f"group_pattern: {pattern!r} does not match {len(unknown)} paths: {listed(unknown)}")
    return [
        replace(pair, split=split, group=group[1] if group else "")
        for pair, split, group in zip(pairs, splits, groups, strict=True)
    ]


def _channels(good: Mapping[Pair, PictureKind], names: Sequence[str]) -> tuple[tuple[str, ...], Intensity]:
    """Grey if all images are; 16-bit values are scaled by each image's own percentiles. `names` are used if their number fits."""
    colours = ("grey",) if all(look.grey for look in good.values()) else ("red", "green", "blue")
    files = max(1, len(next(iter(good)).stack))
    channels = colours if files == 1 else tuple(f"{colour} {n}" for n in range(1, files + 1) for colour in colours)
    intensity = Intensity("percentile" if any(look.deep for look in good.values()) else "uint8")
    return tuple(names) if len(set(names)) == len(channels) else channels, intensity
