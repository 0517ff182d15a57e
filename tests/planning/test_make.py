"""A plan from a data set, with a clock and a machine that are given: what is asked for is in it, and each value has its reason."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_facts import PHOTOS, facts

from medseg_monai.dataset import Dataset, read_dataset
from medseg_monai.networks import UNet
from medseg_monai.planning import make
from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.decide import Choice, Trial
from medseg_monai.planning.machine import Machine
from medseg_monai.planning.make import Recipe, default_minutes, make_plan
from medseg_monai.planning.photos import PhotoPlanner
from medseg_monai.planning.plan import Plan
from medseg_monai.planning.timing import LoadTime, StepTime

OTHERS = ("loss", "spec", "precision", "device", "clock")
TINY = partial(UNet, in_channels=3, out_channels=1, features=[4, 8])


@pytest.fixture
def planned(demo_data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Plans for the demo, on a machine where a step takes as long as the network has weights, and nothing else takes time."""

    def steps(network: torch.nn.Module, *, size: tuple[int, ...], **_: Any) -> StepTime:
        seconds = sum(parameter.numel() for parameter in network.parameters()) * size[0] * size[1] / 1e13
        return StepTime(3 * seconds, seconds)

    monkeypatch.setattr(make, "time_steps", steps)
    monkeypatch.setattr(make, "this_machine", lambda *_: Machine("cpu", "AVX2", 2, "float32", 10.0))
    dataset: Dataset = read_dataset(demo_data)

    def plan(fixed: dict[str, Any] | None = None, **options: Any) -> Plan:
        network = TINY if "architecture" in (fixed or {}) else partial(UNet, in_channels=3, out_channels=1)
        recipe = Recipe("unet", network, lambda *_: torch.zeros(()), {"lr": 0.002, "batch_size": 16}, fixed or {})
        ticks = count()
        return make_plan(dataset, recipe, **{"clock": lambda: next(ticks) * 1e-3, **options})

    return plan


def test_the_default_time_grows_with_the_root_of_the_cases() -> None:
    assert [default_minutes(cases) for cases in (1, 100, 400, 1600, 10**6)] == [10, 10, 20, 40, 60]
    assert default_minutes(1600, "best") == 200
    assert default_minutes(1600, "quick") == default_minutes(10, demo=True) == 3


def test_more_time_means_a_training_that_takes_longer_and_still_ends(planned: Callable[..., Plan]) -> None:
    short, long = planned(minutes=0.5), planned(minutes=30)
    assert (short.minutes or 0) <= 0.5
    assert (short.minutes or 0) < (long.minutes or 0) <= 30


def test_the_plan_says_how_long_it_may_take_unless_the_epochs_are_given(planned: Callable[..., Plan]) -> None:
    """Of 10 minutes, 12 seconds are for the program's start; the clock here moves by a thousandth whenever it is read."""
    assert planned(minutes=10).most_minutes == pytest.approx(9.8, abs=0.01)
    assert planned({"max_epochs": 7}, minutes=10).most_minutes is None


