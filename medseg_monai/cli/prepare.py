"""`medseg prepare …`: one command per source of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from medseg_monai.api.prepare import prepare
from medseg_monai.cli.options import Out, Seed, Size
from medseg_monai.cli.prepared import say_prepared


class _Sources(TyperGroup):
    """The sources of data; a folder in the place of one is answered with the command for it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and Path(args[0]).exists():
            raise ValueError(
                f"'{args[0]}' is {'a folder' if Path(args[0]).is_dir() else 'a file'}: say first what kind of data it holds, "
                f"for example `medseg prepare folder {args[0]}` for images and masks ({', '.join(self.commands)})"
            )
        return super().resolve_command(ctx, args)


prepare_app = typer.Typer(
    cls=_Sources, no_args_is_help=True, help="Turn a raw download into a data set: a folder with dataset.json."
)

OutByName = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder to write to; created. Default: data/ and RAW's name.")
]
ClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="A class's name; repeat it, label 1 first. NAME=2, NAME=1+4 or NAME=255,0,0 gives its numbers or colour in the masks.",
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="A number or colour of mask pixels to ignore, e.g. 255; repeat it for several."),
]
LAYOUT_HELP = (
    "Layout of the folder (docs/datasets.md); auto: images/ and masks/ if they exist, else the layout that fits."
)
PatternOption = Annotated[
    str,
    typer.Option(
        help="Where the files are: '{case}/{channel}.png -> {case}/mask.png'; also {class}, {split}, {group}, *."
    ),
]
Splits = Annotated[Path | None, typer.Option(help="CSV with the columns image_id,split that decides the splits.")]
LeaveOut = Annotated[
    Path | None,
    typer.Option(help="CSV with the column image_id: images to leave out, e.g. leave_out.csv of `medseg audit`."),
]


