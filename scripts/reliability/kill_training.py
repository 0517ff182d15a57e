"""Kill a tiny training at random moments, again and again, and look at what is left in its folder.

    python scripts/reliability/kill_training.py --trials 40
    python scripts/reliability/kill_training.py --trials 40 --resume
    python scripts/reliability/kill_training.py --trials 10 --clock

Each trial starts a training over an earlier, evaluated one and ends it by SIGKILL or SIGTERM, in turn. Then the folder must hold the
earlier training with its evaluation, or the new one: weights that load and match their checksum, a spec.json and a history.csv that
tell of the same epoch, no evaluation of other weights. After that the same training and its evaluation are run to the end, which must
leave no temporary file. Trainings are told apart by their seed. Exit 1 if anything is not so.

With --resume each trial kills a training in a folder of its own, with none, one or two workers that read images, and continues it: its
weights, the last ones too, and its history must be those of a training that nobody disturbed, to the bit.

With --clock each trial gives the training a time limit (--stop-after) of a random part of what it takes, and runs the same command, without
--resume, until the training has ended. The limit is that of a real clock, and the result must be the same again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import torch

from medseg_monai.bundle.paths import find_weights
from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.bundle.workflow import run_bundle  # noqa: F401  # imported once here, not in each of the processes forked below
from medseg_monai.cli import main as medseg
from medseg_monai.files.writing import HIDDEN_FOLDER, LOCK_FILE
from medseg_monai.prepare.demo import prepare_demo
from medseg_monai.training.checkpoint import find_checkpoint
from medseg_monai.training.recorded import read_record

SMALL = (
    "--size",
    "64",
    "--set",
    "architecture#features=[4, 8, 8]",
    "--set",
    "batch_size=4",
    "--set",
    "panel_interval=0",
)
LONGEST_STOP_SECONDS = 30.0
MOST_RUNS = 100


def start(log: Path, *arguments: str) -> int:
    """`medseg` in a process of its own, forked so that nothing is imported anew; its number."""
    process = os.fork()
    if process:
        return process
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["medseg", *arguments]
    code = 1
    try:
        medseg()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process; its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def train(data: Path, folder: Path, seed: int) -> tuple[str, ...]:
    """Arguments of the training of a seed."""
    where = ("--dataset-dir", str(data), "--output-dir", str(folder))
    return ("train", "unetpp", *where, "--seed", str(seed), "--max-epochs", "3", *SMALL)


def held(folder: Path) -> int:
    """The seed of the training that the folder holds.

    Raises:
        AssertionError, ValueError, OSError: it does not hold one training, whole.
    """
    file = find_weights(folder, folder)  # what every command does first
    trained = Trained.read(folder)
    load_weights(trained.build_network(), file)
    facts = trained.training
    with (folder / "history.csv").open(newline="") as rows:
        scores = {int(row["epoch"]): row.get("mean_dice") for row in csv.DictReader(rows)}
    assert float(scores[facts["best_epoch"]] or "nan") == facts["validation"]["mean_dice"], "history.csv of another"
    for summary in folder.glob("evaluation_*/summary.json"):
        evaluated = json.loads(summary.read_text(encoding="utf-8"))["run"]["training"]
        assert evaluated["seed"] == facts["seed"], f"{summary} of other weights"
    return int(facts["seed"])


def leftovers(folder: Path) -> list[str]:
    """What only a running training may have in its folder."""
    hidden = [path for path in folder.rglob(f"{HIDDEN_FOLDER}/*") if path.name != LOCK_FILE]
    return [str(path.relative_to(folder)) for path in [*hidden, *folder.rglob("*.part")]]


def trial(number: int, data: Path, folder: Path, seconds: float, rng: random.Random) -> str:
    """One kill and what it left: ``earlier``, ``new``, or what is wrong."""
    log, how = folder.parent / "log.txt", (signal.SIGKILL, signal.SIGTERM)[number % 2]
    process = start(log, *train(data, folder, number))
    time.sleep(rng.uniform(0, seconds))
    os.kill(process, how)
    asked = time.monotonic()
    code = ended(process)
    try:
        assert time.monotonic() - asked < LONGEST_STOP_SECONDS, "did not stop"
        assert code in (0, -how, 128 + how), f"exit code {code}"
        seed = held(folder)
        assert seed in (number - 1, number), f"holds the training of seed {seed}"
        for arguments in (train(data, folder, number), evaluate(data, folder)):
            assert (code := ended(start(log, *arguments))) == 0, f"the next run ended with {code}: {log.read_text()}"
        assert held(folder) == number, "the next run left another training"
        assert not leftovers(folder), f"left: {leftovers(folder)}"
    except (AssertionError, ValueError, OSError, KeyError) as error:
        return f"WRONG: {how.name} at seed {number}: {error}"
    return f"{how.name}: {'new' if seed == number else 'earlier'} training, whole"


def resumed(number: int, data: Path, folder: Path, seconds: float, rng: random.Random) -> str:
    """One kill, and whether the training that goes on ends as the undisturbed one in `folder` did."""
    log, how = folder.parent / "log.txt", (signal.SIGKILL, signal.SIGTERM)[number % 2]
    killed = folder.parent / f"killed_{number}"
    arguments = (*train(data, killed, 0), "--workers", str(rng.randrange(3)))
    process = start(log, *arguments)
    time.sleep(rng.uniform(0, seconds))
    os.kill(process, how)
    code = ended(process)
    finished = (read_record(killed) or {}).get("finished", False)
    kept = find_checkpoint(killed)
    epoch = "after its end" if finished else "before a checkpoint" if kept is None else "with a checkpoint"
    try:
        assert code in (0, -how, 128 + how), f"exit code {code}: {log.read_text()}"
        assert (code := ended(start(log, *arguments, "--resume"))) == 0, (
            f"resuming ended with {code}: {log.read_text()}"
        )
        assert numbers(killed) == numbers(folder), "other numbers"
        assert not leftovers(killed), f"left: {leftovers(killed)}"
    except (AssertionError, ValueError, OSError, KeyError) as error:
        return f"WRONG: {how.name} in trial {number}: {error}"
    shutil.rmtree(killed)
    return f"{how.name} {epoch}: equal to the bit"


def by_clock(number: int, data: Path, folder: Path, seconds: float, rng: random.Random) -> str:
    """One training that a time limit stops again and again, and whether it ends as the undisturbed one in `folder` did."""
    log, stopped = folder.parent / "log.txt", folder.parent / f"stopped_{number}"
    limit = rng.uniform(0.05, 0.5) * float(Trained.read(folder).training["train_seconds"]) / 60
    arguments = (*train(data, stopped, 0), "--workers", str(rng.randrange(3)), "--stop-after", f"{limit:.6f}")
    runs = 0
    try:
        while not (read_record(stopped) or {}).get("finished"):
            runs += 1
            assert (code := ended(start(log, *arguments))) == 0, f"run {runs} ended with {code}: {log.read_text()}"
            assert runs < MOST_RUNS, f"not finished after {runs} runs of {60 * limit:.2f} s"
        assert numbers(stopped) == numbers(folder), "other numbers"
        assert not leftovers(stopped), f"left: {leftovers(stopped)}"
    except (AssertionError, ValueError, OSError, KeyError) as error:
        return f"WRONG: in trial {number}: {error}"
    shutil.rmtree(stopped)
    return f"stopped {runs - 1} times: equal to the bit"


def numbers(folder: Path) -> tuple[object, ...]:
    """What a training came to: its weights' bytes, and its history without the seconds."""
    with (folder / "history.csv").open(newline="") as rows:
        history = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(rows)]
    tensors = [torch.load(folder / name, weights_only=True) for name in ("model.pt", "last.pt")]
    weights = [
        {name: bytes(value.numpy()) for name, value in state.items()} for state in (tensors[0], tensors[1]["network"])
    ]
    return history, weights, Trained.read(folder).training["best_epoch"]


