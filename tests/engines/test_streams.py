"""Images side by side on the cores: all of them, in order, each on its share of the threads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier, Thread, get_ident

import pytest
import torch
from torch import Tensor

from medseg_monai.engines import streams
from medseg_monai.engines.runners import torch_runner
from medseg_monai.engines.streams import side_by_side
from medseg_monai.networks import UNet


@pytest.fixture
def two_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    if torch.get_num_threads() < 2:
        pytest.skip("needs two cores")
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_all_parts_are_answered_in_order(count: int) -> None:
    parts = [torch.full((2,), float(number)) for number in range(count)]
    assert [int(answer[0]) for answer in side_by_side(lambda part: part * 10, parts)] == [
        10 * number for number in range(count)
    ]


@pytest.mark.usefixtures("two_threads")
def test_two_run_at_once_on_a_thread_each_and_one_left_over_on_both() -> None:
    together = Barrier(2, timeout=10)  # breaks unless two parts are under way at once
    seen: list[tuple[int, int]] = []

    def look(part: Tensor) -> Tensor:
        seen.append((get_ident(), torch.get_num_threads()))
        if part[0] < 2:
            together.wait()
        return part

    side_by_side(look, [torch.full((1,), float(number)) for number in range(3)])
    assert sorted(threads for _, threads in seen) == [1, 1, 2]
    assert seen[2] == (get_ident(), 2)
    assert len({ident for ident, _ in seen}) == 3


@pytest.mark.usefixtures("two_threads")
def test_threads_that_begin_later_have_the_usual_number() -> None:
    streams._streams.cache_clear()  # theirs begin now
    side_by_side(lambda part: part, [torch.zeros(1)] * 2)
    found: list[int] = []
    thread = Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [torch.get_num_threads()] == [2]


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_stream_is_raised() -> None:
    def fail(part: Tensor) -> Tensor:
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        side_by_side(fail, [torch.zeros(1)] * 2)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_batch_gives_what_its_images_give_alone(dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    network = UNet(3, 2, features=(8, 16)).eval()
    images = torch.randn(5, 3, 32, 24)
    run = torch_runner(network, dtype)
    alone = torch.cat([run(image[None]) for image in images])
    assert torch.allclose(run(images), alone, atol=1e-5 if dtype is None else 0.05)
    with torch.no_grad():
        assert torch.allclose(alone, network(images), atol=1e-5 if dtype is None else 0.05)
    assert network.head.weight.dtype is torch.float32  # the network itself is left as it was


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.usefixtures("two_threads")
def test_a_forked_process_makes_its_own() -> None:
    script = (
        "import multiprocessing, torch\n"
        "from medseg_monai.engines.streams import side_by_side\n"
        "def work():\n"
        "    assert len(side_by_side(torch.neg, [torch.zeros(1)] * 2)) == 2\n"
        "work()\n"
        "child = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start()\n"
        "child.join()\n"
        "raise SystemExit(child.exitcode)\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
