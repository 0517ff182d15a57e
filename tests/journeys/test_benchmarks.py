"""Benchmarks run, on inputs as small as they take: their parts in this process, without the repetitions that make figures of them."""

from __future__ import annotations

import argparse
import copy
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.networks import UNet

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(request.param)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", [name], indirect=True)


@of("volumes")
def test_volumes(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    work = tmp_path / "work"
    small = argparse.Namespace(shape=[32, 32, 20], spacing=24.0, window=[8, 8, 8], norm="batch", steps=2)
    module.prepare(work, small)
    maps = []
    for way in (module.OURS, module.CROPPED):
        found = module.work_once(way, work, tmp_path / way)
        assert 0 < found["windows"] <= found["seconds"]
        maps.append(module.label_map(tmp_path / way))
    assert {labels.shape for labels in maps} == {(32, 32, 20)}
    monkeypatch.setattr(module, "in_process", lambda way, work: module.work_once(way, work, work))
    rows = [row.strip("| ").split(" | ") for row in module.alone_rows(work)]
    assert [row[1] for row in rows] == list(module.ALONE)
    assert all(float(row[2]) >= 0 for row in rows)
    assert rows[2][4:6] == rows[1][4:6]  # pages change nothing
    assert rows[5][4:6] == ["1.00000", "0.0000 %"]  # with the same windows and weights the masks are the same


@of("windows")
def test_windows(module: ModuleType) -> None:
    for who in (module.OURS, module.THEIRS):
        assert sum(module.work_once(who, 16)) > 0


@of("volumes")
def test_measures_of_label_maps(module: ModuleType) -> None:
    first, second = np.array([[[1, 1, 2, 0]]]), np.array([[[1, 0, 2, 0]]])
    assert module.dice(first, second) == [pytest.approx(2 / 3), 1, 1, 1, 1]
    near, there, *lacking = module.distances(first, second, (1, 1, 3))
    assert (near, there) == (pytest.approx(1), 0)  # 0, 3 and 0 mm
    assert np.isnan(lacking).all()


@of("volumes")
def test_air_is_added_until_windows_of_half_their_size_apart_end_with_the_volume(module: ModuleType) -> None:
    volume = torch.arange(5.0 * 8 * 3).reshape(1, 5, 8, 3) + 7
    more = module.grown(volume, (4, 4, 4))
    assert more.shape == (1, 6, 8, 4)
    assert torch.equal(more[:, :5, :, :3], volume)
    assert float(more.sum()) == float(volume.sum()) + 7 * (6 * 8 * 4 - 5 * 8 * 3)


@of("ct_network")
def test_the_network_of_a_ct_is_the_same_whatever_freed_memory_holds(module: ModuleType) -> None:
    """Two voxels are left at its lowest level here, where torch's bfloat16 reads memory that nobody has written."""
    torch.manual_seed(0)
    cases = [{"image": torch.randn(1, 16, 16, 16), "label": torch.randint(0, 6, (1, 16, 16, 16), dtype=torch.uint8)}]
    start = UNet(1, 6, features=(16, 32, 64, 128), spatial_dims=3)
    learnt = []
    for _ in range(3):
        dirt = [torch.full((int(1000 * 1.3**step),), torch.nan) for step in range(30) for _ in range(3)]
        del dirt
        learnt.append(module.fit(copy.deepcopy(start), cases, 3).state_dict())
    assert all(torch.equal(learnt[0][name], other[name]) for other in learnt[1:] for name in other)


@of("ct_network")
def test_both_readings_of_a_scan_lie_in_the_same_range(module: ModuleType, tmp_path: Path) -> None:
    """The network's: -2 to 2. One half of what a script's reading makes of the scan was once 0 to 1."""
    small = argparse.Namespace(shape=[32, 32, 20], spacing=24.0, window=[8, 8, 8], norm="batch", steps=0)
    module.prepare(tmp_path, small)
    readings = [module.our_reading(tmp_path, label=True), module.script_reading(tmp_path)]
    for case in readings:
        assert float(case["image"].min()) == pytest.approx(-2, abs=1e-4)
        assert 1 < float(case["image"].max()) <= 2 + 1e-4
        assert case["image"].shape == case["label"].shape
        assert set(case["label"].unique().tolist()) <= set(range(6))
    means = [float(case["image"][case["label"] > 0].mean()) for case in readings]
    assert means[0] == pytest.approx(means[1], abs=0.1)


@of("volume_patches")
def test_volume_patches(module: ModuleType, tmp_path: Path) -> None:
    case = module.write_scan(tmp_path, (32, 32, 20))
    line = module.row(case, (16, 16, 20), (8, 8, 8), tmp_path / "cache", 1)
    assert line.startswith("| 16 x 16 x 20 | ")
    assert all(float(cell) >= 0 for cell in line.strip("| ").split(" | ")[2:])
    assert module.step((16, 16, 16), 1) > 0


@of("networks")
@pytest.mark.parametrize("mode", ["train", "inference"])
def test_networks(module: ModuleType, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.SIZES, mode, (2, 3, 32, 32))
    network = module.CONTESTS["resunetpp"]
    contest = module.Contest("ResUNet++ beside itself", network.ours, network.ours, "itself")
    ours, peer, ratio = module.take_turns(contest, mode, rounds=1)
    assert ours > 0
    assert peer > 0
    assert ratio == pytest.approx(ours / peer)


@of("networks")
def test_a_section_takes_the_place_of_that_of_the_same_heading(module: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    for section in ("## A, AVX2\n\none", "## A, AVX512\n\ntwo", "## A, AVX2\n\nthree"):
        module.write_section(file, section)
    assert file.read_text() == "# Benchmarks\n\n## A, AVX2\n\nthree\n\n## A, AVX512\n\ntwo\n"


@of("predict")
def test_predict(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIT_STEPS", 1)
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    files = module.make_photographs(tmp_path / "photographs", 2, (96, 64))
    weights = module.prepare(tmp_path / "work", "unetpp-half", tmp_path / "photographs")
    network = module.build("unetpp-half")
    network.load_state_dict(torch.load(weights / "model.pt", weights_only=True))
    mine, theirs = tmp_path / "ours", tmp_path / "plain"
    theirs.mkdir()
    module.our_way(weights, mine, files[0].parent, {"engine": "torch"})(files)
    module.plain_way(network.eval(), theirs)(files)
    for folder in (mine, theirs):
        sizes = []
        for file in folder.rglob("*.png"):
            with Image.open(file) as mask:
                sizes.append(mask.size)
        assert sizes.count((96, 64)) == 2


@of("predict")
def test_a_fit_ends_when_the_masks_are_found(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FITTED", 100.0)
    module.make_photographs(tmp_path, 1, (32, 32))
    steps: list[int] = []

    class Known(torch.nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            steps.append(1)
            return super().forward(input)

    module.fit(Known(3, 1, 1), tmp_path)
    assert len(steps) == 10


@of("explain")
def test_explain(module: ModuleType) -> None:
    line = module.row("small", UNet(3, 1, features=(4, 8)).eval(), 32, 1)
    assert line.startswith("| small | ")
    assert line.count("|") == 3 + len(module.CASES)


@of("intervals")
def test_intervals(module: ModuleType) -> None:
    found = module.coverage(lambda generator, shape: generator.normal(0.5, 0.01, shape), 0.5, 1.0, cases=8, repeats=4)
    assert set(found) == set(module.METHODS)
    assert all(0 <= share <= 1 and 0 < length < 0.1 for share, length in found.values())


def test_datapath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("albumentations")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("datapath")
    cases = module.generated_cases(tmp_path, count=2, width=40, height=30)
    options = argparse.Namespace(size=32, batch=2, rounds=1, images=None)
    assert module.measured_table(cases, tmp_path, options).count("\n| ") == 8


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCHMARKS.glob("*.py")))
def test_each_fits_the_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it imports is there; skipped if a peer is not installed."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("medseg_monai") or error.name is None:
            raise
        pytest.skip(f"{error.name} is not installed")
