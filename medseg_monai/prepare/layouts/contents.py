"""A layout's input (the files below a folder) and its result (pairs, classes and facts)."""

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
    """All files below a folder, listed once.

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
        """Files of the kind, by the folder that directly contains them."""
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
        """Folders at any depth with one of these names, in lower case, that have files of the kind in or below them."""
        folders = {folder for path in self.files for folder in path.parents if self.root in folder.parents}
        return sorted(folder for folder in folders | {self.root} if folder.name.lower() in names)


def listing_of(root: Path, kind: FileKind) -> Listing:
    """List the files below a folder; if it contains nothing but one folder (an archive unpacked into its own name), that one is entered.

    Raises:
        FileNotFoundError: the folder does not exist, or contains no file of the kind.
    """
    files, others = find_files(root, kind)
    return Listing(innermost(root), kind, tuple(files), tuple(others))


def innermost(folder: Path) -> Path:
    """The folder itself, or the only folder in it, and so on: ``images/images/*.png`` after unpacking."""
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
    """Descriptive fields of dataset.json."""

    description: str
    licence: str
    citation: str


@dataclass(frozen=True)
class FolderContents:
    """The result of a layout.

    Args:
        pairs: images with their masks; the files of a ``stack`` are channels.
        left_out: files that are in no pair.
        classes: names of the foreground classes, if the layout states them.
        values: for each class, the numbers or colours (``#rrggbb``) that denote it in a mask; empty for 1, 2, …
        classes_of: a function from the numbers that occur to {name: values}; replaces the previous two.
        ignore: values of pixels that were not annotated.
        class_files: `Pair.masks` are one file for each class.
        exclusive: the source says that no two of these files overlap.
        channels: the names of the image's channels.
        facts: fields of a description file: description, licence, citation.
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
    """Where drawn masks go, and of which task they are.

    Args:
        out: the data set's folder; masks go into ``masks`` there.
        task: None to follow the outlines: multilabel if two classes overlap anywhere, else multiclass.
        progress: wraps the pass over all images.
    """

    out: Path
    task: Task | None = None
    progress: Progress = iter


@dataclass(frozen=True)
class Layout:
    """One way to lay out images and masks.

    Args:
        name: its name for ``--layout``.
        looks: the folders and files that it looks for, for messages.
        read: from a listing to the pairs, or None if the folder has another layout; masks that must be drawn from outlines go where
            the second argument says.
    """

    name: str
    looks: str
    read: Callable[[Listing, Drawing], FolderContents | None]


def stated(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs with the splits that the layout states; without them if not every pair has one, or all have the same."""
    pairs = tuple(pairs)
    splits = Counter(pair.split for pair in pairs)
    return pairs if "" not in splits and len(splits) > 1 else tuple(replace(pair, split="") for pair in pairs)


def plain_values(values: Mapping[str, tuple[int | str, ...]]) -> Mapping[str, tuple[int | str, ...]]:
    """The classes' values, or nothing if they are 1, 2, … in order, the default for every mask.

    >>> plain_values({"a": (1,), "b": (2,)}), plain_values({"a": (1,), "b": (4,)})
    ({}, {'a': (1,), 'b': (4,)})
    """
    return {} if list(values.values()) == [(number,) for number in range(1, len(values) + 1)] else values


def named_by(found: FolderContents, levels: Collection[int]) -> FolderContents:
    """The same with the classes that follow from the numbers in all labels, if the layout does not state them."""
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
    """The same with the classes that the user names, in that order; the others become background.

    Args:
        found: the layout's result.
        classes: names from the layout; if it has none, any names, for the numbers 1, 2, …; empty for all.
        values: the masks' values as the user gives them; they override the layout's, including its names.
        ignore: values to ignore in addition to the layout's.

    Raises:
        ValueError: the layout has no class of that name.
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
    """The task: multilabel if classes are separate files (unless the source says that these are exclusive) or regions.

    Args:
        found: with all its classes; none count as one.
        overlap: whether files of one case share pixels; False only if this was checked.
    """
    if len(found.classes) < 2:
        return "binary"
    may_overlap = found.class_files and not (found.exclusive and not overlap)
    return "multilabel" if may_overlap or _are_regions(found.values) else "multiclass"


def _are_regions(values: Mapping[str, tuple[int | str, ...]]) -> bool:
    """Whether a value belongs to two classes: whole tumour and tumour core."""
    every = [value for of_one in values.values() for value in of_one]
    return len(set(every)) < len(every)


def facts_of(found: FolderContents) -> Facts:
    """The fields of a description file, as arguments of `medseg_monai.dataset.spec.DatasetSpec`."""
    said = found.facts
    return {
        "description": said.get("description", ""),
        "licence": said.get("licence", ""),
        "citation": said.get("citation", ""),
    }