def test_what_the_trial_takes_is_taken_off_the_time(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each network that is tried takes 6 seconds, the chosen one at its own size too."""
    seconds, tried = [0.0], list[tuple[int, ...]]()

    def slow(*_: Any, size: tuple[int, ...], **__: Any) -> StepTime:
        seconds[0] += 6
        tried.append(size)
        return StepTime(0.0003, 0.0001)

    monkeypatch.setattr(make, "time_steps", slow)
    monkeypatch.setattr(PhotoPlanner, "probe_size", lambda *_: (48, 40))
    plan = planned(minutes=10, clock=lambda: seconds[0])
    assert set(tried) == {(48, 40), (96, 80)}
    assert plan.most_minutes == pytest.approx((600 - 12 - 6 * len(tried)) / 60, abs=0.01)


def test_what_is_given_is_in_the_plan_and_said_to_be_given(planned: Callable[..., Plan]) -> None:
    plan = planned({"architecture": True, "size": [48, 32], "lr": 0.3}, minutes=1)
    assert (plan.size, plan.lr, plan.architecture) == ((48, 32), 0.3, {})
    assert {plan.reasons[key] for key in ("architecture", "size", "lr")} == {"as you said"}


def test_every_value_has_its_reason(planned: Callable[..., Plan]) -> None:
    plan = planned(minutes=1)
    named = [
        key for key, value in vars(plan).items() if value not in (None, "", {}) and key not in ("bundle", "reasons")
    ]
    assert set(named) <= set(plan.reasons)
    assert "2 cores, AVX2" in plan.reasons["about"]


def test_a_step_stays_within_the_memory_that_may_be_used(planned: Callable[..., Plan]) -> None:
    assert (planned(minutes=600, memory_gb=1.3).memory_gb or 0) <= 1.3
    with pytest.raises(ValueError, match="memory_gb is 0; a budget above 0"):
        planned(memory_gb=0)


def test_a_data_set_without_validation_is_not_planned_for(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "cases", lambda self, split: [] if split == "validation" else [{}])
    with pytest.raises(ValueError, match="demo has no validation cases"):
        planned(minutes=1)


@pytest.mark.parametrize(("read", "refused"), [(14, True), (13, False)])
def test_masks_that_show_nothing(
    read: int,
    refused: bool,
    planned: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of the demo's 14 training masks all were read, or one may show something."""
    plain = make.fingerprint
    monkeypatch.setattr(
        make, "fingerprint", lambda *given, **more: replace(plain(*given, **more), empty=1.0, sampled=read)
    )
    expected = pytest.raises(ValueError, match="all 14 training masks are empty") if refused else nullcontext()
    with expected:
        planned(minutes=1)
    assert ("all 13 training masks that were read are empty" in caplog.text) != refused


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_a_time_that_is_no_time_is_refused(minutes: float, planned: Callable[..., Plan]) -> None:
    with pytest.raises(ValueError, match="minutes: a number above 0 is expected"):
        planned(minutes=minutes)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, list[dict[str, Any]]]]:
    """A trial whose steps take the given seconds of its clock and whose samples take 16, and what was asked of it."""

    def make_it(*seconds: float) -> tuple[Any, list[dict[str, Any]]]:
        asked: list[dict[str, Any]] = []
        now, takes = [100.0], iter(seconds)

        def steps(network: torch.nn.Module, **options: Any) -> StepTime:
            asked.append(options)
            now[0] += next(takes)
            return StepTime(16.0, 5.0)

        monkeypatch.setattr(make, "time_steps", steps)
        monkeypatch.setattr(make, "time_loading", lambda *_, **__: LoadTime(0.1, 0.01))
        recipe = Recipe("unet", TINY, lambda *_: torch.zeros(()), {}, {})
        return make._Timed(
            None, PHOTOS, facts(), recipe, device="cpu", precision="fp32", cache_dir=None, clock=lambda: now[0],  # type: ignore[arg-type]
        ), asked  # fmt: skip

    return make_it


@pytest.mark.parametrize(("limit", "tried"), [(8.5, ["a", "b", "c"]), (7.9, ["a", "b"]), (7.0, ["a"])])
def test_a_form_is_tried_if_one_and_a_half_times_the_last_still_fits(
    timed: Callable[..., Any], limit: float, tried: list[str]
) -> None:
    """3 and then 2 seconds: the second may take 4.5 beside the 3, and the third 3 beside the 5."""
    trial, _ = timed(3.0, 2.0, 1.0)
    assert list(trial.trial([Candidate(name) for name in "abc"], batch=2, limit=limit).steps) == tried


def test_the_chosen_size_is_timed_again_and_all_forms_are_scaled_by_it(timed: Callable[..., Any]) -> None:
    """At four times as many pixels 16 seconds: 4 for as many as before, where it was 2. So everything takes twice as long."""
    again, asked = timed(1.0)
    trial = Trial({"a": StepTime(2.0, 1.0), "b": StepTime(3.0, 0.5)}, (10, 10), LoadTime(0.1, 0.01))
    choice = Choice(
        Candidate("a"), (20, 20), coarser=1.0, batch_size=3, patches_per_case=1, epochs=5, val_interval=1, seconds=9.0,
        memory_gb=1.0, expected=0.8,
    )  # fmt: skip
    found = again.again(trial, choice, limit=10)
    assert found.steps == {"a": StepTime(4.0, 2.0), "b": StepTime(6.0, 1.0)}
    assert asked == [{"size": (20, 20), "batch": 3, "most_seconds": 5.0, **{key: asked[0][key] for key in OTHERS}}]
    assert again.again(trial, replace(choice, size=(10, 10)), limit=10) is trial
    assert len(asked) == 1


@pytest.mark.parametrize(("epochs", "share"), [(100, True), (2, False)])
def test_the_last_tenth_of_many_steps_is_averaged(planned: Callable[..., Plan], epochs: int, share: bool) -> None:
    """14 pictures in batches of 2 are 7 steps an epoch: an average over ten of 700, and none of 14."""
    plan = planned({"architecture": True, "size": [48, 32], "max_epochs": epochs, "batch_size": 2}, minutes=5)
    assert plan.weight_average == (pytest.approx(1 - 10 / 700, abs=1e-4) if share else 0)


@pytest.mark.parametrize(("pretrained", "lr"), [(True, 0.001), (False, 0.002)])
def test_imagenet_weights_are_changed_more_gently(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, pretrained: bool, lr: float
) -> None:
    monkeypatch.setattr(make, "_forms", lambda *_: [Candidate("made up", pretrained=pretrained)])
    assert planned(minutes=1).lr == lr
