"""What a map costs: time and memory of one class and layer at 256 x 256, as multiples of one forward pass.

    python benchmarks/explain.py

Both are measured in turn, on one thread, on the networks that the bundles train by default; the forward pass runs without gradients,
as prediction does. Memory is the largest sum of tensors alive at once, above the weights, by torch's own profiler.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from medseg_monai.bundle.paths import list_bundles
from medseg_monai.bundle.trained import untrained
from medseg_monai.explain.maps import Method, explain

CASES: tuple[tuple[Method, str], ...] = (
    ("cam", "last_stage"),
    ("gradcam", "bottleneck"),
    ("gradcam", "last_stage"),
    ("gradcampp", "bottleneck"),
)


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that is allocated at once while `call` runs, on the CPU."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    alive = highest = 0
    for event in sorted(profiled.profiler.kineto_results.events(), key=lambda event: event.start_ns()):  # type: ignore[union-attr]
        if event.name() == "[memory]":
            alive += event.nbytes()
            highest = max(highest, alive)
    return highest


def main() -> None:
    """Print a table for every 2D bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | forward ms | " + " | ".join(f"{method} {layer}" for method, layer in CASES) + " |")
    print("| --- | --- |" + " --- |" * len(CASES))
    for bundle in list_bundles():
        trained = untrained(bundle)
        if trained.dataset.spatial_dims == 2:
            print(row(bundle.name, trained.build_network().eval(), options.size, options.repeats), flush=True)


def row(name: str, network: nn.Module, size: int, repeats: int) -> str:
    """Times and peak memory of a network's maps over those of its forward pass."""
    image = torch.randn(1, 3, size, size)
    region = torch.zeros(size, size)
    region[size // 4 : size // 2, size // 4 : size // 2] = 1

    def forward() -> None:
        with torch.no_grad():
            network(image)

    calls: dict[str, Callable[[], object]] = {"forward": forward}
    for method, layer in CASES:
        calls[f"{method} {layer}"] = lambda method=method, layer=layer: explain(  # type: ignore[misc]
            network, image, channel=0, region=region, method=method, layer=layer
        )
    for call in calls.values():
        call()
    # in turn, so that a slow spell of the machine meets all alike
    times = [{key: seconds(call) for key, call in calls.items()} for _ in range(repeats)]
    memory = {key: peak_bytes(call) for key, call in calls.items()}
    cells = [f"{1000 * statistics.median(turn['forward'] for turn in times):.0f}"]
    for key in list(calls)[1:]:
        ratio = statistics.median(turn[key] / turn["forward"] for turn in times)
        cells.append(f"{ratio:.1f}x time, {memory[key] / memory['forward']:.1f}x memory")
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
