"""The `medseg` command: argument parsing only. The package does the work, through `monai.bundle`.

One file per command or group of commands; each imports what it needs when it is called, so that ``--help`` is quick.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from medseg_monai import __version__
from medseg_monai.cli.audit import audit
from medseg_monai.cli.correct import correct
from medseg_monai.cli.distill import distill
from medseg_monai.cli.drift import drift
from medseg_monai.cli.evaluate import compare, evaluate
from medseg_monai.cli.explain import explain
from medseg_monai.cli.export import export
from medseg_monai.cli.federate import federate_app
from medseg_monai.cli.installed import doctor, init, list_bundles
from medseg_monai.cli.label import label_app
from medseg_monai.cli.package import check, package
from medseg_monai.cli.page import app as page
from medseg_monai.cli.plan import plan
from medseg_monai.cli.predict import predict
from medseg_monai.cli.prepare import prepare_app
from medseg_monai.cli.rerun import rerun
from medseg_monai.cli.review import review
from medseg_monai.cli.train import train
from medseg_monai.cli.tune import tune
from medseg_monai.files.writing import DiskFullError
from medseg_monai.program.console import begin_logging
from medseg_monai.program.messages import root_cause
from medseg_monai.program.process import IS_PROGRAM
from medseg_monai.program.signals import StoppedBySignal, stop_like_ctrl_c

INTERRUPTED = 130  # typer's exit code after Ctrl-C
BY_SIGNAL = 128  # plus the signal's number: the exit code that shells report for a process ended by a signal
NO_ROOM_FOR_LIBRARY = "failed to map segment"  # the dynamic linker's words
NO_MEMORY = "can't allocate memory"  # part of torch's message if the machine has too little

app = typer.Typer(
    name="medseg",
    help="Segment medical images with MONAI bundles: prepare data, train, evaluate, predict.",
    epilog="To begin: `medseg predict unetpp PHOTOGRAPHS` outlines skin lesions with shipped weights. "
    "`medseg COMMAND -h` explains a command.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"medseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


DATA, TRAINING, SCORES = "Prepare data", "Train", "Score, and learn what to trust"
IMAGES, SHARING, PROGRAM = "Segment images", "Share networks", "The program"

# in the order of the workflow
app.command(rich_help_panel=IMAGES)(predict)
app.command("infer", hidden=True)(predict)  # its name in other programs
app.command("app", rich_help_panel=IMAGES)(page)
app.command(rich_help_panel=IMAGES)(correct)
app.command(rich_help_panel=IMAGES)(explain)
app.command(rich_help_panel=IMAGES)(drift)
app.add_typer(label_app, name="label", rich_help_panel=IMAGES)
app.add_typer(prepare_app, name="prepare", rich_help_panel=DATA)
app.command(rich_help_panel=DATA)(audit)
app.command(rich_help_panel=TRAINING)(plan)
app.command(rich_help_panel=TRAINING)(train)
app.command(rich_help_panel=TRAINING)(distill)
app.command(rich_help_panel=TRAINING)(rerun)
app.add_typer(federate_app, name="federate", rich_help_panel=TRAINING)
app.command(rich_help_panel=SCORES)(evaluate)
app.command(rich_help_panel=SCORES)(compare)
app.command(rich_help_panel=SCORES)(tune)
app.command(rich_help_panel=SCORES)(review)
app.command(rich_help_panel=SHARING)(export)
app.command(rich_help_panel=SHARING)(package)
app.command(rich_help_panel=SHARING)(check)
app.command("list", rich_help_panel=PROGRAM)(list_bundles)
app.command(rich_help_panel=PROGRAM)(init)
app.command(rich_help_panel=PROGRAM)(doctor)


def _one_line(error: BaseException) -> str:
    """The message; for an error in a worker process, whose message is a traceback, its last line."""
    if isinstance(error, _out_of_memory()):
        return "out of memory on the GPU: lower batch_size or size"
    text = str(error).strip()
    if isinstance(error, MemoryError) or NO_MEMORY in text:
        return (
            f"not enough memory on this machine: lower batch_size or size ({(text or 'MemoryError').splitlines()[0]})"
        )
    if isinstance(error, ImportError) and NO_ROOM_FOR_LIBRARY in text:
        return f"not enough memory to load the program's libraries: raise the limit (ulimit -v) ({text})"
    if isinstance(error, NotADirectoryError | FileExistsError) and error.filename:
        place = Path(os.fsdecode(error.filename))
        file = next((each for each in (place, *place.parents) if each.is_file()), None)
        text = text if file is None else f"{file} is a file, and a folder is wanted there: name another one"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and not isinstance(error, DiskFullError):
        error = DiskFullError(error.errno, error.strerror, error.filename or "a file")
        text = str(error)
    return _printed(text.splitlines()[-1] if "Original Traceback" in text else text)


def _printed(text: str) -> str:
    """One line for a terminal: a name may contain line breaks, and escapes that clear the screen or hide text."""
    line = re.sub(r"\s*[\r\n\x0b\x0c\x85\u2028\u2029]\s*", " ", text)
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda found: ascii(found[0])[1:-1], line)


def _out_of_memory() -> type[BaseException]:
    """The class of torch's error, without importing torch for errors that occur before it is needed."""
    torch = sys.modules.get("torch")
    found: type[BaseException] = torch.OutOfMemoryError if torch is not None else MemoryError
    return found


def _show_every_name() -> None:
    """Let printed text contain names that are not UTF-8, or that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_empty_arguments() -> None:
    """An empty path would be the current folder, to search or to write to; empty weights would be the default ones.

    Raises:
        ValueError: an argument is empty.
    """
    for before, argument in pairwise(sys.argv):
        if not argument:
            raise ValueError(f"the argument after {before!r} is empty: a shell variable that is not set, perhaps")


def _stopped() -> NoReturn:
    """Say so, and exit with the code that shells expect."""
    typer.echo("medseg: stopped; what was finished is kept", err=True)
    sys.exit(INTERRUPTED if StoppedBySignal.received is None else BY_SIGNAL + StoppedBySignal.received)


def main() -> None:
    """Run the command line; a user's mistake ends in one line, not in a traceback. `MEDSEG_TRACEBACK=1` shows the traceback."""
    begun = IS_PROGRAM.set(True)
    try:
        stop_like_ctrl_c()
        # torch reads it when it is imported: what Apple's GPU cannot do is done by the CPU
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
        begin_logging()
        _show_every_name()
        _refuse_empty_arguments()
        app()
    except KeyboardInterrupt:  # outside typer's own handling
        _stopped()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _stopped()
        raise
    except Exception as error:
        cause = root_cause(error)
        mistakes = (ValueError, OSError, FloatingPointError, ImportError, MemoryError, _out_of_memory())
        # MONAI could not build a component: a wrong argument in the config, so the TypeError is not a bug of ours
        expected = isinstance(cause, mistakes) or (cause is not error and isinstance(cause, TypeError))
        expected = expected or NO_MEMORY in str(cause)
        if not expected or os.environ.get("MEDSEG_TRACEBACK"):
            raise
        typer.echo(f"medseg: error: {_one_line(cause)}", err=True)
        sys.exit(1)
    finally:  # a program that calls this function is not the command line afterwards
        IS_PROGRAM.reset(begun)
