"""A CT of 512 x 512 x 300 voxels from file to label map: `medseg predict` beside a script with MONAI's SlidingWindowInferer.

    OMP_NUM_THREADS=1 python benchmarks/volumes.py --write docs/benchmarks.md
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 python benchmarks/volumes.py --write docs/benchmarks.md

The second imitates a processor with AVX2. The scan is generated (large_ct.py), the network a 3D U-Net fitted to it for a minute; ``--work``
keeps both. All ways have the same network, weights, windows, overlap and Gaussian weights. The scripts are what MONAI's model zoo has
(spleen_ct_segmentation): LoadImaged, Orientationd, Spacingd, ScaleIntensityRanged, SlidingWindowInferer with 4 windows per batch in
float32, softmax, Invertd, argmax, SaveImaged; one of them with CropForegroundd. Every way is a process of its own, whose imports are not
counted; ours runs twice, first with an empty cache, when it also chooses the precision.

Figures are seconds of processor time, of all threads. The last lines take the inferers alone, both on what our own reading makes of the
scan.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from large_ct import scan
from networks import cpu_name, instruction_set, memory_status, write_section
from torch import Tensor, nn

from medseg_monai.training.losses import segmentation_loss

REPOSITORY = Path(__file__).resolve().parent.parent
SHAPE, SPACING_MM = (512, 512, 300), (0.9, 0.9, 1.5)
WINDOW_HU = (-160.0, 240.0)
CLASSES = ("liver", "spleen", "right kidney", "left kidney", "gall bladder")
FEATURES = (16, 32, 64, 128)
OVERLAP, AT_ONCE = 0.5, 4
OURS, FIRST, PLAIN, CROPPED = "medseg predict", "medseg predict, first run", "script", "script with CropForegroundd"
WAYS = (FIRST, OURS, PLAIN, CROPPED)


# --- what is prepared before: a scan, and a network that finds something in it


def prepare(work: Path, options: argparse.Namespace) -> None:
    """``scan.nii``, ``label.nii``, ``model.pt`` and ``spec.json`` in a folder, unless they are there."""
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.dataset.intensity import Intensity
    from medseg_monai.dataset.spec import DatasetSpec

    work.mkdir(parents=True, exist_ok=True)
    if (work / "model.pt").is_file():
        return
    sides = [side * full / count for side, full, count in zip(SPACING_MM, SHAPE, options.shape, strict=True)]
    affine = np.diag([-sides[0], -sides[1], sides[2], 1.0])
    for name, values in zip(("scan", "label"), scan(0, tuple(options.shape), tuple(sides)), strict=True):
        nibabel.save(nibabel.Nifti1Image(values, affine), work / f"{name}.nii")
    spec = DatasetSpec(
        "benchmark", "multiclass", classes=CLASSES, channels=("ct",), spatial_dims=3, size=tuple(options.window),
        spacing_mm=(options.spacing,) * 3, intensity=Intensity("window", lower=WINDOW_HU[0], upper=WINDOW_HU[1]),
    )  # fmt: skip
    architecture = {
        "in_channels": 1, "out_channels": len(CLASSES) + 1, "features": list(FEATURES), "spatial_dims": 3, "norm": options.norm,
    }  # fmt: skip
    trained = Trained(spec, {"_target_": "medseg_monai.networks.UNet", **architecture}, "unet3d")
    trained.write(work)
    case = loaded(work, label=True)
    network = fit(trained.build_network(), case["image"], case["label"], options.steps)
    torch.save(network.state_dict(), work / "model.pt")


def loaded(work: Path, *, label: bool = False) -> dict[str, Any]:
    """The scan as our networks take it, (1, i, j, k), and its label on the same grid."""
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.transforms import load, normalise

    spec = Trained.read(work).dataset
    keys = ["image", "label"] if label else ["image"]
    case = load(spec, keys=keys)({"image": str(work / "scan.nii"), "label": str(work / "label.nii")})
    return dict(normalise(spec)(case))


def fit(network: nn.Module, image: Tensor, label: Tensor, steps: int, *, side: int = 32) -> nn.Module:
    """A short training on patches of the scan, three of four around a voxel of a class, each class as often as the others."""
    torch.manual_seed(0)
    side = min(side, *image.shape[1:])
    found = [torch.nonzero(label[0] == number) for number in torch.unique(label) if number]
    loss_of = segmentation_loss("multiclass")
    optimiser = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        voxels = [found[int(torch.randint(len(found), ()))] for _ in range(3)]
        middles = [of[torch.randint(len(of), ())] for of in voxels]
        middles.append(torch.stack([torch.randint(n, ()) for n in image.shape[1:]]))
        places = [
            tuple(slice(start, start + side) for start in _starts(middle, side, image.shape[1:])) for middle in middles
        ]
        images, labels = (torch.stack([map_[(slice(None), *place)] for place in places]) for map_ in (image, label))
        loss = loss_of(network(images), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        falling.step()
        if step % 20 == 0:
            print(f"step {step}: loss {float(loss.detach()):.3f}", file=sys.stderr, flush=True)
    return network.eval()


def _starts(middle: Tensor, side: int, shape: Sequence[int]) -> list[int]:
    return [max(0, min(int(at) - side // 2, length - side)) for at, length in zip(middle, shape, strict=True)]


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

    trained = Trained.read(work)
    spacing, (low, high) = trained.dataset.spacing_mm, WINDOW_HU
    before = mt.Compose(
        [
            mt.LoadImaged("image"),
            mt.EnsureChannelFirstd("image"),
            mt.Orientationd("image", axcodes="RAS", labels=None),
            mt.Spacingd("image", pixdim=spacing, mode="bilinear"),
            mt.ScaleIntensityRanged("image", a_min=low, a_max=high, b_min=0, b_max=1, clip=True),
            *([mt.CropForegroundd("image", source_key="image", allow_smaller=True)] if crop else []),
            mt.EnsureTyped("image"),
        ]
    )
    after = mt.Compose(
        [
            mt.Activationsd("pred", softmax=True),
            mt.Invertd("pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True),
            mt.AsDiscreted("pred", argmax=True),
            mt.SaveImaged("pred", output_dir=str(out), output_dtype=np.uint8, separate_folder=False, print_log=False),
        ]
    )
    network, inferer = built(work), Timed(monai_inferer(trained.dataset.size or ()))

    @torch.no_grad()
    def run() -> float:
        case = before({"image": str(work / "scan.nii")})
        case["pred"] = inferer(case["image"][None], network)[0]
        after(case)
        return inferer.seconds

    return run


def built(work: Path) -> nn.Module:
    """The network with its weights, as a script would have it."""
    from medseg_monai.bundle.trained import Trained, load_weights

    return load_weights(Trained.read(work).build_network(), work / "model.pt").eval()


def monai_inferer(window: Sequence[int]) -> Callable[..., Tensor]:
    """MONAI's sliding windows, as its model zoo has them."""
    from monai.inferers import SlidingWindowInferer

    inferer: Callable[..., Tensor] = SlidingWindowInferer(
        tuple(window), sw_batch_size=AT_ONCE, overlap=OVERLAP, mode="gaussian"
    )
    return inferer


