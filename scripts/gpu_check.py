"""What a GPU does with these networks, in one run of a few minutes: speed beside peers, memory, agreement, determinism, a training.

    python scripts/gpu_check.py --dataset data/isic2017 --out gpu              # gpu/gpu.md and gpu/gpu.json; 8 minutes at most
    python scripts/gpu_check.py --device cpu --small --out trial               # the same steps on a CPU, tiny: to see whether it runs

Parts: train steps and inference of each network in float32, TF32, float16 and bfloat16 beside segmentation_models.pytorch's and MONAI's
(`benchmarks/networks.py` says which); memory layouts, torch.compile and CUDA graphs; masks in lower precision compared with float32's;
two trainings with one seed; and U-Net on ISIC at 256 x 256 for the time that is left. A part that fails is reported, and the others are
done; what there is no time for is named. GPU utilisation is nvidia-smi's, every half second.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "benchmarks"), str(REPOSITORY)]

from networks import CONTESTS, Build  # noqa: E402

from medseg_monai.networks import UNet  # noqa: E402

COMPARED = ("unet", "unetpp", "unet-resnet34", "unetpp-resnet34", "pspnet-smp", "deeplabv3plus-smp", "resunetpp")
PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "tf32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
ROUNDS = 7
LEAST_SECONDS = 60.0
"""For the training; below that it is left out."""


@dataclass
class Check:
    """The run: where, how much, until when, and what was found.

    Attributes:
        device: where the networks run.
        batch, side: of the train steps.
        small: tiny sizes, to see whether all of it runs.
        end: when it has to be done, by `time.monotonic`.
        dataset: folder with dataset.json for the trainings; None for generated photographs.
        out: folder for what is trained and reported.
        tables: title -> rows, the first one the header.
        failures: part -> error.
        left_out: parts for which there was no time.
    """

    device: torch.device
    batch: int
    side: int
    small: bool
    end: float
    dataset: Path | None
    out: Path
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def images(self, batch: int) -> Tensor:
        """A batch of noise on the device."""
        return torch.randn(batch, 3, self.side, self.side, device=self.device)

    def networks(self) -> Sequence[str]:
        """Those that are compared."""
        return COMPARED[:1] if self.small else COMPARED


@contextmanager
def computed_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in float32, with TF32 for its products, or under autocast."""
    dtype = PRECISIONS[precision]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        yield


