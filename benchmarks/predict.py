"""Photographs per second from JPEG to mask PNG, all included: this package's engines beside a plain script and nnU-Net's predictor.

    python benchmarks/predict.py                                     # U-Net and U-Net++, every engine that is installed
    python benchmarks/predict.py --nnunet-python VENV/bin/python     # that environment holds nnunetv2 (and this package's needs)
    python benchmarks/predict.py --counts 10 100 1000 --write docs/benchmarks.md                 # and `medseg predict` in fresh processes
    python benchmarks/predict.py --only unet-resnet34 --images 6 --rounds 3                      # one network: minutes, also with AVX2

Photographs are generated, 1022 wide and 767 high; networks see 256 x 256. Every way of predicting is a process of its own that stays
ready, so that its start and its preparations are not counted, and they take turns: in each round each does all photographs once. The
ratio is the median over rounds of (the other's seconds / ours). Seconds are of the clock; with one thread they are processor time, which
other programs do not lengthen.

Ours is a bundle's inference.json. The plain script is what a tutorial has: Pillow, the network in float32 under no_grad, one image at a
time, sigmoid, resized back, Pillow again. It runs once with our own network and weights, and once with the network of that class from
segmentation_models.pytorch: with the same encoder as ours, or with its default one where ours has no such encoder (the half stems, the
networks of docs/results/isic2017.md). nnU-Net's predictor runs our network and weights too, without mirroring, with a target spacing at
which it sees 256 x 256. It takes arrays, one by one: it refuses JPEG, and its prediction of folders starts processes anew in every call.

Start-up, memory and the cost of many or large photographs are those of `medseg predict` in fresh processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import write_section
from PIL import Image
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parent.parent
SIZE, PHOTO = (256, 256), (1022, 767)
FIT_STEPS, FIT_SIZE, FITTED = 100, 64, 0.03
"""Steps of training at most, side of its pictures, and the mean loss of the last 10 steps at which it ends."""
PLAIN, NNUNET, SMP = "plain script", "nnU-Net's predictor", "plain script, smp"
OURS = {
    "torch": {"engine": "torch"},
    "torch, fp32": {"engine": "torch", "precision": "fp32"},
    "onnx, fp32": {"engine": "onnx", "precision": "fp32"},
    "openvino": {"engine": "openvino"},
    "openvino, fp32": {"engine": "openvino", "precision": "fp32"},
}
NEEDED = {
    "onnx, fp32": "onnxruntime",
    "openvino": "openvino",
    "openvino, fp32": "openvino",
    SMP: "segmentation_models_pytorch",
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "unet": {"title": "U-Net 32-512", "name": "UNet", "features": [32, 64, 128, 256, 512]},
    "unetpp": {"title": "U-Net++ 16-256", "name": "UNetPlusPlus", "features": [16, 32, 64, 128, 256]},
    "unet-half": {
        "title": "U-Net 32-512, half stem",
        "name": "UNet",
        "features": [32, 64, 128, 256, 512],
        "stem_stride": 2,
        "smp": "Unet",
    },
    "unetpp-half": {
        "title": "U-Net++ 16-256, half stem",
        "name": "UNetPlusPlus",
        "features": [16, 32, 64, 128, 256],
        "stem_stride": 2,
        "smp": "UnetPlusPlus",
    },
    "unet-resnet34": {"title": "U-Net, resnet34", "name": "UNet", "encoder": "resnet34", "smp": "Unet"},
    "unetpp-resnet34": {
        "title": "U-Net++, resnet34, one head",
        "name": "UNetPlusPlus",
        "encoder": "resnet34",
        "deep_supervision": False,
        "smp": "UnetPlusPlus",
    },
}
SMP_ENCODER = "resnet34"  # segmentation_models.pytorch's own default


# --- what is prepared before: photographs, and networks that find something in them


def make_photographs(folder: Path, count: int, size: tuple[int, int] = PHOTO) -> list[Path]:
    """Generated photographs as JPEG."""
    from medseg_monai.prepare.demo import prepare_demo

    if not (folder / "dataset.json").is_file():
        prepare_demo(folder, n=max(count, 12), size=size)
    jpegs = folder / "jpegs"
    jpegs.mkdir(exist_ok=True)
    for source in sorted((folder / "images").iterdir())[:count]:
        with Image.open(source) as image:
            image.convert("RGB").save(jpegs / f"{source.stem}.jpg", quality=90)
    return sorted(jpegs.iterdir())[:count]


def build(key: str, *, smp: bool = False) -> nn.Module:
    """A network of the table, untrained."""
    facts = ARCHITECTURES[key]
    torch.manual_seed(0)
    if smp:
        import segmentation_models_pytorch

        network: nn.Module = getattr(segmentation_models_pytorch, facts["smp"])(SMP_ENCODER, encoder_weights=None)
        return network
    from medseg_monai import networks

    network = getattr(networks, facts["name"])(**arguments(key))
    return network


def arguments(key: str) -> dict[str, Any]:
    """Arguments of our network."""
    own = {name: value for name, value in ARCHITECTURES[key].items() if name not in ("title", "name", "smp")}
    return {"in_channels": 3, "out_channels": 1, **own}


def fit(network: nn.Module, photographs: Path) -> nn.Module:
    """A short training, so that masks are masks: noise would cost more to write, and no network in bfloat16 agrees with a guess."""
    from medseg_monai.dataset import read_dataset

    dataset = read_dataset(photographs)
    cases = dataset.cases("training")
    images = torch.stack([as_input(case["image"], (FIT_SIZE, FIT_SIZE)) for case in cases])
    labels = torch.stack([_small(case["label"]) for case in cases])
    optimiser = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, FIT_STEPS)
    last: deque[float] = deque(maxlen=10)
    for step in range(FIT_STEPS):
        if len(last) == last.maxlen and statistics.fmean(last) < FITTED:
            break
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(step))[:4]
        heads: Tensor | list[Tensor] = network(images[chosen])
        losses = [
            F.binary_cross_entropy_with_logits(head, labels[chosen])
            for head in ([heads] if isinstance(heads, Tensor) else heads)
        ]
        optimiser.zero_grad()
        loss = torch.stack(losses).sum()
        loss.backward()
        optimiser.step()
        falling.step()
        last.append(float(loss.detach()) / len(losses))
    return network.eval()


def _small(label: Path | str) -> Tensor:
    with Image.open(label) as mask:
        small = np.asarray(mask.convert("L").resize((FIT_SIZE, FIT_SIZE)))
    return torch.from_numpy(small.T > 127)[None].float()


def prepare(work: Path, key: str, photographs: Path) -> Path:
    """A folder with our weights and spec.json, and smp's weights where it has such a network."""
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.dataset import DatasetSpec

    folder = work / key
    if not (folder / "model.pt").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        name = ARCHITECTURES[key]["name"]
        spec = DatasetSpec(
            name="benchmark", task="binary", classes=("lesion",), channels=("red", "green", "blue"), size=SIZE
        )
        Trained(spec, {"_target_": f"medseg_monai.networks.{name}", **arguments(key)}, "unetpp").write(folder)
        torch.save(fit(build(key), photographs).state_dict(), folder / "model.pt")
    theirs = smp_weights(folder, key)
    if "smp" in ARCHITECTURES[key] and find_spec("segmentation_models_pytorch") and not theirs.is_file():
        torch.save(fit(build(key, smp=True), photographs).state_dict(), theirs)
    return folder


