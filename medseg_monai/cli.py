"""The `medseg` command: argument parsing only. What it does is done by the package, through `monai.bundle`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

INTERRUPTED = 130  # what typer exits with after Ctrl-C

app = typer.Typer(
    name="medseg",
    help="Segment medical images with MONAI bundles: prepare data, train, evaluate, predict.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
prepare_app = typer.Typer(no_args_is_help=True, help="Turn a raw download into a data set: a folder with dataset.json.")
app.add_typer(prepare_app, name="prepare")

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; created.")]
Splits = Annotated[Path | None, typer.Option(help="CSV with the columns image_id,split that decides the splits.")]
Seed = Annotated[int, typer.Option(help="Decides every random choice.")]
Size = Annotated[int | None, typer.Option(help="Width and height that networks see, in pixels.")]
BundleName = Annotated[str, typer.Argument(help="A bundle's name (`medseg list`) or folder.")]
DatasetDir = Annotated[
    Path | None, typer.Option("--dataset-dir", "-d", help="Folder with dataset.json; default: generated demo data.")
]
Weights = Annotated[
    str | None, typer.Option("--weights", "-w", help="Weights file, its folder, or the data set's name.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Any key of the config: KEY=VALUE, a#b for nested keys.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 …; default: a GPU if there is one.")]


@prepare_app.command("isic2017")
def prepare_isic2017(raw: Path, out: Out, splits: Splits = None, size: Size = None, seed: Seed = 0) -> None:
    """ISIC 2017 Part 1, the official folders (ISIC-2017_Training_Data, …_Part1_GroundTruth …)."""
    from medseg_monai.prepare.isic import prepare_isic2017 as prepare

    _report(prepare(raw, out, splits=splits, seed=seed, **_given(size=_square(size))), out)


@prepare_app.command("isic2018")
def prepare_isic2018(raw: Path, out: Out, splits: Splits = None, size: Size = None, seed: Seed = 0) -> None:
    """ISIC 2018 Task 1, the official folders (ISIC2018_Task1-2_Training_Input, …_GroundTruth …)."""
    from medseg_monai.prepare.isic import prepare_isic2018 as prepare

    _report(prepare(raw, out, splits=splits, seed=seed, **_given(size=_square(size))), out)


def _square(size: int | None) -> tuple[int, int] | None:
    return None if size is None else (size, size)


def _given(**options: Any) -> dict[str, Any]:
    """The options that the user gave: the others keep the library's defaults."""
    return {name: value for name, value in options.items() if value is not None}


@prepare_app.command("folder")
def prepare_folder(
    raw: Annotated[Path, typer.Argument(help="Folder that holds the images' and the masks' folders.")],
    out: Out,
    images: Annotated[str, typer.Option(help="Name of the images' folder.")] = "images",
    masks: Annotated[
        str, typer.Option(help="Name of the masks' folder; one folder below it per class if classes overlap.")
    ] = "masks",
    name: Annotated[str | None, typer.Option(help="The data set's name; default: the folder's.")] = None,
    classes: Annotated[list[str] | None, typer.Option("--class", help="A class's name; repeat it for several.")] = None,
    task: Annotated[
        Literal["binary", "multiclass", "multilabel"] | None, typer.Option(help="Default: what the masks look like.")
    ] = None,
    aspect: Annotated[
        Literal["stretch", "pad"] | None, typer.Option(help="Stretch images to the size, or keep their shape and pad.")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns image_id,group (patient or lesion); splits keep groups whole."),
    ] = None,
    group_pattern: Annotated[
        str | None, typer.Option(help="A regular expression whose one pair of parentheses finds the group in the path.")
    ] = None,
    splits: Splits = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """Any folder of images with a folder of masks; names match but for common suffixes (_mask, _segmentation …)."""
    from medseg_monai.prepare.folder import prepare_folder as prepare

    options = _given(
        name=name,
        classes=classes,
        size=_square(size),
        task=task,
        aspect=aspect,
        groups=groups,
        group_pattern=group_pattern,
    )
    _report(prepare(raw, out, images=images, masks=masks, splits=splits, seed=seed, **options), out)


@prepare_app.command("demo")
def prepare_demo(
    out: Out,
    kind: Annotated[
        Literal["dermoscopy", "mr"],
        typer.Option(help="dermoscopy (photographs) or mr (grey slices, overlapping organs)."),
    ] = "dermoscopy",
    n: Annotated[int | None, typer.Option(help="Number of pictures.")] = None,
    size: Size = None,
    seed: Seed = 0,
) -> None:
    """Generated pictures with known masks: to try the tools, not to learn medicine from."""
    from medseg_monai.prepare.demo import prepare_demo as prepare

    _report(prepare(out, kind=kind, seed=seed, **_given(n=n, size=size)), out)


def _report(prepared: Any, out: Path) -> None:
    """Say what was prepared, and name what was left out."""
    shown = 20
    for path, reason in prepared.left_out[:shown]:
        typer.echo(f"left out: {path}: {reason}", err=True)
    if len(prepared.left_out) > shown:
        typer.echo(f"left out: {len(prepared.left_out) - shown} more, see {out / 'left_out.csv'}", err=True)
    counts = ", ".join(
        f"{len(getattr(prepared.dataset, split))} {split}" for split in ("training", "validation", "test")
    )
    typer.echo(f"{out / 'dataset.json'}: {prepared.dataset.spec.name}, {counts} cases")


@app.command()
def train(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training cases.")] = None,
    size: Size = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.")] = None,
    device: Device = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the weights go; default: BUNDLE/models/DATA SET.")
    ] = None,
    assignments: Assignments = None,
    overlay: Annotated[list[Path] | None, typer.Option(help="Further config files merged over train.json.")] = None,
) -> None:
    """Train a bundle on a data set; weights and spec.json go to BUNDLE/models/DATA SET."""
    from medseg_monai.bundle import find_bundle
    from medseg_monai.workflow import parse_assignments, run_bundle

    given = _given(
        dataset_dir=_text(dataset_dir),
        max_epochs=max_epochs,
        size=None if size is None else [size, size],
        seed=seed,
        device=device,
        output_dir=_text(output_dir),
    )
    workflow = run_bundle(
        find_bundle(bundle), "train", {**given, **parse_assignments(assignments or [])}, overlays=overlay or []
    )
    typer.echo(f"weights: {workflow.parser.get_parsed_content('output_dir')}/model.pt")


