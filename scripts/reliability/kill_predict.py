"""Kill `medseg predict` at random moments, again and again, run it once more each time, and compare with a run that nobody disturbed.

    python scripts/reliability/kill_predict.py --trials 40

Kills are SIGKILL and SIGTERM in turn, at moments drawn evenly over the time that a run takes. After the run that follows, masks and
tables must be the undisturbed run's, byte by byte, and no temporary file may be left. What was finished before the kill must not be done
again. Exit 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from kill_training import ended, start

from medseg_monai.bundle.trained import Trained, untrained, write_weights
from medseg_monai.prepare.demo import prepare_demo

LONGEST_STOP_SECONDS = 30.0
PICTURES = 30
FORMATS = "png,rle,coco"


def tiny_weights(folder: Path) -> None:
    """Weights of a network of a few thousand numbers, as they were drawn."""
    torch.manual_seed(0)
    whole = untrained(Path("bundles/unetpp"))
    architecture = {**whole.architecture, "features": [4, 8, 8]}
    trained = Trained(dataset=whole.dataset, architecture=architecture, bundle="unetpp")
    write_weights(folder, trained.build_network().state_dict(), trained)


def predict(scratch: Path, out: Path) -> tuple[str, ...]:
    """Arguments of the prediction."""
    where = (str(scratch / "data" / "images"), "--weights", str(scratch / "weights"), "--out", str(out))
    return ("predict", "unetpp", *where, "--format", FORMATS, "--device", "cpu")


def contents(out: Path) -> dict[str, bytes]:
    """All that a user sees, by name."""
    files = (path for path in out.rglob("*") if path.is_file() and ".medseg" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def trial(number: int, scratch: Path, expected: dict[str, bytes], seconds: float, rng: random.Random) -> str:
    """One kill and the run after it: what was there after the kill, or what is wrong."""
    out, log, how = scratch / f"out{number}", scratch / "log.txt", (signal.SIGKILL, signal.SIGTERM)[number % 2]
    process = start(log, *predict(scratch, out))
    time.sleep(rng.uniform(0, seconds))
    os.kill(process, how)
    asked = time.monotonic()
    code, said = ended(process), log.read_text()
    if time.monotonic() - asked > LONGEST_STOP_SECONDS or code not in (0, -how, 128 + how) or "Traceback" in said:
        return f"WRONG: {how.name}: ended with {code}: {said}"
    there = {name: content for name, content in contents(out).items() if name.endswith(".png")}
    torn = [name for name, content in there.items() if content != expected[name]]
    code, said = ended(start(log, *predict(scratch, out))), log.read_text()
    if torn or code or contents(out) != expected:
        return f"WRONG: {how.name}: torn {torn}, then {code}: {said}"
    kept = re.search(rf"(\d+) of {PICTURES} cases were finished", said)
    # at most those that the writers had in hand were written and not yet noted
    if len(there) - (int(kept[1]) if kept else 0) > 2:
        return f"WRONG: {how.name}: {len(there)} masks were there: {said}"
    part = "none" if not there else "all" if len(there) == PICTURES else "some"
    return f"{how.name}: {part} of the masks there after it, then complete and the same"


def main() -> int:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["MEDSEG_CACHE"] = f"{folder}/cache"
        prepare_demo(scratch / "data", n=PICTURES, size=(240, 200))
        tiny_weights(scratch / "weights")
        for name in ("first", "undisturbed"):  # the first one also fills the cache
            began = time.monotonic()
            if code := ended(start(scratch / "log.txt", *predict(scratch, scratch / name))):
                print(f"medseg predict ended with {code}: {(scratch / 'log.txt').read_text()}")
                return 1
        seconds, expected = time.monotonic() - began, contents(scratch / "undisturbed")
        outcomes = Counter(trial(number, scratch, expected, seconds, rng) for number in range(options.trials))
    print(f"{options.trials} kills within the {seconds:.1f} s of a prediction of {PICTURES} pictures")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4}  {outcome}")
    return int(any(outcome.startswith("WRONG") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
