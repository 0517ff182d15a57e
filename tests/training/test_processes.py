"""Several processes do what one does with all of their cases: gradients, statistics and losses, by plain batch norm in one process."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from medseg_monai.engines.precision import local_device
from medseg_monai.training import processes
from medseg_monai.training.processes import TrainedTogether, mean_over_processes, synchronised_batch_norm


class Activated(nn.BatchNorm2d):
    """A batch norm that does more than normalise, as those of timm do."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


def network() -> nn.Module:
    """Norms of two classes, one after a mean over the image, one with running statistics that are plain means."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), Activated(4), nn.Conv2d(4, 3, 3, bias=False), nn.BatchNorm2d(3, momentum=None),
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3, affine=False), nn.Flatten(), nn.Linear(3, 1),
    )  # fmt: skip
    return layers.double()


def images(count: int) -> Tensor:
    """Channels far from 0, where a mean of squares has no digits left."""
    return torch.randn(count, 2, 6, 5, generator=torch.Generator().manual_seed(5)).double() + 1e4


def steps(model: nn.Module, batch: Tensor, weight: float) -> None:
    """Two steps of gradient descent."""
    for _ in range(2):
        model.zero_grad()
        (weight * model(batch).square().mean()).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad


def train_share(rank: int, folder: str, sizes: tuple[int, ...]) -> None:
    """What a process does: its cases are those after the ones of the processes before it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(sizes))
    batch = images(sum(sizes)).split(list(sizes))[rank]
    model = TrainedTogether(network())
    # a mean over processes of different size is the mean over cases if each counts by its cases
    steps(model, batch, weight=len(batch) * len(sizes) / sum(sizes))
    torch.save(model.module.state_dict(), f"{folder}/{rank}.pt")
    evaluated = model.eval()(batch)  # by the running statistics: nobody else is asked
    torch.save((evaluated, mean_over_processes(float(rank), torch.device("cpu"))), f"{folder}/said_{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3, 2)])
def test_processes_end_with_the_weights_and_statistics_of_one(sizes: tuple[int, ...], tmp_path: Path) -> None:
    torch.multiprocessing.spawn(train_share, args=(str(tmp_path), sizes), nprocs=len(sizes))
    alone, batch = network(), images(sum(sizes))
    steps(alone, batch, weight=1.0)
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(len(sizes))]
    for state in states:
        assert state.keys() == alone.state_dict().keys()
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-9, atol=1e-11)
            assert torch.equal(state[name], states[0][name])
    said = [torch.load(tmp_path / f"said_{rank}.pt", weights_only=True) for rank in range(len(sizes))]
    torch.testing.assert_close(torch.cat([answer for answer, _ in said]), alone.eval()(batch))
    assert {mean for _, mean in said} == {sum(range(len(sizes))) / len(sizes)}


@pytest.fixture
def one_process(tmp_path: Path):
    """A group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    values = (torch.randn(4, 3, 5, 5, 5, generator=torch.Generator().manual_seed(1)) + 100).to(dtype)
    mean, var = torch.zeros(3), torch.ones(3)
    found = synchronised_batch_norm(values, mean, var, momentum=0.25, eps=1e-3)
    assert found.dtype == dtype
    expected_mean, expected_var = torch.zeros(3), torch.ones(3)
    expected = nn.functional.batch_norm(values.float(), expected_mean, expected_var, None, None, True, 0.25, 1e-3)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=2e-2)
    torch.testing.assert_close((mean, var), (expected_mean, expected_var))


@pytest.mark.usefixtures("one_process")
def test_one_value_per_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two cases"):
        synchronised_batch_norm(torch.ones(1, 2, 1, 1), None, None)


def test_a_mean_over_one_process_is_its_value() -> None:
    assert mean_over_processes(0.25, torch.device("cpu")) == 0.25


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    for on_gpu, expected in ((True, torch.device("cuda", 1)), (False, torch.device("cpu"))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=on_gpu: found)
        assert local_device() == expected
        assert processes.device_ids(expected) == ([expected] if on_gpu else None)


def test_only_the_first_process_makes_the_demo_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in (0, 1):
        done: list[str] = []
        calls = {
            "init_process_group": lambda backend, done=done: done.append(backend),
            "get_rank": lambda rank=rank: rank,
            "barrier": lambda done=done: done.append("wait"),
        }
        monkeypatch.setattr(processes, "dist", SimpleNamespace(**calls))
        monkeypatch.setattr(processes, "open_dataset", lambda folder, demo, done=done: done.append(demo))
        processes.join_processes(torch.device("cpu"), "", demo="mr")
        assert done == (["gloo", "mr", "wait"] if rank == 0 else ["gloo", "wait"])
