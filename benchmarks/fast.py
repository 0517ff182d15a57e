"""The quickest shipped network beside segmentation_models.pytorch's Unet: photographs per second, and how well both find lesions.

    python benchmarks/fast.py DATASET_DIR --work FOLDER                 # train the peers, time all, score all, write FOLDER/fast.md
    python benchmarks/fast.py DATASET_DIR --work FOLDER --seconds 20 --images 4 --rounds 1 --cases 8      # does it run?

**Speed**: from JPEG (1022 x 767) to mask PNG of that size, all included. Every way is a process that stays ready, and they take turns: in
each round each does all photographs once. Ours is the bundle's inference.json; the peer is a plain script: Pillow, the network in
float32 under no_grad, one photograph at a time, sigmoid, resized back, Pillow again. Photographs are those of the test split, enlarged.
**Accuracy**: Jaccard of each test case on the stored photograph's own grid, with the difference paired by case.

The peers (encoders resnet34 and mobilenet_v2, else the library's defaults) are trained here from random weights, for no package holds
their ImageNet weights, by `accuracy_peers.SOUND` in bfloat16 where the machine has it, for so many seconds of one thread's processor time.
Finished ones in FOLDER are kept. To see a processor without AVX-512: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 (not while training).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import accuracy_peers as peers
import numpy as np
import torch
import torch.nn.functional as F
from accuracy import score
from accuracy_report import estimate_of, machine
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.significance import paired_permutation_p
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole

REPOSITORY = Path(__file__).resolve().parent.parent
PHOTO = (1022, 767)
ENCODERS = ("resnet34", "mobilenet_v2")
OURS: Mapping[str, dict[str, str]] = {
    "torch": {"engine": "torch"},
    "onnx": {"engine": "onnx"},
    "openvino": {"engine": "openvino"},
}
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}

Run = Callable[[Sequence[Path]], None]
Mask = NDArray[np.bool_]


# --- the peers


def peer(encoder: str) -> nn.Module:
    """segmentation_models.pytorch's Unet at its defaults, from random weights."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    network: nn.Module = smp.Unet(encoder, encoder_weights=None)
    return network