@prepare_app.command("isic2017")
def prepare_isic2017(
    raw: Path,
    out: Out = Path("data/isic2017"),
    splits: Splits = None,
    leave_out: LeaveOut = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """ISIC 2017 Part 1, the official folders (ISIC-2017_Training_Data, …_Part1_GroundTruth …)."""
    made = prepare(
        "isic2017",
        raw,
        out=out,
        splits=splits,
        leave_out=leave_out,
        size=size,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("isic2018")
def prepare_isic2018(
    raw: Path,
    out: Out = Path("data/isic2018"),
    splits: Splits = None,
    leave_out: LeaveOut = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """ISIC 2018 Task 1, the official folders (ISIC2018_Task1-2_Training_Input, …_GroundTruth …)."""
    made = prepare(
        "isic2018",
        raw,
        out=out,
        splits=splits,
        leave_out=leave_out,
        size=size,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("uwmadison")
def prepare_uwmadison(
    raw: Annotated[Path, typer.Argument(help="The competition's folder, with train/ and train.csv.")],
    out: Out = Path("data/uwmadison"),
    channels: Annotated[int, typer.Option(help="1: the slice alone; 3 or 5: neighbouring slices as channels.")] = 3,
    stride: Annotated[int, typer.Option(help="How many slices apart the channels are, 1 or 2.")] = 2,
    splits: Annotated[
        Path | None, typer.Option(help="CSV with the columns image_id,split; an id is a slice's, a scan's or a case's.")
    ] = None,
    leave_out: LeaveOut = None,
    fold: Annotated[int, typer.Option(help="Which of five folds of cases is the validation split, 0 to 4.")] = 0,
    keep_bad_scans: Annotated[
        bool, typer.Option("--keep-bad-scans", help="Keep case7_day0 and case81_day30, known to have wrong masks.")
    ] = False,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """UW-Madison GI tract (Kaggle): MR slices with large bowel, small bowel and stomach, overlapping; masks go to OUT/masks."""
    made = prepare(
        "uwmadison",
        raw,
        out=out,
        channels=channels,
        stride=stride,
        splits=splits,
        leave_out=leave_out,
        fold=fold,
        keep_bad_scans=keep_bad_scans,
        size=size,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("folder")
def prepare_folder(
    raw: Annotated[Path, typer.Argument(help="Folder with the images' and the masks' folders.")],
    out: OutByName = None,
    images: Annotated[str, typer.Option(help="Name of the images' folder.")] = "",
    masks: Annotated[
        str, typer.Option(help="Name of the masks' folder; one folder below it per class if classes overlap.")
    ] = "",
    layout: Annotated[
        Literal["auto", "nnunet", "voc", "vessels", "glas", "coco", "labelme", "names"], typer.Option(help=LAYOUT_HELP)
    ] = "auto",
    pattern: PatternOption = "",
    name: Annotated[str | None, typer.Option(help="The data set's name; default: the folder's.")] = None,
    classes: ClassOption = None,
    ignore: IgnoreOption = None,
    task: Annotated[
        Literal["binary", "multiclass", "multilabel"] | None, typer.Option(help="Default: inferred from the masks.")
    ] = None,
    aspect: Annotated[
        Literal["stretch", "pad"] | None,
        typer.Option(help="Stretch images to the size, or keep their aspect ratio and pad."),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns image_id,group (patient or lesion); splits keep groups whole."),
    ] = None,
    group_pattern: Annotated[
        str | None, typer.Option(help="A regular expression with one pair of parentheses around the group in the path.")
    ] = None,
    splits: Splits = None,
    leave_out: LeaveOut = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """Any folder of images and masks: images/ with masks/, train/val/test, nnU-Net, VOC, COCO, LabelMe, DRIVE … (docs/datasets.md)."""
    made = prepare(
        "folder",
        raw,
        out=out,
        images=images,
        masks=masks,
        layout=layout,
        pattern=pattern,
        name=name,
        classes=classes,
        ignore=ignore,
        task=task,
        aspect=aspect,
        groups=groups,
        group_pattern=group_pattern,
        splits=splits,
        leave_out=leave_out,
        size=size,
        seed=seed,
    )
    say_prepared(made)


Spacing = Annotated[
    tuple[float, float, float] | None,
    typer.Option(help="Voxel size to resample to, mm along right, anterior, superior; default: the training median."),
]
Patch = Annotated[tuple[int, int, int] | None, typer.Option(help="Size of a patch in voxels, along the same axes.")]
Window = Annotated[tuple[float, float] | None, typer.Option(help="Hounsfield units that become 0 and 1, for CT.")]
ModalityOption = Annotated[
    Literal["ct", "mr"] | None, typer.Option(help="Default: as the source states, else inferred from the values.")
]
Groups = Annotated[
    Path | None, typer.Option(help="CSV with the columns image_id,group (patient); splits keep groups whole.")
]


@prepare_app.command("msd")
def prepare_msd(
    raw: Annotated[Path, typer.Argument(help="A task's folder, with imagesTr and labelsTr.")],
    out: OutByName = None,
    splits: Splits = None,
    leave_out: LeaveOut = None,
    groups: Groups = None,
    spacing: Spacing = None,
    size: Patch = None,
    modality: ModalityOption = None,
    window: Window = None,
    seed: Seed = 0,
) -> None:
    """Medical Segmentation Decathlon, one task (Task04_Hippocampus …), with or without its dataset.json."""
    made = prepare(
        "msd",
        raw,
        out=out,
        splits=splits,
        leave_out=leave_out,
        groups=groups,
        spacing=spacing,
        size=size,
        modality=modality,
        window=window,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("amos")
def prepare_amos(
    raw: Annotated[Path, typer.Argument(help="The unpacked folder, with imagesTr and labelsTr.")],
    out: Out = Path("data/amos"),
    modality: Annotated[
        Literal["ct", "mr", "all"], typer.Option(help="Cases to use: numbers below 500 are CT, the others MR.")
    ] = "ct",
    splits: Splits = None,
    leave_out: LeaveOut = None,
    groups: Groups = None,
    spacing: Spacing = None,
    size: Patch = None,
    window: Window = None,
    seed: Seed = 0,
) -> None:
    """AMOS 2022: abdominal CT and MR with 15 organs; imagesVa becomes the test split."""
    made = prepare(
        "amos",
        raw,
        out=out,
        modality=modality,
        splits=splits,
        leave_out=leave_out,
        groups=groups,
        spacing=spacing,
        size=size,
        window=window,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("nifti")
def prepare_nifti(
    raw: Annotated[Path, typer.Argument(help="Folder with the images' and the labels' folders.")],
    out: OutByName = None,
    images: Annotated[str, typer.Option(help="Name of the images' folder.")] = "",
    labels: Annotated[
        str, typer.Option(help="Name of the labels' folder; one folder below it per class if classes overlap.")
    ] = "",
    layout: Annotated[
        Literal["auto", "nnunet", "totalsegmentator", "brats", "names"], typer.Option(help=LAYOUT_HELP)
    ] = "auto",
    pattern: PatternOption = "",
    name: Annotated[str | None, typer.Option(help="The data set's name; default: the folder's.")] = None,
    classes: ClassOption = None,
    ignore: IgnoreOption = None,
    task: Annotated[
        Literal["binary", "multiclass", "multilabel"] | None, typer.Option(help="Default: inferred from the labels.")
    ] = None,
    groups: Groups = None,
    group_pattern: Annotated[
        str | None, typer.Option(help="A regular expression with one pair of parentheses around the group in the path.")
    ] = None,
    splits: Splits = None,
    leave_out: LeaveOut = None,
    spacing: Spacing = None,
    size: Patch = None,
    modality: ModalityOption = None,
    window: Window = None,
    seed: Seed = 0,
) -> None:
    """Any folder of volumes (NIfTI, NRRD, MHA) with labels: images/ with labels/, nnU-Net, TotalSegmentator, BraTS …"""
    made = prepare(
        "nifti",
        raw,
        out=out,
        images=images,
        labels=labels,
        layout=layout,
        pattern=pattern,
        name=name,
        classes=classes,
        ignore=ignore,
        task=task,
        groups=groups,
        group_pattern=group_pattern,
        splits=splits,
        leave_out=leave_out,
        spacing=spacing,
        size=size,
        modality=modality,
        window=window,
        seed=seed,
    )
    say_prepared(made)


@prepare_app.command("demo")
def prepare_demo(
    out: Out = Path("data/demo"),
    kind: Annotated[
        Literal["dermoscopy", "mr", "volumes"],
        typer.Option(
            help="dermoscopy (photographs), mr (grey slices, overlapping organs) or volumes (CT, three organs)."
        ),
    ] = "dermoscopy",
    n: Annotated[int | None, typer.Option(help="Number of pictures or volumes.")] = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """Generated pictures with known masks, only for trying out the tools."""
    made = prepare(
        "demo",
        out=out,
        kind=kind,
        n=n,
        size=size,
        seed=seed,
    )
    say_prepared(made)
