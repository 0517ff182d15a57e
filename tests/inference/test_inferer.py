"""What runs a network on whole cases: windows for volumes, views around them, and sizes that no machine has the memory for."""

import os

import pytest
import torch
from torch import nn

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines import EngineInferer
from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.inference.averaging import AveragedViews
from medseg_monai.inference.inferer import (
    case_inferer,
    cases_at_once,
    check_memory,
    preparation_seconds,
    windows_at_once,
)
from medseg_monai.inference.windows import SlidingWindow

FLAT = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))
DEEP = DatasetSpec(
    "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=Intensity("zscore")
)


def test_the_factory_chooses_by_the_data_set() -> None:
    assert isinstance(case_inferer(FLAT, precision="fp32", device="cpu"), PrecisionInferer)
    windows = case_inferer(DEEP, precision="fp32", device="cpu", overlap=0.25, at_once=3)
    assert isinstance(windows, SlidingWindow)
    assert (windows.size, windows.overlap, windows.at_once) == ((8, 8, 8), 0.25, 3)


@pytest.mark.parametrize(
    ("window", "cores", "device", "count"),
    [
        ((64, 64, 64), 2, "cpu", 2),
        ((96, 96, 96), 16, "cpu", 4),
        ((160, 160, 160), 16, "cpu", 1),
        ((512, 512, 512), 8, "cpu", 1),
        ((64, 64, 64), 8, "cuda", 1),
    ],
)
def test_each_core_has_a_window_as_far_as_the_memory_goes(
    window: tuple[int, ...], cores: int, device: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    assert windows_at_once(window, device) == count


def test_engines_get_a_batch_of_windows_and_training_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    counts = [case_inferer(DEEP, precision="fp32", device="cpu", engine=engine).at_once for engine in ("plain", None)]  # type: ignore[attr-defined]
    assert counts == [2, 1]


def test_windows_can_all_be_run() -> None:
    inferer = case_inferer(DEEP, precision="fp32", device="cpu", pass_over_empty=False)
    assert isinstance(inferer, SlidingWindow)
    assert not inferer.pass_over_empty


@pytest.mark.parametrize(("wanted", "flat"), [(1, 1), (8, 8), (1000, 1000)])
def test_volumes_come_one_by_one(wanted: int, flat: int) -> None:
    assert (cases_at_once(FLAT, wanted), cases_at_once(DEEP, wanted)) == (flat, 1)


@pytest.mark.parametrize("spec", [FLAT, DEEP], ids=["photographs", "volumes"])
def test_the_engine_is_found_within_views_and_windows(spec: DatasetSpec) -> None:
    inferer = case_inferer(spec, precision="fp32", device="cpu", engine="plain", tta="flips")
    assert isinstance(inferer, AveragedViews)
    engine = inferer.inferer.run if spec is DEEP else inferer.inferer  # type: ignore[attr-defined]
    assert isinstance(engine, EngineInferer)
    engine.preparation_seconds = 2.5
    assert preparation_seconds(inferer) == 2.5
    assert preparation_seconds(case_inferer(spec, precision="fp32", device="cpu")) == preparation_seconds(None) == 0


def test_views_of_a_network_without_context_are_its_answer() -> None:
    network = nn.Conv2d(1, 1, 1)
    image = torch.rand(1, 1, 32, 32)
    inferer = case_inferer(FLAT, precision="fp32", device="cpu", tta="flips")
    with torch.no_grad():
        assert torch.allclose(inferer(image, network), network(image), atol=1e-5)


@pytest.mark.parametrize(("pages", "fits"), [(8192, True), (8191, False)])
def test_a_size_is_refused_if_an_image_and_its_answer_need_more_than_there_is(
    pages: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(2048, 2048))
    there = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": pages}  # 2 channels x 2048^2 values x 4 bytes are 8192 pages
    monkeypatch.setattr(os, "sysconf", lambda name: there[name], raising=False)
    if fits:
        check_memory(large)
    else:
        with pytest.raises(ValueError, match="one image of 2048 x 2048 needs at least 0 GB of memory"):
            check_memory(large)
