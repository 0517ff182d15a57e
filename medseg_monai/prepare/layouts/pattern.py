r"""Folders that a pattern describes: ``{case}/{channel}.nii.gz -> {case}/seg.nii.gz``.

Images are on the left, masks on the right, as paths below the folder. ``{case}`` must be on both sides; ``{channel}`` (left) makes
the files of one case its channels, ``{class}`` (right) says which class a mask is of; ``{split}`` and ``{group}`` may be on either side.
``*`` matches any other part of a name, ``**`` any folders.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medseg_monai.prepare.layouts.contents import FolderContents, Listing, stated
from medseg_monai.prepare.pairs import LeftOut, Pair, nearest_names
from medseg_monai.prepare.splits import split_named
from medseg_monai.program.messages import listed

FIELDS = ("case", "channel", "class", "split", "group")
EXAMPLE = "'{case}/image_{channel}.nii.gz -> {case}/label.nii.gz'"


@dataclass(frozen=True)
class Side:
    """One side of a pattern: its text, and the regular expression for paths."""

    text: str
    expression: re.Pattern[str]

    def matches(self, listing: Listing) -> dict[Path, dict[str, str]]:
        """The files that match, with the values of the fields."""
        found = {}
        for path in listing.files:
            match = self.expression.fullmatch(unicodedata.normalize("NFC", path.relative_to(listing.root).as_posix()))
            if match:
                found[path] = match.groupdict()
        return found


def parse_pattern(text: str) -> tuple[Side, Side]:
    """The images' and the masks' side.

    Raises:
        ValueError: there is no arrow, no ``{case}`` on a side, or an unknown field.
    """
    sides = [side.strip() for side in text.split("->")]
    if len(sides) != 2 or not all("{case}" in side for side in sides):
        raise ValueError(f"pattern: expected images -> masks, each with {{case}}, e.g. {EXAMPLE}; got {text!r}")
    for side, other in ((sides[0], "{class}"), (sides[1], "{channel}")):
        if other in side:
            raise ValueError(f"pattern: {other} belongs on the other side of the arrow; got {text!r}")
    return _side(sides[0]), _side(sides[1])


def _side(text: str) -> Side:
    parts, seen = [], set()
    for token in re.split(r"(\{[^{}]*\}|\*\*/|\*)", unicodedata.normalize("NFC", text)):
        if token.startswith("{"):
            name = token[1:-1]
            if name not in FIELDS:
                raise ValueError(
                    f"pattern: unknown field {token}; known are {', '.join(f'{{{field}}}' for field in FIELDS)}"
                )
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)")
            seen.add(name)
        else:
            parts.append({"**/": "(?:.*/)?", "*": "[^/]*"}.get(token, re.escape(token)))
    return Side(text, re.compile("".join(parts), re.IGNORECASE))


def read_pattern(listing: Listing, text: str) -> FolderContents:
    """The cases that a pattern describes.

    Raises:
        ValueError: the pattern is invalid, one side matches no file, or no case has both.
    """
    image_side, mask_side = parse_pattern(text)
    masks = mask_side.matches(listing)
    images = {path: fields for path, fields in image_side.matches(listing).items() if path not in masks}
    for side, found, noun in ((image_side, images, "image"), (mask_side, masks, "mask")):
        if not found:
            shown = listed(path.relative_to(listing.root).as_posix() for path in listing.files[:2])
            raise ValueError(
                f"{listing.root}: pattern: no {noun} matches {side.text!r}; files here are named {shown} …"
            )
    shared = [
        name
        for name in ("case", "split", "group")
        if all(name in side.expression.groupindex for side in (image_side, mask_side))
    ]
    by_case = _by_case(images, shared), _by_case(masks, shared)
    channels = sorted({fields.get("channel", "") for fields in images.values()})
    classes = sorted({fields["class"] for fields in masks.values() if "class" in fields})
    pairs: list[Pair] = []
    gone: list[LeftOut] = []
    for key, files in by_case[0].items():
        try:
            pairs.append(_pair(files, by_case[1].pop(key, {}), channels, classes))
        except ValueError as error:
            gone.append((next(iter(files)), str(error)))
    gone += [(path, f"no image matches {image_side.text!r}") for files in by_case[1].values() for path in files]
    if len({pair.id for pair in pairs}) < len(pairs):
        pairs = [
            replace(pair, id="/".join(part for part in (pair.split, pair.group, pair.id) if part)) for pair in pairs
        ]
    if not pairs:
        raise ValueError(
            f"{listing.root}: pattern: no image and mask have the same {', '.join(shared)}; {nearest_names(images, masks)}"
        )
    gone += [(path, "does not match the pattern") for path in listing.files if path not in images and path not in masks]
    return FolderContents(
        stated(pairs),
        tuple(gone),
        tuple(classes),
        class_files=len(classes) > 1,
        channels=tuple(channels) if len(channels) > 1 else (),
    )


Files = Mapping[Path, Mapping[str, str]]


def _by_case(files: Files, shared: list[str]) -> dict[tuple[str, ...], dict[Path, Mapping[str, str]]]:
    found: dict[tuple[str, ...], dict[Path, Mapping[str, str]]] = defaultdict(dict)
    for path, fields in files.items():
        found[tuple(fields[name].casefold() for name in shared)][path] = fields
    return found


def _pair(images: Files, masks: Files, channels: list[str], classes: list[str]) -> Pair:
    """One case.

    Raises:
        ValueError: a channel, a class or every mask is missing, or occurs twice.
    """
    if not masks:
        raise ValueError("no mask matches the pattern")
    stack = _one_each({path: fields.get("channel", "") for path, fields in images.items()}, channels, "channel")
    parts = tuple(sorted(masks))
    if classes:
        parts = _one_each({path: fields["class"] for path, fields in masks.items()}, classes, "class")
    facts = {**next(iter(masks.values())), **next(iter(images.values()))}
    return Pair(
        stack[len(stack) // 2],
        parts,
        id=facts["case"],
        split=split_named(facts.get("split", "")),
        group=facts.get("group", ""),
        stack=stack if len(stack) > 1 else (),
    )


def _one_each(names: Mapping[Path, str], wanted: list[str], noun: str) -> tuple[Path, ...]:
    for name in wanted:
        files = [path.name for path, own in names.items() if own == name]
        if len(files) != 1:
            what = f"{noun} {name!r}" if name else "image"
            raise ValueError(f"has {listed(files)} for the {what}" if files else f"has no {what}")
    return tuple(next(path for path, own in names.items() if own == name) for name in wanted)