def inferers(work: Path) -> dict[str, Any]:
    """Both inferers on the same volume: seconds of each, and how far their masks are from each other."""
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.inference.inferer import case_inferer

    spec = Trained.read(work).dataset
    image, network = loaded(work)["image"][None], built(work)
    mine = Timed(case_inferer(spec, precision="auto", device="cpu", engine="torch", overlap=OVERLAP))
    theirs = Timed(monai_inferer(spec.size or ()))
    with torch.no_grad():
        masks = [run(image, network).argmax(dim=1).numpy().astype(np.uint8) for run in (mine, theirs)]
    return {"ours": mine.seconds, "monai": theirs.seconds, **difference(*masks)}


def work_once(way: str, work: Path, out: Path) -> dict[str, Any]:
    """What a process does: one way once. Seconds in all and of the network's windows, and the process's peak memory in MB."""
    if way == "inferers":
        return inferers(work)
    import monai.transforms  # noqa: F401 (imports are not counted)

    import medseg_monai.inference.recipe  # noqa: F401

    run = ours(work, out) if way in (OURS, FIRST) else plain(work, out, crop=way == CROPPED)
    start = time.process_time()
    windows = run()
    seconds = time.process_time() - start
    peak = memory_status("VmHWM") / 1024
    return {"seconds": seconds, "windows": windows, "peak": peak}


# --- tables


def difference(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """The lowest Dice of any class, and the share of voxels that differ."""
    scores = []
    for number in range(1, len(CLASSES) + 1):
        a, b = first == number, second == number
        if total := int(a.sum()) + int(b.sum()):
            scores.append(2 * int((a & b).sum()) / total)
    return {"dice": min(scores, default=1.0), "differ": float((first != second).mean())}


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
    truth = np.asarray(nibabel.load(work / "label.nii").dataobj)
    rows, masks, seconds = [], {}, {}
    for way in options.ways:
        out = work / "out" / way
        found = in_process(way, work)
        masks[way], seconds[way] = label_map(out), found["seconds"]
        same = difference(masks.get(OURS, masks[way]), masks[way])["dice"]
        cells = [
            way, f"{found['seconds']:.1f}", f"{found['windows']:.1f}", f"{seconds.get(OURS, seconds[way]) / found['seconds']:.2f}",
            f"{found['peak']:.0f}", f"{same:.4f}", f"{difference(truth, masks[way])['dice']:.3f}",
        ]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], file=sys.stderr, flush=True)
    alone = in_process("inferers", work)
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
            "| way | seconds | of which windows | ratio | peak memory (MB) | lowest Dice with ours | with the truth |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *rows,
            "",
            f"The inferers alone, on the same volume: ours {alone['ours']:.1f} s, MONAI's {alone['monai']:.1f} s, ratio "
            f"{alone['ours'] / alone['monai']:.2f}; lowest Dice of the two masks {alone['dice']:.5f}, {100 * alone['differ']:.4f} % of the "
            "voxels differ.",
        ]
    )


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", nargs=3, type=int, default=list(SHAPE), help="voxels of the scan")
    parser.add_argument("--spacing", type=float, default=3.0, help="of the network's grid, in mm")
    parser.add_argument("--window", nargs=3, type=int, default=[64, 64, 64])
    parser.add_argument("--norm", choices=["batch", "instance"], default="batch")
    parser.add_argument("--steps", type=int, default=100, help="of the training")
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
