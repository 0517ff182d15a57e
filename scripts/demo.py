r"""Real photographs with the shipped weights, then the whole job on generated pictures: data, training, evaluation, masks.

    python scripts/demo.py [FOLDER]     with the Python that medseg_monai is installed for; FOLDER is demo by default

`make demo` installs first. This needs no shell: on Windows it runs as `.venv\Scripts\python scripts\demo.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# a narrow U-Net++ on small pictures: done in minutes on two cores
TRAINING = ("--max-epochs", "10", "--size", "96", "--batch-size", "8")
NETWORK = ("--set", "architecture#features=[16, 32, 64, 128, 256]", "--set", "architecture#stem_stride=2")


def steps(out: Path) -> list[tuple[object, ...]]:
    """The arguments of each `medseg`, in order."""
    data, weights = out / "data", out / "weights"
    return [
        ("predict", "unetpp", EXAMPLES, "--out", out / "photographs", "--overlays", "--overwrite"),
        ("explain", "unetpp", EXAMPLES / "ISIC_0000361.jpg", "--out", out / "explanation"),
        ("prepare", "demo", "--out", data),
        ("train", "unetpp", "--dataset-dir", data, "--output-dir", weights, *TRAINING, *NETWORK),
        ("evaluate", "unetpp", "--dataset-dir", data, "--weights", weights, "--out", out / "evaluation"),
        ("predict", "unetpp", data / "images", "--weights", weights, "--out", out / "masks", "--overwrite"),
    ]


def main(out: Path) -> None:
    """Run all steps; the first that fails ends the program."""
    for step in steps(out):
        subprocess.run([sys.executable, "-m", "medseg_monai", *map(str, step)], check=True)
    print(f"""
photographs  {out}/photographs/index.html; where the network looked: {out}/explanation
weights      {out}/weights/model.pt, and spec.json: what they are for
metrics      {out}/evaluation/summary.md, one line per case in cases.csv
masks        {out}/masks/*_mask.png
pictures     {out}/evaluation/cases.jpg, and a page of all masks: {out}/masks/index.html""")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
