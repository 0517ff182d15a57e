"""A CT of 512 x 512 x 300 voxels from file to label map: `medseg predict` beside a script with MONAI's SlidingWindowInferer.

    OMP_NUM_THREADS=1 python benchmarks/volumes.py --write docs/benchmarks.md
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 python benchmarks/volumes.py --write docs/benchmarks.md

The second imitates a processor with AVX2. Scan and network are those of ct_network.py, whose training takes three minutes of a core;
``--work`` keeps both. All ways have the same network, weights, windows, overlap and Gaussian weights. The scripts are what MONAI's model
zoo has (spleen_ct_segmentation): LoadImaged, Orientationd, Spacingd, ScaleIntensityRanged, SlidingWindowInferer with 4 windows per batch
in float32, softmax, Invertd, argmax, SaveImaged; one of them with CropForegroundd. Every way is a process of its own, whose imports are
not counted; ours runs twice, first with an empty cache, when it also chooses the precision. Huge pages (program/process.py) are for ours
alone, as the command takes them; an inferer of MONAI's that is given them too stands beside.

Figures are seconds of processor time, of all threads.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from ct_network import CLASSES, FEATURES, SHAPE, built, our_reading, prepare, script_transforms
from networks import cpu_name, instruction_set, memory_status, write_section
from torch import Tensor
from torch.nn.functional import pad

from medseg_monai.evaluation.surfaces import surface_distances
from medseg_monai.inference.windows import LEAST_WEIGHT, SIGMA
from medseg_monai.program.process import take_huge_pages

REPOSITORY = Path(__file__).resolve().parent.parent
OVERLAP, AT_ONCE = 0.5, 4
OURS, FIRST, PLAIN, CROPPED = "medseg predict", "medseg predict, first run", "script", "script with CropForegroundd"
WAYS = (FIRST, OURS, PLAIN, CROPPED)
HUGE_PAGES = "huge pages"
OUR_WEIGHTS = "our weights"
ALONE = {
    "ours": (OURS, False),
    "MONAI's": (PLAIN, False),
    f"MONAI's, {HUGE_PAGES}": (PLAIN, False),
    "ours, same windows": (OURS, True),
    "MONAI's, same windows": (PLAIN, True),
    f"MONAI's, same windows, {OUR_WEIGHTS}": (PLAIN, True),
}
"""The inferers by themselves: whose, and whether air is added until the windows divide each axis, so that both have the same. Elsewhere
ours are spread evenly, and MONAI's last one is moved inwards. Gaussian weights differ where they are small: MONAI lifts the product of the
three axes to a thousandth, ours that of each axis."""


# --- the ways: each a function that writes a label map and says how long its parts took


class Timed:
    """An inferer, with the processor time of its calls."""

    def __init__(self, inferer: Callable[..., Tensor]) -> None:
        self.inferer = inferer
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run it."""
        start = time.process_time()
        answer = self.inferer(*args, **kwargs)
        self.seconds += time.process_time() - start
        return answer


def ours(work: Path, out: Path) -> Callable[[], float]:
    """What `medseg predict` runs: ``inference.json``."""
    from medseg_monai.bundle.workflow import bundle_workflow

    def run() -> float:
        given = {"dataset_dir": str(work / "scan.nii"), "weights": str(work), "output_dir": str(out), "report": False}
        workflow = bundle_workflow(REPOSITORY / "bundles" / "unet3d", "inference", given)
        workflow.initialize()
        evaluator = workflow.parser.get_parsed_content("evaluator")
        evaluator.inferer = Timed(evaluator.inferer)
        workflow.run()
        return float(evaluator.inferer.seconds)

    return run


