"""nnU-Net's raw folder, versions 1 and 2, and the Decathlon's, from which it derives.

``imagesTr/CASE_0000.png`` (a file for each channel) with ``labelsTr/CASE.png``; ``imagesTs`` with or without ``labelsTs``; dataset.json
gives the labels' names (a list of numbers is a region), the value to ignore, and the channels' names.
Isensee et al., Nature Methods 18, 203-211 (2021); https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import stem
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, plain_values, stated
from medseg_monai.prepare.pairs import LeftOut, Pair, name_key

PARTS = {"tr": "training", "va": "validation", "val": "validation", "ts": "test"}


@dataclass(frozen=True)
class Description:
    """The contents of dataset.json, as fields of `FolderContents`."""

    classes: tuple[str, ...] = ()
    values: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    ignore: tuple[int, ...] = ()
    channels: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def read_nnunet(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """The cases of imagesTr (and imagesTs, imagesVal, if these have labels), a file for each channel."""
    roots = {folder.parent for folder in listing.folders_named("imagestr")}
    if len(roots) != 1 or not (root := roots.pop()).joinpath("labelsTr").is_dir():
        return None
    said = _description(root / "dataset.json")
    pairs: list[Pair] = []
    gone: list[LeftOut] = []
    for ending, split in PARTS.items():
        images, labels = (_folder(root, f"{kind}{ending}") for kind in ("images", "labels"))
        if images is None or labels is None:
            gone += _without_labels(images, listing)
            continue
        found, missing = _pairs(listing.by_folder.get(images, ()), listing.by_folder.get(labels, ()), split)
        pairs += found
        gone += missing
    pairs = _with_folds(pairs, root / "splits_final.json")
    return FolderContents(
        stated(pairs),
        tuple(gone),
        classes=said.classes,
        values=said.values,
        ignore=said.ignore,
        channels=said.channels,
        facts=said.facts,
    )


NNUNET = Layout("nnunet", "nnU-Net (imagesTr/CASE_0000.* with labelsTr/CASE.*)", read_nnunet)


def _folder(root: Path, name: str) -> Path | None:
    return next((path for path in root.iterdir() if path.name.lower() == name and path.is_dir()), None)


def _without_labels(images: Path | None, listing: Listing) -> list[LeftOut]:
    count = len(listing.by_folder.get(images, ())) if images else 0
    return [(images, f"{count} {listing.kind.noun}s without labels: for prediction only")] if images and count else []


def _pairs(images: Sequence[Path], labels: Sequence[Path], split: str) -> tuple[list[Pair], list[LeftOut]]:
    """Labels with the channels of the same case; images may also lack the channel's number, as the Decathlon's do."""
    cases: dict[str, list[Path]] = defaultdict(list)
    names = {name_key(stem(label)) for label in labels}
    for image in images:
        name = name_key(stem(image))
        cases[name if name in names else re.sub(r"_\d{4}$", "", name)].append(image)
    most = max((len(files) for files in cases.values()), default=0)
    pairs, gone = [], []
    for label in labels:
        files = tuple(sorted(cases.pop(name_key(stem(label)), [])))
        if len(files) == most:
            stack = files if most > 1 else ()
            pairs.append(Pair(files[most // 2], (label,), id=stem(label), split=split, stack=stack))
        else:
            gone.append((label, f"has {len(files)} of {most} channels" if files else "no image"))
    return pairs, gone + [(file, "no label") for files in cases.values() for file in files]


def _description(file: Path) -> Description:
    """The contents of dataset.json; empty without one.

    Raises:
        ValueError: it is invalid.
    """
    if not file.is_file():
        return Description()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        labels = _labels(content.get("labels") or {})
        channels = content.get("channel_names") or content.get("modality") or {}
        return Description(
            classes=tuple(labels),
            values=plain_values(labels),
            ignore=_ignored(content.get("labels") or {}),
            channels=tuple(str(channels[key]) for key in sorted(channels, key=int)),
            facts={
                "description": str(content.get("description", "")),
                "licence": str(content.get("licence", content.get("license", ""))),
                "citation": str(content.get("reference", "")),
            },
        )
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{file}: cannot be read as nnU-Net's or the Decathlon's description ({error})") from None


def _labels(labels: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """{name: values} of the foreground. Version 1 has {"1": "liver"}, version 2 {"liver": 1} or {"tumour": [1, 2]}."""
    if labels and all(re.fullmatch(r"\d+", key) for key in labels):
        labels = {str(name): int(number) for number, name in labels.items()}
    found = {}
    for name, number in labels.items():
        values = tuple(sorted(int(n) for n in number)) if isinstance(number, Iterable) else (int(number),)
        if values != (0,) and name.lower() not in ("background", "ignore"):
            found[name] = values
    return dict(sorted(found.items(), key=lambda item: item[1])) if all(len(v) == 1 for v in found.values()) else found


def _ignored(labels: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(number) for name, number in labels.items() if name.lower() == "ignore")


def _with_folds(pairs: Sequence[Pair], file: Path) -> list[Pair]:
    """nnU-Net's own five folds, if the file that lists them is beside the images: the first fold gives the splits."""
    if not file.is_file():
        return list(pairs)
    try:
        folds = {
            name: number
            for number, fold in enumerate(json.loads(file.read_text(encoding="utf-8")))
            for name in fold["val"]
        }
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file}: cannot be read as nnU-Net's list of folds ({error})") from None
    return [
        replace(pair, fold=folds.get(pair.id), split="validation" if folds.get(pair.id) == 0 else "training")
        if pair.split == "training"
        else pair
        for pair in pairs
    ]