def smp_weights(folder: Path, key: str) -> Path:
    """Where the weights of smp's network lie, beside the folder of ours: two of ours may stand beside one of theirs."""
    return folder.with_name(f"smp {ARCHITECTURES[key].get('smp')}.pt")


# --- the ways: each a function that does all photographs once


def as_input(file: Path | str, size: tuple[int, int] = SIZE) -> Tensor:
    """A photograph as networks take it: (3, W, H), this package's axis order, (value / 255 - 0.5) / 0.25."""
    with Image.open(file) as image:
        small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(small, np.float32) / 255).sub(0.5).div(0.25).permute(2, 1, 0).contiguous()


def plain_way(network: nn.Module, out: Path) -> Callable[[Sequence[Path]], None]:
    """The plain script."""

    @torch.no_grad()
    def run(files: Sequence[Path]) -> None:
        for file in files:
            with Image.open(file) as image:
                width, height = image.size
            probabilities = network(as_input(file)[None]).sigmoid()
            full = F.interpolate(probabilities, size=(width, height), mode="bilinear", align_corners=False)
            Image.fromarray((full[0, 0].T > 0.5).numpy().astype(np.uint8) * 255).save(out / f"{file.stem}.png")

    return run


def our_way(weights: Path, out: Path, folder: Path, options: dict[str, Any]) -> Callable[[Sequence[Path]], None]:
    """inference.json, made ready once."""
    from monai.bundle import ConfigWorkflow

    bundle = REPOSITORY / "bundles" / "unetpp"
    given = {"bundle_root": str(bundle), "dataset_dir": str(folder), "weights": str(weights), "output_dir": str(out)}
    config = str(bundle / "configs" / "inference.json")
    workflow = ConfigWorkflow(config, workflow_type="infer", logging_file=False, overwrite=True, **given, **options)
    workflow.initialize()
    evaluator = workflow.parser.get_parsed_content("evaluator")
    return lambda files: evaluator.run()


