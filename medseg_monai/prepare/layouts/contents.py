"""What a layout is given, and what it gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from medseg_monai.dataset.cases import absolute_path
from medseg_monai.dataset.spec import Task
from medseg_monai.prepare.pairs import FileKind, LeftOut, Pair, Progress, find_files, name_key
from medseg_monai.program.messages import did_you_mean


@dataclass(frozen=True)
class Listing:
    """All that lies below a folder, seen once.

    Args:
        root: the folder.
        kind: what is paired, pictures or volumes.
        files: those of the kind, sorted.
        others: the other files, e.g. tables.
    """

    root: Path
    kind: FileKind
    files: tuple[Path, ...]
    others: tuple[Path, ...]

    def parts(self, path: Path) -> tuple[str, ...]:
        """The folders between the root and a file."""
        return path.relative_to(self.root).parts[:-1]

    @cached_property
    def by_folder(self) -> Mapping[Path, tuple[Path, ...]]:
        """Files of the kind, by the folder that directly holds them."""
        found: dict[Path, list[Path]] = {}
        for path in self.files:
            found.setdefault(path.parent, []).append(path)
        return {folder: tuple(paths) for folder, paths in found.items()}

    @cached_property
    def absolute(self) -> Mapping[Path, Path]:
        """Files of the kind by their absolute paths."""
        return {absolute_path(path): path for path in self.files}

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Path, ...]]:
        """Files of the kind by their names, as `name_key` gives them."""
        found: dict[str, list[Path]] = {}
        for path in self.files:
            found.setdefault(name_key(path.name), []).append(path)
        return {name: tuple(paths) for name, paths in found.items()}

    def below(self, folder: Path) -> tuple[Path, ...]:
        """Files of the kind in a folder and its subfolders."""
        return tuple(path for path in self.files if folder in path.parents)

    def folders_named(self, *names: str) -> list[Path]:
        """Folders of any depth with one of these names, in small letters, that hold files of the kind or have such below."""
        folders = {folder for path in self.files for folder in path.parents if self.root in folder.parents}
        return sorted(folder for folder in folders | {self.root} if folder.name.lower() in names)


def listing_of(root: Path, kind: FileKind) -> Listing:
    """Look below a folder; one that holds nothing but one folder (an archive unpacked into its own name) is stepped into.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no file of the kind.
    """
    files, others = find_files(root, kind)
    return Listing(innermost(root), kind, tuple(files), tuple(others))


def innermost(folder: Path) -> Path:
    """The folder itself, or the one that is all it holds, and so on: ``images/images/*.png`` after unpacking."""
    while folder.is_dir():
        here = [
            path
            for path in folder.iterdir()
            if not path.name.startswith((".", "__MACOSX")) and path.name != "Thumbs.db"
        ]
        if len(here) != 1 or not here[0].is_dir():
            break
        folder = here[0]
    return folder


class Facts(TypedDict):
    """What dataset.json has room for."""

    description: str
    licence: str
    citation: str


@dataclass(frozen=True)
class FolderContents:
    """What a layout says of a folder.

    Args:
        pairs: images with their masks; of ``stack`` the files are channels.
        left_out: what is in no pair.
        classes: names of the foreground classes, as far as the layout states them.
        values: for each class, the numbers or colours (``#rrggbb``) in a mask that mean it; empty for 1, 2, …
        classes_of: names the classes, {name: values}, when the numbers that occur are known; instead of the two before.
        ignore: values of pixels that nobody judged.
        class_files: `Pair.masks` are one file for each class.
        exclusive: of these files no two overlap, as the source says.
        channels: the names of the image's channels.
        facts: what a description file says: description, licence, citation.
    """

    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...] = ()
    classes: tuple[str, ...] = ()
    values: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    classes_of: Callable[[Collection[int]], Mapping[str, tuple[int, ...]]] | None = None
    ignore: tuple[int | str, ...] = ()
    class_files: bool = False
    exclusive: bool = False
    channels: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawing:
    """Where drawn masks go, and what they are to be.

    Args:
        out: the data set's folder; masks go into ``masks`` there.
        task: None for what the outlines are: multilabel if two classes overlap anywhere, else multiclass.
        progress: wraps the pass over all images.
    """

    out: Path
    task: Task | None = None
    progress: Progress = iter


@dataclass(frozen=True)
class Layout:
    """One way in which people lay out images and masks.

    Args:
        name: what ``--layout`` calls it.
        looks: what was looked for, for messages: folders and files.
        read: from a listing to the pairs, or None if the folder is not laid out that way; what must be drawn (outlines) goes where the
            second argument says.
    """

    name: str
    looks: str
    read: Callable[[Listing, Drawing], FolderContents | None]


def stated(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs with the splits that the layout states, or without if not every pair has one, or all have the same."""
    pairs = tuple(pairs)
    splits = Counter(pair.split for pair in pairs)
    return pairs if "" not in splits and len(splits) > 1 else tuple(replace(pair, split="") for pair in pairs)


def plain_values(values: Mapping[str, tuple[int | str, ...]]) -> Mapping[str, tuple[int | str, ...]]:
    """The classes' values, or nothing if they are 1, 2, … in order: what every mask has without saying so.

    >>> plain_values({"a": (1,), "b": (2,)}), plain_values({"a": (1,), "b": (4,)})
    ({}, {'a': (1,), 'b': (4,)})
    """
    return {} if list(values.values()) == [(number,) for number in range(1, len(values) + 1)] else values


def named_by(found: FolderContents, levels: Collection[int]) -> FolderContents:
    """The same with the classes that the numbers in all labels show, if the layout leaves that open."""
    if found.classes_of is None:
        return found
    values = found.classes_of(levels)
    return replace(found, classes=tuple(values), values=plain_values(values), classes_of=None)


def chosen(
    found: FolderContents,
    classes: Sequence[str],
    values: Mapping[str, Sequence[int | str]] | None = None,
    ignore: Sequence[int | str] = (),
) -> FolderContents:
    """The same with the classes that the user names, in that order; what is not chosen becomes background.

    Args:
        found: what the layout says.
        classes: names of the layout's own; if it has none, any names, for the numbers 1, 2, …; none for all.
        values: what the user says of the masks' values; it comes before what the layout says, names included.
        ignore: values that count for nothing, beside the layout's.

    Raises:
        ValueError: a name is none of the layout's.
    """
    found = replace(found, ignore=tuple(dict.fromkeys((*found.ignore, *ignore))))
    if values and not found.class_files:
        of_each = {name: tuple(of_one) for name, of_one in values.items()}
        return replace(found, classes=tuple(classes), values=of_each, classes_of=None)
    if not classes or tuple(classes) == found.classes:
        return found
    if not found.classes:
        return replace(found, classes=tuple(classes))
    for name in classes:
        if name not in found.classes:
            raise ValueError(f"class {name!r}: is not one of those in this folder{did_you_mean(name, found.classes)}")
    if found.class_files:
        places = [found.classes.index(name) for name in classes]
        pairs = tuple(replace(pair, masks=tuple(pair.masks[place] for place in places)) for pair in found.pairs)
        return replace(found, pairs=pairs, classes=tuple(classes), class_files=len(classes) > 1)
    known = found.values or {name: (number,) for number, name in enumerate(found.classes, 1)}
    kept = {name: known[name] for name in classes}
    taken = {value for of_one in kept.values() for value in of_one}
    rest = tuple(value for of_one in known.values() for value in of_one if value not in taken)
    if rest:
        kept["background"] = ("#000000" if isinstance(rest[0], str) else 0, *dict.fromkeys(rest))
    return replace(found, classes=tuple(classes), values=kept if rest else plain_values(kept))


def task_of(found: FolderContents, *, overlap: bool = True) -> Task:
    """What the classes are: overlapping if they are files of their own, unless the source says that these are exclusive; or regions.

    Args:
        found: with all its classes; none count as one.
        overlap: whether files of one case share pixels; False only if somebody looked.
    """
    if len(found.classes) < 2:
        return "binary"
    may_overlap = found.class_files and not (found.exclusive and not overlap)
    return "multilabel" if may_overlap or _are_regions(found.values) else "multiclass"


def _are_regions(values: Mapping[str, tuple[int | str, ...]]) -> bool:
    """Whether a value stands for two classes: whole tumour and tumour core."""
    every = [value for of_one in values.values() for value in of_one]
    return len(set(every)) < len(every)


def facts_of(found: FolderContents) -> Facts:
    """What a description file says, as `medseg_monai.dataset.spec.DatasetSpec` takes it."""
    said = found.facts
    return {
        "description": said.get("description", ""),
        "licence": said.get("licence", ""),
        "citation": said.get("citation", ""),
    }