def milliseconds(call: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median time of a call, until the device has done it; after three that are not counted."""
    times = []
    for number in range(rounds + 3):
        finish(device)
        began = time.perf_counter()
        call()
        finish(device)
        if number >= 3:
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def finish(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def megabytes(call: Callable[[], object], device: torch.device) -> str:
    """Peak memory of a call on a GPU."""
    if device.type != "cuda":
        return "–"
    torch.cuda.reset_peak_memory_stats(device)
    call()
    finish(device)
    return f"{torch.cuda.max_memory_allocated(device) / 1e6:.0f}"


# --- parts


def steps(check: Check) -> None:
    """Train steps and inference of each network, ours beside its peer, in every precision."""
    rows = check.tables["Networks, ms a train step and a batch of inference"] = [
        ["network", "precision", "train step", "peer's", "ratio", "inference", "peer's", "ratio", "peak MB", "peer's"]
    ]
    for name in check.networks():
        for precision in PRECISIONS:
            if (check.device.type == "cpu" and precision in ("tf32", "fp16")) or check.left < LEAST_SECONDS:
                continue
            ours = _timed(CONTESTS[name].ours, check, precision, "channels last")
            peer = _faster_peer(CONTESTS[name].peer, check, precision)
            rows.append([CONTESTS[name].title, precision, *_side_by_side(ours, peer)])


def _faster_peer(build: Build | None, check: Check, precision: str) -> tuple[float, float, str] | None:
    """The peer in the layout in which its train step is faster."""
    if build is None:
        return None
    try:
        return min(_timed(build, check, precision, layout) for layout in LAYOUTS)
    except ImportError:
        return None


def _timed(build: Build, check: Check, precision: str, layout: str) -> tuple[float, float, str]:
    """Milliseconds of a train step and of inference, and the step's peak memory."""
    rounds = 1 if check.small else ROUNDS
    step, infer = _step(build, check, precision, layout), _inference(build, check, precision, layout)
    return (
        milliseconds(step, check.device, rounds),
        milliseconds(infer, check.device, rounds),
        megabytes(step, check.device),
    )


def _side_by_side(ours: tuple[float, float, str], peer: tuple[float, float, str] | None) -> list[str]:
    cells = []
    for place in (0, 1):
        mine = float(ours[place])
        cells += [
            f"{mine:.1f}",
            *([f"{float(peer[place]):.1f}", f"{mine / float(peer[place]):.2f}"] if peer else ["", ""]),
        ]
    return [*cells, ours[2], peer[2] if peer else ""]


def _step(build: Build, check: Check, precision: str, layout: str) -> Callable[[], None]:
    torch.manual_seed(0)
    network = build().to(check.device, memory_format=LAYOUTS[layout]).train()
    images = check.images(check.batch).contiguous(memory_format=LAYOUTS[layout])
    labels = (images[:, :1] > 0).float()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(check.device.type, enabled=precision == "fp16")

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with computed_in(precision, check.device):
            heads = network(images)
            losses = [
                nn.functional.binary_cross_entropy_with_logits(head.float(), labels)
                for head in (heads if isinstance(heads, list) else [heads])
            ]
        scaler.scale(torch.stack(losses).sum()).backward()
        scaler.step(optimiser)
        scaler.update()

    return step


def _inference(build: Build, check: Check, precision: str, layout: str) -> Callable[[], object]:
    torch.manual_seed(0)
    network = build().to(check.device, memory_format=LAYOUTS[layout]).eval()
    images = check.images(check.batch).contiguous(memory_format=LAYOUTS[layout])

    @torch.inference_mode()
    def infer() -> object:
        with computed_in(precision, check.device):
            return network(images)

    return infer


def layouts(check: Check) -> None:
    """What memory layout, torch.compile and a CUDA graph change for U-Net, in the precision that the bundles choose."""
    precision = "bf16" if check.device.type == "cuda" else "fp32"
    build: Build = (lambda: UNet(3, 1, features=(4, 8))) if check.small else (lambda: UNet(3, 1))
    rounds = 1 if check.small else ROUNDS
    rows = check.tables[f"U-Net, {precision}, ms of inference"] = [["way", "ms", "largest difference of a logit"]]
    expected = _inference(build, check, "fp32", "contiguous")()
    for name in LAYOUTS:
        infer = _inference(build, check, precision, name)
        rows.append([name, f"{milliseconds(infer, check.device, rounds):.2f}", _difference(infer(), expected)])
    for name, way in (("torch.compile", _compiled), ("CUDA graph", _graph)):
        try:
            infer = way(build, check, precision)
            rows.append([name, f"{milliseconds(infer, check.device, rounds):.2f}", _difference(infer(), expected)])
        except Exception as error:  # the compiler's errors are of many classes; the row says what happened
            rows.append([name, "failed", _line(error)])


def _compiled(build: Build, check: Check, precision: str) -> Callable[[], object]:
    return _inference(lambda: torch.compile(build()), check, precision, "channels last")  # type: ignore[arg-type, return-value]


def _graph(build: Build, check: Check, precision: str) -> Callable[[], object]:
    if check.device.type != "cuda":
        raise RuntimeError("needs a GPU")
    infer = _inference(build, check, precision, "channels last")
    stream = torch.cuda.Stream(check.device)
    with torch.cuda.stream(stream):
        for _ in range(3):
            infer()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = infer()

    def replay() -> object:
        graph.replay()
        return answer

    return replay


def _difference(found: object, expected: object) -> str:
    assert isinstance(found, Tensor)
    assert isinstance(expected, Tensor)
    return f"{float((found.float() - expected.float()).abs().max()):.2g}"


def masks(check: Check) -> None:
    """Photographs a second, and the Dice between masks in lower precision and in float32, of each bundle's shipped weights."""
    from medseg_monai.predictor import Predictor

    files = sorted((REPOSITORY / "examples").glob("*.jpg"))
    rows = check.tables["Shipped weights: photographs to masks"] = [
        ["bundle", "precision", "images/s", "lowest Dice to fp32"]
    ]
    for bundle in ("unet",) if check.small else ("unet", "unetpp", "pspnet", "deeplabv3plus", "resunetpp"):
        expected: list[Any] = []
        for precision in ("fp32", "bf16") if check.device.type == "cpu" else ("fp32", "fp16", "bf16"):
            predictor = Predictor(bundle, device=str(check.device), precision=precision)
            try:
                found = [one.mask > 0 for one in predictor.batches(files)]
            except ValueError as error:  # its masks differ too much from float32's
                rows.append([bundle, precision, "refused", _line(error)])
                continue
            expected = expected or found
            shown = files * (1 if check.small else 20)
            began = time.perf_counter()
            count = sum(1 for _ in predictor.batches(shown))
            rate = count / (time.perf_counter() - began)
            dice = min(
                2 * (mask & truth).sum() / max(1, mask.sum() + truth.sum())
                for mask, truth in zip(found, expected, strict=True)
            )
            rows.append([bundle, precision, f"{rate:.1f}", f"{dice:.5f}"])


def twice(check: Check) -> None:
    """Two trainings of two epochs with one seed: what differs between their weights."""
    from medseg_monai.bundle.trained import read_weights

    folder = check.out / "twice"
    for name in ("first", "second"):
        _train(check, folder / name, "--max-epochs", "2", "--seed", "1")
    first, second = (read_weights(folder / name / "model.pt") for name in ("first", "second"))
    differing = [key for key in first if not torch.equal(first[key], second[key])]
    most = max((float((first[key].float() - second[key].float()).abs().max()) for key in differing), default=0.0)
    check.tables["Two trainings with one seed"] = [
        ["tensors", "that differ", "largest difference"],
        [str(len(first)), str(len(differing)), f"{most:.2g}"],
    ]


def training(check: Check) -> None:
    """U-Net at 256 x 256 in the time that is left, with the GPU's utilisation."""
    folder = check.out / "training"
    given = ("--size", str(check.side), "--minutes", f"{(check.left - 20) / 60:.2f}", "--seed", "0")
    with utilisation(check.device) as used:
        _train(check, folder, *(("--max-epochs", "1") if check.small else given))
    history = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    check.tables["Training"] = [
        [*history[0], "median GPU utilisation"],
        [*history[-1], f"{statistics.median(used):.0f} %" if used else "not measured"],
    ]


def _train(check: Check, out: Path, *given: str) -> None:
    small = ("--set", "architecture#features=[4, 8]", "--size", "32", "--set", "batch_size=4") if check.small else ()
    data = () if check.dataset is None else ("-d", str(check.dataset))
    command = [sys.executable, "-m", "medseg_monai", "train", "unet", *data, "-o", str(out), *small, *given]
    ended = subprocess.run(
        [*command, "--set", f"device={check.device}"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr.strip().splitlines()[-1])


@contextmanager
def utilisation(device: torch.device) -> Iterator[list[float]]:
    """Percentages of nvidia-smi, one every half second while the block runs; none without a GPU."""
    found: list[float] = []
    done = threading.Event()
    program = shutil.which("nvidia-smi") if device.type == "cuda" else None

    def watch() -> None:
        query = [
            str(program),
            "--query-gpu=utilization.gpu",
            "--format=csv,noheader,nounits",
            "-i",
            str(device.index or 0),
        ]
        while program and not done.wait(0.5):
            said = subprocess.run(query, capture_output=True, text=True).stdout.strip()
            if said.isdigit():
                found.append(float(said))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


# --- all of them

PARTS: tuple[tuple[Callable[[Check], None], float], ...] = (
    (twice, 60.0), (masks, 60.0), (layouts, 40.0), (steps, 90.0), (training, LEAST_SECONDS),
)  # fmt: skip
"""With the seconds that each needs at least; the training takes what is left."""


def run(check: Check) -> None:
    """Every part for which there is time; one that fails does not end the others."""
    for part, needs in PARTS:
        if check.left < needs:
            check.left_out.append(part.__name__)
            continue
        print(f"{part.__name__} … ({check.left:.0f} s left)", flush=True)
        try:
            part(check)
        except Exception as error:  # whatever it is, it is in the report, and the run goes on
            traceback.print_exc()
            check.failures[part.__name__] = _line(error)
        if check.device.type == "cuda":
            torch.cuda.empty_cache()


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def machine(device: torch.device) -> dict[str, str]:
    """What computed, and with what."""
    facts = {"python": platform.python_version(), "processor": platform.processor() or platform.machine()}
    for name in ("torch", "monai", "timm", "segmentation-models-pytorch"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        facts |= {
            "GPU": f"{about.name}, {about.total_memory / 1e9:.0f} GB, compute capability {about.major}.{about.minor}",
            "CUDA": str(torch.version.cuda),
            "cuDNN": str(torch.backends.cudnn.version()),
        }
    return facts


def report(check: Check) -> str:
    """The Markdown page."""
    facts = "; ".join(f"{name} {value}" for name, value in machine(check.device).items())
    lines = [f"# On {check.device}", "", f"{facts}. Batches of {check.batch}, {check.side} x {check.side} pixels."]
    for title, (header, *rows) in check.tables.items():
        lines += ["", f"## {title}", "", _row(header), _row(["---"] * len(header)), *map(_row, rows)]
    lines += ["", *(f"**{part} failed**: {error}" for part, error in check.failures.items())]
    lines += [f"No time was left for: {', '.join(check.left_out)}."] if check.left_out else []
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--dataset", type=Path, help="folder with dataset.json; default: generated photographs")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder for the report and what is trained")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see whether it runs")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 if a part failed."""
    options = parse(arguments)
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU is visible to torch; --device cpu --small tries the same steps", file=sys.stderr)
        return 2
    if options.dataset is not None and not (options.dataset / "dataset.json").is_file():
        print(f"no dataset.json in {options.dataset}: medseg prepare writes it", file=sys.stderr)
        return 2
    batch, side = (2, 32) if options.small else (16, 256)
    end = time.monotonic() + 60 * options.minutes
    check = Check(options.device, batch, side, options.small, end, options.dataset, options.out.resolve())
    check.out.mkdir(parents=True, exist_ok=True)
    run(check)
    found = {
        "machine": machine(check.device),
        "tables": check.tables,
        "failures": check.failures,
        "left_out": check.left_out,
    }
    (check.out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")
    (check.out / "gpu.md").write_text(report(check))
    print(report(check))
    return 1 if check.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