def nnunet_way(network: nn.Module, out: Path) -> Callable[[Sequence[Path]], None]:
    """nnU-Net's predictor, fed with arrays."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, str(out))
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    class WithBackground(nn.Module):
        """Two channels whose softmax is the network's sigmoid, and value / 255 as it expects."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            logits = self.network((x - 0.5) / 0.25)
            return torch.cat([torch.zeros_like(logits), logits], dim=1)

    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    plans = PlansManager(_plans())
    labels = {
        "channel_names": dict.fromkeys("012", "RGB"),
        "labels": {"background": 0, "lesion": 1},
        "file_ending": ".png",
    }
    model = WithBackground()
    predictor.manual_initialization(
        model, plans, plans.get_configuration("2d"), [model.state_dict()], labels, "nnUNetTrainer", None
    )

    def run(files: Sequence[Path]) -> None:
        for file in files:
            with Image.open(file) as image:
                array = np.asarray(image.convert("RGB"), np.float32).transpose(2, 1, 0)[:, None]
            mask = predictor.predict_single_npy_array(array, {"spacing": [999, 1, 1]}, None, None, False)
            Image.fromarray(mask[0].T.astype(np.uint8) * 255).save(out / f"{file.stem}.png")

    return run


def _plans() -> dict[str, Any]:
    """nnU-Net's plans for photographs of `PHOTO` at which its network sees `SIZE`."""
    resampling: dict[str, Any] = {}
    for kind, order, is_seg in (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False)):
        resampling[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        resampling[f"resampling_fn_{kind}_kwargs"] = {
            "is_seg": is_seg,
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    configuration = {
        "data_identifier": "benchmark",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": list(SIZE),
        "median_image_size_in_voxels": list(SIZE),
        "spacing": [PHOTO[0] / SIZE[0], PHOTO[1] / SIZE[1]],
        "normalization_schemes": ["RGBTo01Normalization"] * 3,
        "use_mask_for_norm": [False] * 3,
        "batch_dice": False,
        "architecture": {"network_class_name": "given", "arch_kwargs": {}, "_kw_requires_import": []},
        **resampling,
    }
    return {
        "dataset_name": "benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [999, 1, 1],
        "original_median_shape_after_transp": [1, *PHOTO],
        "image_reader_writer": "NaturalImage2DIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}, "1": {}, "2": {}},
    }


# --- processes that stay ready


def work_on_demand(way: str, key: str, weights: Path, folder: Path, out: Path) -> None:
    """What a process does: make ready, then do all photographs for each line that comes, and answer with the seconds."""
    files = sorted(folder.glob("*.jpg"))
    out.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print goes elsewhere
        if way in OURS:
            run = our_way(weights, out, folder, OURS[way])
        else:
            network = build(key, smp=way == SMP)
            state = torch.load(smp_weights(weights, key) if way == SMP else weights / "model.pt", weights_only=True)
            network.load_state_dict(state)
            run = (nnunet_way if way == NNUNET else plain_way)(network.eval(), out)
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        for _ in sys.stdin:
            start = clock()
            run(files)
            print(clock() - start, file=answers, flush=True)


class Ready:
    """A process that does all photographs when told."""

    def __init__(
        self, python: str, *, way: str, key: str, weights: Path, folder: Path, out: Path, threads: int
    ) -> None:
        command = [python, "-W", "ignore", __file__, "--worker", way, key, str(weights), str(folder), str(out)]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )

    def seconds(self) -> float:
        """Do all photographs once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.log.seek(0)
            raise RuntimeError(self.log.read()[-2000:])
        return float(answer)

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def ways_of(key: str, nnunet_python: str | None) -> Iterator[tuple[str, str]]:
    """(way, Python) of what can run here."""
    for way in (*OURS, PLAIN, SMP, NNUNET):
        if way in NEEDED and find_spec(NEEDED[way]) is None:
            continue
        if way == SMP and "smp" not in ARCHITECTURES[key]:
            continue
        if way != NNUNET:
            yield way, sys.executable
        elif nnunet_python:
            yield way, nnunet_python


def contest(key: str, options: argparse.Namespace, work: Path, photographs: Path) -> list[str]:
    """The rows of one network."""
    weights = prepare(work, key, photographs)
    folder = photographs / "jpegs"
    count = len(list(folder.glob("*.jpg")))
    ready = {
        way: Ready(
            python,
            way=way,
            key=key,
            weights=weights,
            folder=folder,
            out=work / "out" / f"{key} {way}",
            threads=options.threads,
        )
        for way, python in ways_of(key, options.nnunet_python)
    }
    for process in ready.values():
        process.seconds()  # makes ready
    rounds = [{way: process.seconds() for way, process in ready.items()} for _ in range(options.rounds)]
    for process in ready.values():
        process.end()
    rows = []
    for way in ready:
        cells = [ARCHITECTURES[key]["title"], way, f"{count / statistics.median(r[way] for r in rounds):.1f}"]
        for other in (PLAIN, SMP, NNUNET):
            ours = way in OURS and other in ready
            cells.append(f"{statistics.median(r[other] / r[way] for r in rounds):.2f}" if ours else "")
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return rows


# --- `medseg predict` in fresh processes


def fresh(folder: Path, weights: Path, out: Path, threads: int) -> tuple[float, float, float]:
    """Seconds in all, seconds until the first mask is there, and peak memory in MB, of one `medseg predict`."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "medseg_monai",
        "predict",
        "unetpp",
        str(folder),
        "-w",
        str(weights),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(REPOSITORY)}
    began, start = time.time(), time.perf_counter()
    process = subprocess.Popen(
        [*command, "--out", str(out)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    first = min(file.stat().st_mtime for file in out.rglob("*_mask.png")) - began
    return seconds, first, usage.ru_maxrss / 1024


def links(photographs: Sequence[Path], folder: Path, count: int) -> Path:
    """A folder with `count` links to the photographs in turn."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05d}.jpg").symlink_to(photographs[number % len(photographs)].resolve())
    return folder


def scaling(options: argparse.Namespace, work: Path, photographs: Sequence[Path]) -> list[str]:
    """Rows of start-up, count and size, with U-Net++ and engine torch."""
    weights = prepare(work, "unetpp", photographs[0].parent.parent)
    rows = []
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        here = Path(temporary)
        cases = [(f"{count} of {PHOTO[0]}x{PHOTO[1]}", photographs, count) for count in (1, *options.counts)]
        for size in ((256, 192), (3000, 2250)):
            others = make_photographs(work / f"photographs-{size[0]}", 12, size)
            cases.append((f"{options.counts[0]} of {size[0]}x{size[1]}", others, options.counts[0]))
        fresh(links(photographs, here / "warm", 1), weights, here / "warm out", options.threads)  # fills the caches
        for number, (title, sources, count) in enumerate(cases):
            folder = links(sources, here / f"in {number}", count)
            seconds, first, memory = fresh(folder, weights, here / f"out {number}", options.threads)
            rows.append(
                f"| {title} | {seconds:.1f} | {first:.1f} | {1000 * (seconds - first) / max(1, count - 1):.0f} | {memory:.0f} |"
            )
            print(rows[-1], flush=True)
    return rows


def section(options: argparse.Namespace, rows: Sequence[str], more: Sequence[str], count: int) -> str:
    """The Markdown section."""
    packages = ["torch", "monai", "onnxruntime", "openvino", "segmentation-models-pytorch"]
    libraries = ", ".join(f"{name} {version(name)}" for name in packages if find_spec(name.replace("-", "_")))
    if options.nnunet_python:
        asked = "from importlib.metadata import version; print(version('nnunetv2'))"
        libraries += f", nnunetv2 {subprocess.check_output([options.nnunet_python, '-c', asked], text=True).strip()}"
    clock = "processor time" if options.threads == 1 else "the clock"
    lines = [
        f"## Prediction, {torch.backends.cpu.get_cpu_capability()}",
        "",
        "```bash",
        " ".join(["python", "benchmarks/predict.py", *sys.argv[1:]]),
        "```",
        "",
        f"From JPEG ({PHOTO[0]}x{PHOTO[1]}) to mask PNG of that size, all included; networks see {SIZE[0]}x{SIZE[1]}. {count} photographs, "
        f"{options.threads} threads, seconds by {clock}, {options.rounds} rounds in which the ways take turns, each a process that is "
        "ready; medians. The last columns: how many times faster than the plain script with the same network and weights, than the plain "
        "script with "
        f"segmentation_models.pytorch's network of that class ({SMP_ENCODER}), than nnU-Net's predictor with the same network and "
        f"weights (no mirroring). {_cpu()}; Python {platform.python_version()}, {libraries}.",
        "",
        "| network | way | images/s | x plain | x smp | x nnU-Net |",
        "|---|---|--:|--:|--:|--:|",
        *rows,
    ]
    if more:
        lines += [
            "",
            f"`medseg predict` in a fresh process, {ARCHITECTURES['unetpp']['title']}, engine torch:",
            "",
            "| photographs | seconds in all | until the first mask | ms per further one | peak memory (MB) |",
            "|---|--:|--:|--:|--:|",
            *more,
        ]
    return "\n".join(lines)


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(ARCHITECTURES), default=list(ARCHITECTURES))
    parser.add_argument("--images", type=int, default=24, help="photographs per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--counts",
        nargs="*",
        type=int,
        default=[],
        help="photographs per run in a fresh process, such as 10 100 1000; by default none",
    )
    parser.add_argument("--nnunet-python", help="Python of an environment with nnunetv2")
    parser.add_argument("--work", type=Path, help="folder for photographs and weights, kept")
    parser.add_argument("--write", type=Path, help="Markdown file to put the section into")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write if asked."""
    options = parse()
    if options.worker:
        way, key, *paths = options.worker
        work_on_demand(way, key, *map(Path, paths))
        return
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        os.environ["MEDSEG_CACHE"] = str(work / f"cache {torch.backends.cpu.get_cpu_capability()}")
        photographs = make_photographs(work / "photographs", options.images)
        rows = [row for key in options.only for row in contest(key, options, work, work / "photographs")]
        more = scaling(options, work, photographs) if options.counts else []
    text = section(options, rows, more, len(photographs))
    print(f"\n{text}")
    if options.write:
        write_section(options.write, text)


if __name__ == "__main__":
    main()