def plain(work: Path, out: Path, *, crop: bool) -> Callable[[], float]:
    """The script."""
    from monai import transforms as mt

    from medseg_monai.bundle.trained import Trained

    spec = Trained.read(work).dataset
    before = mt.Compose(script_transforms(spec.spacing_mm or (), crop=crop))
    after = mt.Compose(
        [
            mt.Activationsd("pred", softmax=True),
            mt.Invertd("pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True),
            mt.AsDiscreted("pred", argmax=True),
            mt.SaveImaged("pred", output_dir=str(out), output_dtype=np.uint8, separate_folder=False, print_log=False),
        ]
    )
    network, inferer = built(work), Timed(monai_inferer(spec.size or ()))

    @torch.no_grad()
    def run() -> float:
        case = before({"image": str(work / "scan.nii")})
        case["pred"] = inferer(case["image"][None], network)[0]
        after(case)
        return inferer.seconds

    return run


def monai_inferer(window: Sequence[int], weights: Tensor | None = None) -> Callable[..., Tensor]:
    """MONAI's sliding windows, as its model zoo has them, or with other weights."""
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(tuple(window), sw_batch_size=AT_ONCE, overlap=OVERLAP, mode="gaussian")
    if weights is not None:
        inferer.roi_weight_map = weights
    return inferer


def gaussian(window: Sequence[int]) -> Tensor:
    """Our weights of a single window, so large that MONAI does not lift them."""
    i, j, k = (axis_weights(length) for length in window)
    return i[:, None, None] * j[:, None] * k * 1e9


def axis_weights(length: int) -> Tensor:
    """Those along one axis."""
    away = (torch.arange(length) - (length - 1) / 2) / (SIGMA * length)
    return torch.exp(-0.5 * away**2).clamp_min(LEAST_WEIGHT)


def alone(way: str, work: Path) -> dict[str, Any]:
    """An inferer by itself, in float32 on what our own reading makes of the scan; its mask is left in a file.

    Before, it runs one window, which the seconds leave out: ours chooses an engine by it.
    """
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.inference.inferer import case_inferer

    who, evenly = ALONE[way]
    spec, case, network = Trained.read(work).dataset, our_reading(work, label=True), built(work)
    window = spec.size or ()
    image, truth = (grown(part, window) if evenly else part for part in (case["image"], case["label"]))
    inferer = monai_inferer(window, gaussian(window) if OUR_WEIGHTS in way else None)
    if who == OURS:
        inferer = case_inferer(spec, precision="fp32", device="cpu", engine="torch", overlap=OVERLAP)
    middle = [slice((n - side) // 2, (n - side) // 2 + side) for n, side in zip(image.shape[1:], window, strict=True)]
    timed = Timed(inferer)
    with torch.no_grad():
        inferer(image[(None, slice(None), *middle)], network)
        mask = timed(image[None], network).argmax(dim=1).numpy().astype(np.uint8)
    np.save(work / f"{way}.npy", mask)
    return {"seconds": timed.seconds, "shape": list(image.shape[1:]), "right": min(dice(mask, truth.numpy()))}


def grown(values: Tensor, window: Sequence[int]) -> Tensor:
    """(C, i, j, k) with air at the end of each axis, up to a window and a whole number of half ones."""
    added = [
        -(n - side) % (side // 2) if n > side else side - n for n, side in zip(values.shape[1:], window, strict=True)
    ]
    ends = [end for number in reversed(added) for end in (0, number)]
    return pad(values, ends, value=float(values.min()))


def work_once(way: str, work: Path, out: Path) -> dict[str, Any]:
    """What a process does: one way once. Seconds in all and of the network's windows, and the process's peak memory in MB."""
    if way in (FIRST, OURS) or ALONE.get(way, ("",))[0] == OURS or HUGE_PAGES in way:
        take_huge_pages()
    if way in ALONE:
        return alone(way, work)
    import monai.transforms  # noqa: F401 (imports are not counted)

    import medseg_monai.inference.recipe  # noqa: F401

    run = ours(work, out) if way in (OURS, FIRST) else plain(work, out, crop=way == CROPPED)
    start = time.process_time()
    windows = run()
    seconds = time.process_time() - start
    peak = memory_status("VmHWM") / 1024
    return {"seconds": seconds, "windows": windows, "peak": peak}


# --- tables


def dice(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Of each class in two label maps; 1 if neither has it."""
    scores = []
    for number in range(1, len(CLASSES) + 1):
        a, b = first == number, second == number
        total = int(a.sum()) + int(b.sum())
        scores.append(2 * int((a & b).sum()) / total if total else 1.0)
    return scores


def distances(first: np.ndarray, second: np.ndarray, spacing_mm: Sequence[float]) -> list[float]:
    """Mean distance between the surfaces of each class in mm; NaN if one of the maps lacks it."""
    both = [(first == number, second == number) for number in range(1, len(CLASSES) + 1)]
    return [surface_distances(a, b, spacing_mm).mean if a.any() and b.any() else math.nan for a, b in both]


def label_map(folder: Path) -> np.ndarray:
    """The label map that a way has written."""
    [file] = folder.rglob("*.nii.gz")
    return np.asarray(nibabel.load(file).dataobj).astype(np.uint8).squeeze()


def in_process(way: str, work: Path) -> dict[str, Any]:
    """A way in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--way", way, "--work", str(work)]
    environment = {
        **os.environ,
        "MEDSEG_CACHE": str(work / f"cache {instruction_set()}"),
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def section(options: argparse.Namespace, work: Path) -> str:
    """The Markdown section; its rows are also printed as they come."""
    label = nibabel.load(work / "label.nii")
    truth, spacing = np.asarray(label.dataobj), [float(side) for side in label.header.get_zooms()]
    rows, right, masks, seconds = [], [], {}, {}
    for way in options.ways:
        out = work / "out" / way
        found = in_process(way, work)
        masks[way], seconds[way] = label_map(out), found["seconds"]
        same = dice(masks.get(OURS, masks[way]), masks[way])
        rows.append(
            f"| {way} | {found['seconds']:.1f} | {found['windows']:.1f} | {seconds.get(OURS, seconds[way]) / found['seconds']:.2f} | "
            f"{found['peak']:.0f} |"
        )
        pairs = zip(dice(truth, masks[way]), distances(truth, masks[way], spacing), same, strict=True)
        right.append(f"| {way} | " + " | ".join(f"{a:.4f}, {b:.3f} mm, {c:.4f}" for a, b, c in pairs) + " |")
        print(rows[-1], right[-1], sep="\n", file=sys.stderr, flush=True)
    shape, window = (" x ".join(map(str, sides)) for sides in (options.shape, options.window))
    return "\n".join(
        [
            f"## Volumes, {torch.backends.cpu.get_cpu_capability()}",
            "",
            f"`{options.command}`: a generated CT of {shape} voxels with {len(CLASSES)} structures, network at {options.spacing:g} mm, "
            f"windows of {window} that overlap by half; 3D U-Net {FEATURES[0]}-{FEATURES[-1]} with {options.norm} norm. Seconds of "
            f"processor time with {torch.get_num_threads()} threads, imports not counted; of these, those of the inferer. Ratio: ours "
            f"/ this way. {cpu_name()}, {instruction_set()}; Python {platform.python_version()}, torch {version('torch')}, "
            f"monai {version('monai')}.",
            "",
            "| way | seconds | of which windows | ratio | peak memory (MB) |",
            "|---|--:|--:|--:|--:|",
            *rows,
            "",
            "Dice with the truth, mean distance of the surfaces to the true ones, Dice with ours:",
            "",
            f"| way | {' | '.join(CLASSES)} |",
            "|---" * (1 + len(CLASSES)) + "|",
            *right,
            "",
            "The inferers alone, in float32, on what our own reading makes of the scan; the last three with air added until the windows",
            "divide each axis, so that both have the same ones:",
            "",
            "| voxels | inferer | seconds | ratio | lowest Dice with ours | voxels that differ | lowest Dice with the truth |",
            "|---|---|--:|--:|--:|--:|--:|",
            *alone_rows(work),
        ]
    )  # fmt: skip


def alone_rows(work: Path) -> Iterator[str]:
    """Rows of the last table; ours come before those that are compared with them."""
    seconds, mask = math.nan, np.zeros(())
    for way, (who, _) in ALONE.items():
        found = in_process(way, work)
        this = np.load(work / f"{way}.npy")
        if who == OURS:
            seconds, mask = found["seconds"], this
        row = (
            f"| {' x '.join(map(str, found['shape']))} | {way} | {found['seconds']:.1f} | {seconds / found['seconds']:.2f} | "
            f"{min(dice(mask, this)):.5f} | {100 * (mask != this).mean():.4f} % | {found['right']:.4f} |"
        )
        print(row, file=sys.stderr, flush=True)
        yield row


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", nargs=3, type=int, default=list(SHAPE), help="voxels of the scan")
    parser.add_argument("--spacing", type=float, default=3.0, help="of the network's grid, in mm")
    parser.add_argument("--window", nargs=3, type=int, default=[64, 64, 64])
    parser.add_argument("--norm", choices=["batch", "instance"], default="batch")
    parser.add_argument("--steps", type=int, default=500, help="of the training")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--work", type=Path, help="folder for the scan and the weights, kept")
    parser.add_argument("--write", type=Path, help="Markdown file to put the section into")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.command = " ".join(["python", "benchmarks/volumes.py", *sys.argv[1:]])
    return options


def main() -> None:
    """Measure, print, and write if asked."""
    options = parse()
    if options.way:
        with os.fdopen(os.dup(1), "w") as answer:
            os.dup2(2, 1)  # what libraries print goes elsewhere
            print(json.dumps(work_once(options.way, options.work, options.work / "out" / options.way)), file=answer)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        prepare(work, options)
        text = section(options, work)
    print(text)
    if options.write:
        write_section(options.write, text)


if __name__ == "__main__":
    main()
