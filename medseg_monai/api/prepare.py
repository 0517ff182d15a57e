"""`medseg_monai.prepare`: a raw download becomes a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from medseg_monai.api.arguments import FilePath, as_path, check_there, given, square, texts
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.noting import notes_of, noting
from medseg_monai.program.messages import did_you_mean
from medseg_monai.program.process import IS_PROGRAM

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind
    from medseg_monai.prepare.pairs import Progress
    from medseg_monai.prepare.prepared import Prepared
    from medseg_monai.prepare.volume_pairs import VolumeOverrides

Source = Literal["isic2017", "isic2018", "uwmadison", "folder", "msd", "amos", "nifti", "demo"]
SOURCES: tuple[Source, ...] = get_args(Source)
Size: TypeAlias = "int | tuple[int, int, int] | None"


@dataclass(frozen=True)
class Options:
    """What `prepare` was given, besides the folders."""

    images: str = ""
    masks: str = ""
    labels: str = ""
    layout: str = "auto"
    pattern: str = ""
    name: str | None = None
    classes: Sequence[str] | None = None
    ignore: Sequence[str] | None = None
    task: Literal["binary", "multiclass", "multilabel"] | None = None
    aspect: Literal["stretch", "pad"] | None = None
    groups: FilePath | None = None
    group_pattern: str | None = None
    splits: FilePath | None = None
    leave_out: FilePath | None = None
    size: Size = None
    spacing: tuple[float, float, float] | None = None
    modality: Literal["ct", "mr", "all"] | None = None
    window: tuple[float, float] | None = None
    channels: int = 3
    stride: int = 2
    fold: int = 0
    keep_bad_scans: bool = False
    kind: Kind = "dermoscopy"
    n: int | None = None
    seed: int = 0


_COMMON = ("splits", "leave_out", "size")
_LAYOUT = ("images", "layout", "pattern", "name", "classes", "ignore", "task", "groups", "group_pattern")
_VOLUMES = ("groups", "spacing", "modality", "window")
TAKES: dict[Source, tuple[str, ...]] = {
    "isic2017": _COMMON,
    "isic2018": _COMMON,
    "uwmadison": (*_COMMON, "channels", "stride", "fold", "keep_bad_scans"),
    "folder": (*_COMMON, *_LAYOUT, "masks", "aspect"),
    "msd": (*_COMMON, *_VOLUMES),
    "amos": (*_COMMON, *_VOLUMES),
    "nifti": (*_COMMON, *_LAYOUT, *_VOLUMES, "labels"),
    "demo": ("size", "kind", "n"),
}
"""Which options each source takes, besides ``seed``."""
BY_NAME = ("folder", "msd", "nifti")
"""Sources whose output folder is by default named after the raw one."""


def prepare(
    source: Source | FilePath,
    raw: FilePath | None = None,
    *,
    out: FilePath | None = None,
    images: str = "",
    masks: str = "",
    labels: str = "",
    layout: str = "auto",
    pattern: str = "",
    name: str | None = None,
    classes: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    task: Literal["binary", "multiclass", "multilabel"] | None = None,
    aspect: Literal["stretch", "pad"] | None = None,
    groups: FilePath | None = None,
    group_pattern: str | None = None,
    splits: FilePath | None = None,
    leave_out: FilePath | None = None,
    size: Size = None,
    spacing: tuple[float, float, float] | None = None,
    modality: Literal["ct", "mr", "all"] | None = None,
    window: tuple[float, float] | None = None,
    channels: int = 3,
    stride: int = 2,
    fold: int = 0,
    keep_bad_scans: bool = False,
    kind: Kind = "dermoscopy",
    n: int | None = None,
    seed: int = 0,
    verbose: bool = False,
) -> ImageDataset:
    """Turn a raw download into a data set: a folder with dataset.json. Images stay where they are.

    Args:
        source: what the download is, as in ``medseg prepare SOURCE``: ``isic2017``, ``isic2018``, ``uwmadison``, ``folder``, ``msd``,
            ``amos``, ``nifti``; or ``demo`` for generated pictures. A folder instead of a source is read as ``folder`` if it contains
            pictures, as ``nifti`` if it contains volumes.
        raw: the folder; for ``demo`` none.
        out: folder to write to; default: ``data/`` and the source's or the raw folder's name.
        images, masks, labels: names of the folders below `raw`.
        layout, pattern: how the folder is read, if not by itself (docs/datasets.md).
        name: the data set's name; default: the folder's.
        classes: names of the classes, label 1 first; ``NAME=2``, ``NAME=1+4`` or ``NAME=255,0,0`` gives a class's numbers or colour.
        ignore: numbers or colours of mask pixels to ignore.
        task: default: inferred from the masks.
        aspect: stretch images to the size, or keep their aspect ratio and pad.
        groups: CSV with the columns image_id,group (patient or lesion); splits keep groups whole.
        group_pattern: a regular expression with one pair of parentheses around the group in the path.
        splits: CSV with the columns image_id,split.
        leave_out: CSV with the column image_id: images to leave out; all others stay in their splits.
        size: width and height of the network's input; of volumes the patch, three numbers.
        spacing: voxel size to resample to, in mm along right, anterior, superior; default: the training median.
        modality: of volumes: ``ct`` or ``mr``; default: as the source states, else inferred. Of ``amos`` also ``all``; default: ``ct``.
        window: Hounsfield units that become 0 and 1, for CT.
        channels, stride, fold, keep_bad_scans: of ``uwmadison``: neighbouring slices as channels, how far apart they are, which of five
            folds is the validation split, and whether to keep two scans known to have wrong masks.
        kind, n: of ``demo``: ``dermoscopy``, ``mr`` or ``volumes``, and how many.
        seed: of every random choice.
        verbose: show log lines.

    Returns:
        The data set, with what was left out and why.

    Raises:
        FileNotFoundError: there is no such folder, or it contains no images.
        ValueError: an option that this source does not take, a folder that is not laid out as expected, or no usable case.
    """
    options = Options(
        images, masks, labels, layout, pattern, name, classes, ignore, task, aspect, groups, group_pattern, splits, leave_out,
        size, spacing, modality, window, channels, stride, fold, keep_bad_scans, kind, n, seed,
    )  # fmt: skip
    chosen, folder = _source_and_folder(source, raw)
    _refuse_others(chosen, options)
    check_there(folder, splits, leave_out, groups)
    target = Path(out or Path("data") / (folder.resolve().name if folder and chosen in BY_NAME else chosen))
    with noting(verbose) as messages:
        prepared = _PREPARE[chosen](folder or Path(), target, options, _reading())
    made = ImageDataset.read(target)
    notes = prepared.notes if IS_PROGRAM.get() else (*prepared.notes, *notes_of(messages))  # there they are log lines
    return replace(made, left_out=tuple(prepared.left_out), notes=notes, layout=prepared.layout)


def _source_and_folder(source: Source | FilePath, raw: FilePath | None) -> tuple[Source, Path | None]:
    """The source and the raw folder, of which the first may be missing."""
    known = next((name for name in SOURCES if name == source), None)
    if raw is not None and known is None:
        raise ValueError(f"unknown source {str(source)!r}{did_you_mean(source, SOURCES)}")
    if known == "demo":
        if raw is not None:
            raise ValueError("demo data are generated: there is no raw folder to give")
        return known, None
    if known is not None and raw is not None:
        return known, Path(raw)
    if known is not None and not Path(known).is_dir():
        raise ValueError(f"{known}: name the raw folder as well")
    folder = Path(source)
    return _kind_of_folder(folder), folder


def _kind_of_folder(folder: Path) -> Source:
    """``folder`` or ``nifti``, whichever there is more of: pictures or volumes."""
    from medseg_monai.prepare.pairs import PICTURES, VOLUMES, find_files

    check_there(folder)
    try:
        volumes, _ = find_files(folder, VOLUMES)
    except FileNotFoundError:
        return "folder"
    try:
        pictures, _ = find_files(folder, PICTURES)
    except FileNotFoundError:
        return "nifti"
    return "nifti" if len(volumes) >= len(pictures) else "folder"


def _refuse_others(source: Source, options: Options) -> None:
    """Refuse options that another source takes.

    Raises:
        ValueError: names the option, and the sources that take it.
    """
    for option in fields(options):
        if option.name in (*TAKES[source], "seed") or getattr(options, option.name) == option.default:
            continue
        others = ", ".join(name for name, taken in TAKES.items() if option.name in taken)
        raise ValueError(f"{source} does not take {option.name}: it is for {others}")


def _reading() -> Progress:
    from medseg_monai.program.bars import progress_bar

    return partial(progress_bar(), desc="reading")


def _isic2017(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.isic import prepare_isic2017

    return prepare_isic2017(raw, out, **_common(options), progress=progress, **given(size=_side(options)))


def _isic2018(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.isic import prepare_isic2018

    return prepare_isic2018(raw, out, **_common(options), progress=progress, **given(size=_side(options)))


def _uwmadison(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.uwmadison import prepare_uwmadison

    chosen = given(size=_side(options), bad_scans=() if options.keep_bad_scans else None)
    return prepare_uwmadison(
        raw, out, channels=options.channels, stride=options.stride, fold=options.fold, **_common(options),
        progress=progress, **chosen,
    )  # fmt: skip


def _folder(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.folder import prepare_folder

    chosen = given(size=_side(options), aspect=options.aspect)
    return prepare_folder(
        raw, out, images=options.images, masks=options.masks, **_layout(options), **_common(options), progress=progress,
        **chosen,
    )  # fmt: skip


def _msd(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.msd import prepare_msd

    groups, overrides = as_path(options.groups), _overrides(options)
    return prepare_msd(raw, out, groups=groups, overrides=overrides, **_common(options), progress=progress)


def _amos(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.amos import prepare_amos

    groups, overrides = as_path(options.groups), _overrides(replace(options, modality=None))
    modality = options.modality or "ct"
    return prepare_amos(
        raw, out, modality=modality, groups=groups, overrides=overrides, **_common(options), progress=progress
    )


def _nifti(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.nifti import prepare_nifti

    return prepare_nifti(
        raw, out, images=options.images, labels=options.labels, overrides=_overrides(options), **_layout(options),
        **_common(options), progress=progress,
    )  # fmt: skip


def _demo(raw: Path, out: Path, options: Options, progress: Progress) -> Prepared:
    from medseg_monai.prepare.demo import prepare_demo

    chosen = given(n=options.n, size=options.size)
    return prepare_demo(out, kind=options.kind, seed=options.seed, progress=progress, **chosen)


_PREPARE: dict[Source, Callable[[Path, Path, Options, Progress], Prepared]] = {
    "isic2017": _isic2017,
    "isic2018": _isic2018,
    "uwmadison": _uwmadison,
    "folder": _folder,
    "msd": _msd,
    "amos": _amos,
    "nifti": _nifti,
    "demo": _demo,
}


def _common(options: Options) -> dict[str, Any]:
    """What all sources but the demo take."""
    return {"splits": as_path(options.splits), "leave_out": as_path(options.leave_out), "seed": options.seed}


def _layout(options: Options) -> dict[str, Any]:
    """How folders of any kind are read."""
    from medseg_monai.dataset.label_values import parse_classes, read_values

    names, values = parse_classes(texts(options.classes))
    ignored = read_values(texts(options.ignore), "--ignore") if options.ignore else None
    chosen = given(
        name=options.name, classes=names or None, label_values=values or None, ignore=ignored, task=options.task,
        groups=as_path(options.groups), group_pattern=options.group_pattern,
    )  # fmt: skip
    return {"layout": options.layout, "pattern": options.pattern, **chosen}


def _side(options: Options) -> tuple[int, int] | None:
    """The size of pictures.

    Raises:
        ValueError: three numbers were given.
    """
    if isinstance(options.size, tuple | list):
        raise ValueError(f"size: one number for pictures, got {options.size}")
    return square(options.size)


def _overrides(options: Options) -> VolumeOverrides:
    """Settings that the user chose instead of those derived from the data.

    Raises:
        ValueError: one number was given as the size of a patch, or a modality that does not exist.
    """
    from medseg_monai.prepare.volume_pairs import VolumeOverrides

    if isinstance(options.size, int):
        raise ValueError(f"size: three numbers for a patch of volumes, got {options.size}")
    if options.modality == "all":
        raise ValueError("modality: ct or mr; all is for amos")
    return VolumeOverrides(options.spacing, options.size, options.modality, options.window)