def evaluate(data: Path, folder: Path) -> tuple[str, ...]:
    """Arguments of the evaluation of what the folder holds."""
    return ("evaluate", "unetpp", "--dataset-dir", str(data), "--weights", str(folder), "--set", "num_workers=0")


def main() -> int:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--resume", action="store_true", help="continue each killed training and compare")
    parser.add_argument("--clock", action="store_true", help="stop each training by a time limit and compare")
    options = parser.parse_args()
    one_trial = by_clock if options.clock else resumed if options.resume else trial
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MEDSEG_CACHE"] = f"{scratch}/cache"
        data, folder, log = Path(scratch, "data"), Path(scratch, "trained"), Path(scratch, "log.txt")
        prepare_demo(data, n=12, size=(96, 80))
        for arguments in (train(data, folder, 0), evaluate(data, folder)):
            if (code := ended(start(log, *arguments))) != 0:
                print(f"medseg {arguments[0]} ended with {code}: {log.read_text()}")
                return 1
        began = time.monotonic()  # with the pictures decoded, as each trial finds them
        ended(start(log, *train(data, Path(scratch, "timed"), 0)))
        seconds = time.monotonic() - began
        outcomes = Counter[str]()
        for number in range(1, options.trials + 1):
            outcomes[one_trial(number, data, folder, seconds, rng)] += 1
            print(f"{number} of {options.trials}", end="\r", flush=True)
        earlier = len(list(folder.glob("previous/*")))
    what = "trainings with a limit" if options.clock else "kills"
    print(f"{options.trials} {what} within the {seconds:.1f} s of a training; {earlier} earlier trainings set aside")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4}  {outcome}")
    return int(any(outcome.startswith("WRONG") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
