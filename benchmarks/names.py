"""What very many names cost before the first image is read: seconds, requests to the disk, memory.

python benchmarks/names.py --names 100000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def make(folder: Path, names: int, links: bool) -> None:
    """Empty files, or links to one, in folders of 10,000."""
    target = folder / "target.jpg"
    target.touch()
    for number in range(names):
        file = folder / "images" / f"clinic_{number // 10000:03d}" / f"lesion_{number:07d}.jpg"
        if number % 10000 == 0:
            file.parent.mkdir(parents=True)
        if links:
            file.symlink_to(target)
        else:
            file.touch()


def measure(sources: list[str], out: Path) -> dict[str, float]:
    """Find the cases of an eighth, as `medseg predict --shard 1/8` does; what was there before is subtracted."""
    from medseg_monai.inference.cases import find_cases
    from medseg_monai.inference.shards import Shard

    before, began, wall = memory_mb(), time.process_time(), time.monotonic()
    cases = find_cases(sources, leave_out=out)
    share = Shard(1, 8).select(cases)
    return {
        "names": len(cases),
        "share": len(share),
        "seconds of processor": round(time.process_time() - began, 2),
        "seconds": round(time.monotonic() - wall, 2),
        "MB at the peak": round(memory_mb() - before, 1),
    }


def memory_mb() -> float:
    """The largest amount of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        folder = Path(given.measure)
        named = folder / "names.txt"
        sources = named.read_text().splitlines() if named.is_file() else [str(folder / "images")]
        print(json.dumps(measure(sources, folder / "out")))
        return
    for what in ("files", "links", "files named one by one"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            make(folder, given.names, links=what == "links")
            if what.endswith("one"):
                files = sorted(str(file) for file in (folder / "images").rglob("*.jpg"))
                (folder / "names.txt").write_text("\n".join(files))
            command = [sys.executable, __file__, "--measure", place]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
            print(f"{what}: {found.strip()}", flush=True)


if __name__ == "__main__":
    main()
