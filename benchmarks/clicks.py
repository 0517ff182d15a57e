"""How many clicks a correction takes, on the cases that a network gets worst, beside other methods.

    python benchmarks/clicks.py BUNDLE DATASET_DIR [--split test] [--worst 50] [--rivals] [--picture FILE]

A click is put where RITM and SimpleClick put it (Sofiiuk et al., arXiv:2102.06583; Liu et al., arXiv:2210.11006): into the largest
region of errors, judged by its greatest distance to correct pixels, at the pixel of that distance; then the mask is corrected, up to 20
times. Prints, in Markdown, the mean number of clicks until the Jaccard index is 0.9 (20 if it is not reached), the share that does not
reach it, the mean Jaccard index after 0, 1, 2, 3 and 5 clicks, and processor time per click. ``--rivals`` also tries simpler and better
known methods; the graph cut needs `pip install PyMaxflow` (GPL), the geodesic distance `pip install scikit-image`.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from scipy import sparse
from scipy.ndimage import distance_transform_edt, label
from scipy.sparse.linalg import spsolve
from tqdm import tqdm

from medseg_monai.clicks import Click, correct
from medseg_monai.clicks.evidence import logit
from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.cases import main_file
from medseg_monai.figures.drawing import draw_outline, enlarge
from medseg_monai.grids.truth import read_truth
from medseg_monai.predictor import Predictor

Bools = NDArray[np.bool_]
Method = Callable[["Case", Sequence[Click], Bools], Bools]
MOST, GOAL, SHOWN = 20, 0.9, (0, 1, 2, 3, 5)
WHITE, YELLOW, GREEN, RED = (255, 255, 255), (240, 228, 66), (0, 200, 80), (220, 40, 40)


@dataclass
class Case:
    """What the network found, and the truth."""

    name: str
    image: NDArray[np.uint8]
    probability: NDArray[np.float32]
    mask: Bools
    truth: Bools


def jaccard(a: Bools, b: Bools) -> float:
    """1 if both are empty."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def depth(mask: Bools) -> NDArray[np.float64]:
    """Distance to the nearest pixel that is not in the mask; what lies beyond the image is not."""
    inner = tuple(slice(1, -1) for _ in mask.shape)
    deep: NDArray[np.float64] = distance_transform_edt(np.pad(mask, 1))[inner]
    return deep


def next_click(mask: Bools, truth: Bools, clicks: Sequence[Click]) -> Click:
    """The deepest pixel of the errors that nobody has clicked on."""
    missed, excess = depth(truth & ~mask), depth(mask & ~truth)
    for click in clicks:
        missed[click.row, click.column] = excess[click.row, click.column] = 0
    inside = bool(missed.max() > excess.max())
    row, column = np.unravel_index(int((missed if inside else excess).argmax()), mask.shape)
    return Click(int(row), int(column), inside)


def disc(mask: Bools, click: Click, radius: float) -> Bools:
    """The pixels within a radius of a click."""
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    near: Bools = (rows - click.row) ** 2 + (columns - click.column) ** 2 <= radius**2
    return near


def held(mask: Bools, clicks: Sequence[Click], radius: float = 1.5) -> Bools:
    """The mask with every click right."""
    mask = mask.copy()
    for size in (radius, 0):
        for click in clicks:
            mask[disc(mask, click, size)] = click.inside
    return mask


