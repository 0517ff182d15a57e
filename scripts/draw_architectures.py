"""Draw every bundle's network and write its cost into its model card.

    python scripts/draw_architectures.py          draw bundles/*/docs/architecture.png, write the tables of the cards
    python scripts/draw_architectures.py --check  list files that no longer match the network, exit 1 if there are any

The boxes of a figure are modules of the network, whose channels and sizes are recorded while it runs. GMACs are billions of
multiply-adds for one image of 3 x 256 x 256: half of torch's FlopCounterMode count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from architectures.diagrams import Diagram, read_description, write_png
from architectures.facts import build, table
from architectures.layout import diagram_of

from medseg_monai.bundle.trained import untrained
from medseg_monai.files.writing import write_whole

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"
BEGIN, END = "<!-- written by scripts/draw_architectures.py -->", "<!-- end of what is written -->"


def figure_of(bundle: Path) -> Diagram:
    """The figure of a bundle's network as its train.json builds it."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return diagram_of(build(untrained(bundle), {}), metadata["name"])


def with_table(card: str, rows: str) -> str:
    r"""A card's text with the table between its markers replaced.

    Raises:
        ValueError: the markers are not there.

    >>> with_table(f"a {BEGIN}old{END} b", "| new |") == f"a {BEGIN}\n\n| new |\n\n{END} b"
    True
    """
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the card has no lines {BEGIN!r} and {END!r} to write between")
    return f"{before}{begin}\n\n{rows}\n\n{end}{after}"


def update(bundle: Path, *, check: bool) -> list[Path]:
    """Write a bundle's figure and table, or with `check` only compare them; returns the files that did not match the network."""
    figure, card = bundle / "docs" / "architecture.png", bundle / "docs" / "README.md"
    stale = []
    diagram = figure_of(bundle)
    if not figure.is_file() or read_description(figure) != diagram.describe():
        stale.append(figure)
    text = card.read_text(encoding="utf-8")
    rows = table(bundle)
    print(f"{bundle.name}\n{rows}\n")
    updated = with_table(text, rows)
    if updated != text:
        stale.append(card)
    if not check:
        write_png(diagram, figure)  # always: the positions of boxes are not in the description
        write_whole(card, updated.encode())
    return stale


def main(arguments: list[str], *, bundles: Path = BUNDLES) -> int:
    """Write or check every bundle's card; returns the exit code."""
    check = "--check" in arguments
    stale = []
    for bundle in sorted(path.parent.parent for path in bundles.glob("*/configs/metadata.json")):
        stale += update(bundle, check=check)
    for path in stale:
        print(f"{'differs' if check else 'written'}: {path.relative_to(bundles.parent)}")
    if check and stale:
        print("run: python scripts/draw_architectures.py")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