@app.command()
def evaluate(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the tables go; default: beside the weights.")
    ] = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "test",
    device: Device = None,
    assignments: Assignments = None,
) -> None:
    """Score trained weights on a split, each image at its own resolution: cases.csv, summary.json, summary.md."""
    from medseg_monai.bundle import find_bundle
    from medseg_monai.workflow import parse_assignments, run_bundle

    given = _given(dataset_dir=_text(dataset_dir), output_dir=_text(out), weights=weights, split=split, device=device)
    workflow = run_bundle(find_bundle(bundle), "evaluate", {**given, **parse_assignments(assignments or [])})
    folder = Path(workflow.parser.get_parsed_content("output_dir"))
    typer.echo((folder / "summary.md").read_text(encoding="utf-8"))
    typer.echo(f"tables: {folder}")


@app.command()
def predict(
    bundle: BundleName,
    scans: Annotated[list[Path], typer.Argument(help="Images, or folders of images (searched recursively).")],
    out: Out,
    weights: Weights = None,
    threshold: Annotated[float, typer.Option(help="Probability from which a pixel belongs to a class.")] = 0.5,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write probabilities (8-bit PNG).")
    ] = False,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also draw the outline on the image.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is already in OUT.")] = False,
    device: Device = None,
    assignments: Assignments = None,
) -> None:
    """Segment images: a mask PNG each, in the image's own size; what fails is listed in OUT/failures.csv."""
    from medseg_monai.bundle import find_bundle
    from medseg_monai.workflow import parse_assignments, run_bundle

    given = _given(
        dataset_dir=[str(scan) for scan in scans],
        output_dir=str(out),
        weights=weights,
        threshold=threshold,
        probabilities=probabilities,
        overlays=overlays,
        overwrite=overwrite,
        device=device,
    )
    run_bundle(find_bundle(bundle), "inference", {**given, **parse_assignments(assignments or [])})


@app.command()
def compare(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders that `medseg evaluate` wrote, of the same cases.")],
    out: Out,
    metric: Annotated[str, typer.Option(help="The metric to test for differences.")] = "dice",
) -> None:
    """One table of several evaluations, with intervals and a paired significance test: Markdown, CSV, a plot."""
    from medseg_monai.compare import compare as compare_evaluations
    from medseg_monai.compare import write_comparison

    written = write_comparison(out, compare_evaluations(evaluations, metric=metric))
    typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
    typer.echo("\n".join(str(path) for path in written))


@app.command("list")
def list_() -> None:
    """The bundles, and what each has been trained on."""
    from medseg_monai.bundle import list_bundles
    from medseg_monai.trained import WEIGHTS_FILE

    for bundle in list_bundles():
        trained = sorted(path.parent.name for path in (bundle / "models").glob(f"*/{WEIGHTS_FILE}"))
        shipped = ["shipped weights"] if (bundle / "models" / WEIGHTS_FILE).is_file() else []
        typer.echo(f"{bundle.name:<16} {', '.join(shipped + trained) or 'not trained yet'}")


@app.command()
def doctor() -> None:
    """What is installed, what hardware is seen, what is missing."""
    from medseg_monai.doctor import examine

    findings = examine()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.fine else '-- '} {finding.what:<{width}}  {finding.found}")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _root_cause(error: BaseException) -> BaseException:
    """What really went wrong: MONAI wraps errors of components in RuntimeErrors."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _one_line(error: BaseException) -> str:
    """The message; of an error in a worker process, whose message is a traceback, the last line."""
    if isinstance(error, _out_of_memory()):
        return "out of memory on the GPU: lower batch_size or size"
    text = str(error).strip()
    return text.splitlines()[-1] if "Original Traceback" in text else text


def _out_of_memory() -> type[BaseException]:
    """The class of torch's error, without importing torch for errors that came before it was needed."""
    torch = sys.modules.get("torch")
    found: type[BaseException] = torch.OutOfMemoryError if torch is not None else MemoryError
    return found


def main() -> None:
    """Run the command line; a user's mistake ends in one line, not in a traceback. `MEDSEG_TRACEBACK=1` shows it."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            typer.echo("medseg: stopped; what was finished is kept", err=True)
        raise
    except Exception as error:
        cause = _root_cause(error)
        mistakes = (ValueError, OSError, FloatingPointError, ImportError, _out_of_memory())
        # a component that MONAI could not make was given a wrong argument: the config's TypeError, not ours
        expected = isinstance(cause, mistakes) or (cause is not error and isinstance(cause, TypeError))
        if not expected or os.environ.get("MEDSEG_TRACEBACK"):
            raise
        typer.echo(f"medseg: error: {_one_line(cause)}", err=True)
        sys.exit(1)