def this_project(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """`medseg_monai.clicks.correct`."""
    return (
        correct(
            case.mask.astype(np.uint8), case.probability[None], clicks, classes=["lesion"], task="binary",
            image=case.image.transpose(2, 0, 1),
        ).mask
        > 0
    )  # fmt: skip


def brush(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """A disc around the last click that reaches the outline."""
    click = clicks[-1]
    side = mask if mask[click.row, click.column] else ~mask
    radius = distance_transform_edt(side)[click.row, click.column] if not side.all() else 20
    return held(np.where(disc(mask, click, radius), click.inside, mask), clicks, 0)


def component(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """The connected part around the last click: of the mask if it is outside, else of the pixels that are as probable."""
    click = clicks[-1]
    level = case.probability >= case.probability[click.row, click.column]
    parts, _ = label(level if click.inside else mask)
    return held(np.where(parts == parts[click.row, click.column], click.inside, mask), clicks)


def shift(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """Another threshold: of those that most clicks agree with, the one nearest to 0.5."""
    odds, inside = logit(case.probability), np.array([click.inside for click in clicks])
    clicked = np.array([odds[click.row, click.column] for click in clicks])
    levels = [0.0, *(clicked + 1e-3), *(clicked - 1e-3)]
    return held(odds > min(levels, key=lambda level: (int(((clicked > level) != inside).sum()), abs(level))), clicks)


def likeness(image: NDArray[Any], axis: int, scale: float) -> NDArray[np.float64]:
    """Of neighbouring pixels along an axis, 1 for the same colour."""
    squares = (np.diff(image.astype(np.float64), axis=axis) ** 2).sum(axis=2)
    return np.exp(-squares / (2 * scale**2))


def graph_cut(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """Boykov and Jolly, ICCV 2001: log-odds, contrast, clicks as hard seeds."""
    import maxflow

    graph = maxflow.Graph[float]()
    nodes = graph.add_grid_nodes(mask.shape)
    for axis, structure in ((0, [[0, 0, 0], [0, 0, 0], [0, 1, 0]]), (1, [[0, 0, 0], [0, 0, 1], [0, 0, 0]])):
        alike = likeness(case.image, axis, 12.0)
        alike = np.pad(alike, [(0, int(other == axis)) for other in range(2)])
        graph.add_grid_edges(nodes, 5.0 * (alike + 0.05), structure=np.array(structure), symmetric=True)
    odds = np.clip(logit(case.probability), -3, 3).astype(np.float64)
    for click in clicks:
        odds[disc(mask, click, 8)] = 1e6 if click.inside else -1e6
    graph.add_grid_tedges(nodes, np.maximum(odds, 0), np.maximum(-odds, 0))
    graph.maxflow()
    return held(~graph.get_grid_segments(nodes), clicks)


def geodesic(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """Log-odds, and geodesic distances to the clicks of either kind (DeepIGeoS, Wang et al., arXiv:1707.00652)."""
    from skimage.graph import MCP_Geometric

    odds = np.clip(logit(case.probability), -7, 7).astype(np.float64)
    steps = np.gradient(case.image.astype(np.float64) / 2.5, axis=(0, 1))
    cost = 1 + 0.3 * np.sqrt(sum((step**2).sum(axis=2) for step in steps)) + 0.5 * np.hypot(*np.gradient(odds))
    radius = np.sqrt(max(int(mask.sum()), mask.size / 100) / np.pi)
    for inside in (True, False):
        points = [(click.row, click.column) for click in clicks if click.inside == inside]
        if points:
            distance = MCP_Geometric(cost).find_costs(points)[0] / radius
            odds += (14 if inside else -14) * np.exp(-distance / 0.5)
    return held(odds > 0, clicks)


def random_walker(case: Case, clicks: Sequence[Click], mask: Bools) -> Bools:
    """Grady, CVPR 2005: log-odds as a prior, clicks as seeds."""
    count, index = mask.size, np.arange(mask.size).reshape(mask.shape)
    weights = np.concatenate([likeness(case.image, axis, 12.0).ravel() for axis in (0, 1)]) + 1e-3
    first = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    second = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    graph = sparse.coo_matrix((weights, (first, second)), (count, count))
    graph = (graph + graph.T).tocsr()
    trust, odds = np.full(mask.shape, 0.01), np.clip(logit(case.probability), -3, 3).astype(np.float64)
    for click in clicks:
        near = disc(mask, click, 3)
        trust[near], odds[near] = 1e4, 3 if click.inside else -3
    system = sparse.diags(np.asarray(graph.sum(axis=1)).ravel() + trust.ravel()) - graph
    return held(spsolve(system.tocsc(), (trust * odds).ravel()).reshape(mask.shape) > 0, clicks)


RIVALS: dict[str, Method] = {
    "disc up to the outline": brush,
    "connected part": component,
    "another threshold": shift,
    "graph cut": graph_cut,
    "geodesic distance": geodesic,
    "random walker": random_walker,
}


def read_cases(bundle: str, folder: Path, split: str) -> list[Case]:
    """What the network finds in a split of photographs with one class."""
    dataset, predictor, cases = read_dataset(folder), Predictor(bundle), []
    for given in tqdm(dataset.cases(split), desc="predicting", disable=None):
        found = predictor(main_file(given["image"]))
        with Image.open(main_file(given["image"])) as opened:
            image = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        truth = read_truth(given, found.grid, predictor.spec)
        shown = found.grid.kind.as_shown(truth)[0] == 1
        cases.append(Case(str(given["id"]), image, found.probabilities[0], found.mask > 0, shown))
    return cases


def course(case: Case, method: Method) -> tuple[list[float], list[Click], list[Bools], float]:
    """Jaccard indices from before the first click on, the clicks, the masks after each, and processor seconds."""
    clicks: list[Click] = []
    masks, scores, seconds = [case.mask], [jaccard(case.mask, case.truth)], 0.0
    while len(clicks) < MOST and (max(scores) < GOAL or len(clicks) < max(SHOWN)) and scores[-1] < 1:
        clicks.append(next_click(masks[-1], case.truth, clicks))
        start = time.process_time()
        masks.append(method(case, clicks, masks[-1]))
        seconds += time.process_time() - start
        scores.append(jaccard(masks[-1], case.truth))
    return scores, clicks, masks, seconds


def row(name: str, cases: Sequence[Case], method: Method) -> str:
    """A row of the table."""
    courses = [course(case, method) for case in tqdm(cases, desc=name, disable=None)]
    scores = [found[0] for found in courses]
    needed = [next((count for count, score in enumerate(every) if score >= GOAL), MOST) for every in scores]
    failed = sum(max(every) < GOAL for every in scores)
    after = [np.mean([every[min(count, len(every) - 1)] for every in scores]) for count in SHOWN]
    clicks = sum(len(every) - 1 for every in scores)
    cells = [f"{np.mean(needed):.1f}", f"{failed} of {len(cases)}", *(f"{mean:.3f}" for mean in after)]
    return f"| {name} | {' | '.join(cells)} | {1000 * sum(found[3] for found in courses) / clicks:.0f} |"


def milliseconds(side: int) -> float:
    """Of one click on a photograph of `side` x `side` pixels, best of five."""
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - side / 2, columns - side / 2)
    probability = (1 / (1 + np.exp((distance - side / 5) / 10))).astype(np.float32)
    image = np.random.default_rng(0).integers(0, 60, (3, side, side)) + np.where(distance < side / 4, 60, 160)
    mask, click = (probability > 0.5).astype(np.uint8), Click(side // 2, side // 2 + int(side * 0.23))
    taken = []
    for _ in range(5):
        start = time.process_time()
        correct(mask, probability[None], [click], classes=["a"], task="binary", image=image.astype(np.uint8))
        taken.append(time.process_time() - start)
    return 1000 * min(taken)


def draw(cases: Sequence[Case], file: Path, clicks: int = 3) -> None:
    """Three cases, a row each: before, the clicks, after; the truth in white, the mask in yellow, clicks green (inside) and red."""
    chosen = [cases[number] for number in (1, len(cases) // 3, len(cases) * 2 // 3)]
    rows = []
    for case in chosen:
        _, clicked, masks, _ = course(case, this_project)
        given = ((masks[0], ()), (masks[0], clicked[:clicks]), (masks[clicks], ()))
        rows.append(np.concatenate([panel(case, mask, shown) for mask, shown in given], axis=1))
    width = min(row.shape[1] for row in rows)
    whole = Image.fromarray(np.concatenate([row[:, :width] for row in rows]))
    whole.thumbnail((1152, 1152))
    whole.save(file, quality=82)


def panel(case: Case, mask: Bools, clicks: Sequence[Click]) -> NDArray[np.uint8]:
    """The photograph with both outlines and the clicks."""
    picture, outlines = enlarge(case.image.copy(), np.stack([case.truth, mask]), longest=512)
    for outline, colour in zip(outlines, (WHITE, YELLOW), strict=True):
        draw_outline(picture, outline, colour)
    drawn, factor = Image.fromarray(picture), picture.shape[0] / mask.shape[0]
    for click in clicks:
        x, y, size = (click.column + 0.5) * factor, (click.row + 0.5) * factor, 8
        box = (x - size, y - size, x + size, y + size)
        ImageDraw.Draw(drawn).ellipse(box, fill=GREEN if click.inside else RED, outline=(0, 0, 0), width=2)
    return np.asarray(drawn)


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--worst", type=int, default=50)
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = read_cases(options.bundle, options.dataset_dir, options.split)
    cases = sorted(cases, key=lambda case: jaccard(case.mask, case.truth))[: options.worst]
    print("| method | clicks to 0.9 | not reached | " + " | ".join(map(str, SHOWN)) + " | ms per click |")
    print("|---" * (len(SHOWN) + 4) + "|")
    for name, method in ({"this project": this_project, **(RIVALS if options.rivals else {})}).items():
        print(row(name, cases, method), flush=True)
    print(
        f"\nOne click on 1000 x 1000 pixels: {milliseconds(1000):.0f} ms; on 4000 x 4000: {milliseconds(4000):.0f} ms"
    )
    if options.picture:
        draw(cases, options.picture)


if __name__ == "__main__":
    main()