def train_peer(encoder: str, dataset: Path, size: int, seconds: float, out: Path) -> None:
    """Write its weights and what training took, unless they are there."""
    if (out / "run.json").is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    cases = read_dataset(dataset).cases("training")
    pictures = peers.read_pictures([str(case["image"]) for case in cases], size)
    masks = peers.read_masks([str(case["label"]) for case in cases], size)
    network, began = peer(encoder), time.process_time()
    bf16 = bool(torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    seen = peers.fit(network, pictures, masks, peers.SOUND, seconds=seconds, pretrained=False, bf16=bf16)
    torch.save(network.state_dict(), out / "model.pt")
    write_whole(out / "run.json", json.dumps({"seen": seen, "seconds": time.process_time() - began}).encode())


def trained_peer(encoder: str, folder: Path) -> nn.Module:
    """With the weights of `train_peer`."""
    network = peer(encoder)
    network.load_state_dict(torch.load(folder / encoder / "model.pt", weights_only=True))
    return network.eval()


@torch.no_grad()
def masks_of_peer(network: nn.Module, files: Sequence[str], size: int) -> Iterator[Mask]:
    """The mask of each photograph, (H, W): probabilities enlarged bilinearly, then 0.5."""
    for file in files:
        with Image.open(file) as photo:
            width, height = photo.size
        small = network(peers.normalised(peers.read_pictures([file], size), pretrained=False)).sigmoid()
        full = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
        yield (full[0, 0] > 0.5).numpy()


# --- speed


def enlarged(files: Sequence[str], folder: Path) -> list[Path]:
    """Photographs of the size that cameras give, as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        with Image.open(file) as photo:
            photo.convert("RGB").resize(PHOTO, Image.Resampling.BICUBIC).save(
                folder / f"{Path(file).stem}.jpg", quality=90
            )
    return sorted(folder.iterdir())


def plain_script(network: nn.Module, out: Path, size: int) -> Run:
    """What a tutorial has."""

    def run(files: Sequence[Path]) -> None:
        for file, mask in zip(files, masks_of_peer(network, list(map(str, files)), size), strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(out / f"{file.stem}.png")

    return run


def bundle_at_work(bundle: Path, weights: str, photographs: Path, out: Path, options: Mapping[str, Any]) -> Run:
    """inference.json, made ready once."""
    from monai.bundle import ConfigWorkflow

    given = {"bundle_root": str(bundle), "dataset_dir": str(photographs), "weights": weights, "output_dir": str(out)}
    config = str(bundle / "configs" / "inference.json")
    workflow = ConfigWorkflow(
        config, workflow_type="infer", logging_file=False, overwrite=True, report=False, **given, **options
    )
    workflow.initialize()
    evaluator = workflow.parser.get_parsed_content("evaluator")
    return lambda files: evaluator.run()


def stay_ready(way: str, options: argparse.Namespace, photographs: Path, told: Connection) -> None:
    """What a process does: make ready, then do all photographs each time that it is told to, and answer with the seconds."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    out = options.work / "masks" / way
    out.mkdir(parents=True, exist_ok=True)
    if way in OURS:
        run = bundle_at_work(REPOSITORY / "bundles" / "unet", options.weights, photographs, out, OURS[way])
    else:
        run = plain_script(trained_peer(way, options.work), out, options.size)
    files = sorted(photographs.iterdir())
    while told.recv():
        began = time.perf_counter()
        run(files)
        told.send(time.perf_counter() - began)


def rounds_of(ways: Sequence[str], options: argparse.Namespace, photographs: Path) -> list[dict[str, float]]:
    """Seconds of each way in each round; one before the first makes them ready."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    context = multiprocessing.get_context("spawn")
    lines, processes = {}, []
    for way in ways:
        lines[way], theirs = context.Pipe()
        processes.append(context.Process(target=stay_ready, args=(way, options, photographs, theirs)))
        processes[-1].start()
        theirs.close()

    def seconds(way: str) -> float:
        lines[way].send(True)
        return float(lines[way].recv())

    taken = [{way: seconds(way) for way in ways} for _ in range(options.rounds + 1)]
    for line in lines.values():
        line.send(False)
    for process in processes:
        process.join()
    return taken[1:]


# --- accuracy


def jaccards(cases: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> dict[str, NDArray[np.float64]]:
    """Of each case, for ours and the peers."""
    from medseg_monai.predictor import Predictor

    files = [str(case["image"]) for case in cases]
    found = Predictor(REPOSITORY / "bundles" / "unet", weights=options.weights)
    masks: dict[str, Iterator[Mask]] = {"ours": (answer.mask > 0 for answer in found.batches(files))}
    for encoder in ENCODERS:
        masks[encoder] = masks_of_peer(trained_peer(encoder, options.work), files, options.size)
    return {name: np.array([one.jaccard for one in score(cases, of)]) for name, of in masks.items()}


# --- the report


def speed_table(taken: Sequence[Mapping[str, float]], count: int) -> list[str]:
    """Photographs per second, and times the peers': the median over rounds."""
    rows = []
    for way in taken[0]:
        name = f"ours, {way}" if way in OURS else f"smp Unet, {way}, plain script"
        pace = count / statistics.median(one[way] for one in taken)
        times = [statistics.median(one[encoder] / one[way] for one in taken) for encoder in ENCODERS]
        rows.append([name, f"{pace:.1f}", *(f"{each:.2f}" if way in OURS else "" for each in times)])
    return markdown_table(["way", "photographs/s", *(f"x {encoder}" for encoder in ENCODERS)], rows)


def accuracy_table(found: Mapping[str, NDArray[np.float64]], facts: Mapping[str, str]) -> list[str]:
    """Means with intervals, and the difference of ours to each."""
    rows = []
    for name, values in found.items():
        row = ["ours" if name == "ours" else f"smp Unet, {name}", facts[name], f"{estimate_of(values)}"]
        apart = found["ours"] - values
        paired = ["", ""] if name == "ours" else [f"{estimate_of(apart)}", f"{paired_permutation_p(apart):.4f}"]
        rows.append([*row, *paired])
    return markdown_table(["network", "", "Jaccard", "ours minus this", "p"], rows)


def facts_of(options: argparse.Namespace) -> dict[str, str]:
    """Parameters, and how long each was trained."""
    from medseg_monai.bundle.paths import find_weights
    from medseg_monai.bundle.trained import Trained

    file = find_weights(REPOSITORY / "bundles" / "unet", options.weights)
    trained = Trained.read(file.parent)
    count = sum(parameter.numel() for parameter in trained.build_network().parameters())
    side = trained.dataset.size
    facts = {"ours": f"{count / 1e6:.2f} M, {side[0] if side else ''} px, {file.stat().st_size / 1e6:.1f} MB"}
    for encoder in ENCODERS:
        run = json.loads((options.work / encoder / "run.json").read_text())
        size = sum(parameter.numel() for parameter in peer(encoder).parameters()) / 1e6
        facts[encoder] = (
            f"{size:.2f} M, {options.size} px, {run['seconds'] / 60:.0f} core-minutes, {run['seen']:,} pictures"
        )
    return facts


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is trained, kept")
    parser.add_argument("--weights", default="fast", help="of the bundle unet")
    parser.add_argument("--size", type=int, default=192, help="width and height that the peers see")
    parser.add_argument("--seconds", type=float, default=1500, help="processor time of a peer's training")
    parser.add_argument("--images", type=int, default=20, help="photographs per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", type=int, help="test cases to score; default: all")
    parser.add_argument("--part", choices=("speed", "accuracy"), help="only this one, with peers that are there")
    return parser.parse_args()


def main() -> None:
    """Train, time, score, write."""
    options = parse()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for encoder in ENCODERS:
        train_peer(encoder, options.dataset, options.size, options.seconds, options.work / encoder)
    cases = read_dataset(options.dataset).cases("test")
    lines = [f"{machine()}."]
    if options.part != "accuracy":
        photographs = options.work / f"photographs{options.images}"
        enlarged([str(case["image"]) for case in cases[: options.images]], photographs)
        ways = [*(way for way in OURS if find_spec(PACKAGES.get(way, "torch"))), *ENCODERS]
        taken = rounds_of(ways, options, photographs)
        lines += ["", f"{options.images} photographs, {options.threads} threads, {options.rounds} rounds.", ""]
        lines += speed_table(taken, len(list(photographs.iterdir())))
    if options.part != "speed":
        chosen = cases[: options.cases]
        lines += ["", f"{len(chosen)} test cases.", "", *accuracy_table(jaccards(chosen, options), facts_of(options))]
    text = "\n".join(lines) + "\n"
    write_whole(options.work / "fast.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
