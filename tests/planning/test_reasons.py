"""The sentences beside a plan's values: they name the numbers that decided."""

from dataclasses import replace

import pytest
from drawn_facts import facts

from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.decide import MOST_EPOCHS, Choice, Wishes
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.machine import Machine
from medseg_monai.planning.plan import Plan
from medseg_monai.planning.reasons import explain

NARROW, WIDE = Candidate("narrow", width=16), Candidate("wide", width=32)
CHOSEN = Choice(
    NARROW,
    (100, 60),
    coarser=1.0,
    batch_size=4,
    patches_per_case=1,
    epochs=50,
    val_interval=1,
    seconds=60.0,
    memory_gb=1.5,
    expected=0.8,
)


def reasons(
    *others: Choice, seen: Fingerprint | None = None, fixed: dict[str, object] | None = None, missing: bool = False
) -> dict[str, str]:
    """Why the first choice was made, of this and the others."""
    wishes = Wishes(600.0, 8.0, 16, fixed or {})
    machine = Machine("cpu", "AVX2", 2, "float32", 10.0)
    plan = Plan("unet", augmentation=1.0)
    ranked = [CHOSEN, *others]
    return dict(
        explain(plan, seen or facts(), machine, ranked, wishes, allowed=10, given=True, encoders_missing=missing)
    )


def test_the_head_says_what_was_read_and_on_what_it_runs() -> None:
    lines = reasons()["about"].splitlines()
    assert lines[0] == "Plan for drawn: 200 training, 40 validation, 0 test cases; 64 training cases were read."
    assert lines[1].startswith("640 x 480 pixels; values from 0.00 to 1.00, median 0.50; 0% of the cases")
    assert lines[2] == (
        "lesion: in 100% of the cases, 10.00% of the picture, 30.0% of the longer side thick, the smallest 10.0%"
    )
    assert lines[3] == "Machine: CPU (2 cores, AVX2), float32, 10.0 GB of memory free."
    ranges = replace(facts(), sizes=((600, 640, 700), (480, 480, 480)), groups=20)
    assert "640 (600 to 700) x 480 pixels" in reasons(seen=ranges)["about"]
    assert "200 training, 40 validation, 0 test cases of 20 groups" in reasons(seen=ranges)["about"]


def test_the_size_is_weighed_against_the_next_larger_one() -> None:
    larger = replace(CHOSEN, size=(200, 120), epochs=12)
    largest = replace(CHOSEN, size=(400, 240), epochs=3)
    thick = "the smallest structures (lesion) are 10.0 pixels thick"  # a tenth of 100 pixels
    assert reasons()["size"] == f"the largest that comes into question: {thick}"
    assert reasons(largest, larger)["size"] == f"{thick}; 200x120 would leave 12 epochs instead of 50"


def test_the_network_is_weighed_against_the_next_wider_one() -> None:
    wider = replace(CHOSEN, candidate=WIDE, epochs=20)
    assert reasons(wider)["architecture"] == "narrow; wide would have 20 epochs at 100x60"
    assert "ImageNet encoders" in reasons(missing=True)["architecture"]


def test_volumes_are_told_in_voxels() -> None:
    seen = facts(volumes=True)
    assert "180 to 220) x 90 (60 to 100) voxels on the network's grid" in reasons(seen=seen)["about"]
    assert "are 10.0 voxels thick" in reasons(seen=seen)["size"]
    nothing = replace(seen, classes={"lesion": replace(seen.classes["lesion"], cases=0.0)})
    assert reasons(seen=nothing)["size"].endswith("no structure was seen")
    assert "lesion: in none of the cases that were read" in reasons(seen=nothing)["about"]


def test_what_the_user_sets_is_said_to_be_theirs() -> None:
    given = reasons(fixed={"size": [1, 1], "lr": 0.1})
    assert given["size"] == given["lr"] == "as you said"
    assert given["batch_size"] == "200 training cases; a step takes about 1.5 of 8.0 GB"


@pytest.mark.parametrize(("seconds", "late"), [(600.0, False), (600.1, True)])
def test_it_is_said_if_even_the_quickest_takes_too_long(seconds: float, late: bool) -> None:
    wishes = Wishes(600.0, 8.0, 16, {})
    machine = Machine("cpu", "AVX2", 2, "float32", 10.0)
    slow = replace(CHOSEN, seconds=seconds)
    said = explain(Plan("unet"), facts(), machine, [slow], wishes, allowed=10, given=False, encoders_missing=False)
    assert ("even the quickest training takes longer" in said["minutes"]) == late
    assert "of 10 (the default;" in said["minutes"]


def explained(plan: Plan, choice: Choice) -> dict[str, str]:
    machine, wishes = Machine("cpu", "AVX2", 2, "float32", 10.0), Wishes(600.0, 8.0, 16, {})
    return dict(explain(plan, facts(), machine, [choice], wishes, allowed=10, given=True, encoders_missing=False))


@pytest.mark.parametrize(("epochs", "most"), [(MOST_EPOCHS, True), (MOST_EPOCHS - 1, False)])
def test_it_is_said_if_more_time_would_bring_nothing(epochs: int, most: bool) -> None:
    said = explained(Plan("unet"), replace(CHOSEN, epochs=epochs))["max_epochs"]
    assert said.startswith("more passes than these bring little" if most else "what fits into the time")


def test_mirroring_and_patches_have_their_reasons() -> None:
    upright = explained(Plan("unet", augmentation="upright"), replace(CHOSEN, patches_per_case=2))
    assert upright["augmentation"] == "no mirroring: sides mean something in a body"
    assert upright["patches_per_case"].startswith("patches of each volume in an epoch")
    free = explained(Plan("unet", augmentation=1.0), CHOSEN)
    assert free["augmentation"].startswith("each case is seen 50 times")
    assert free["patches_per_case"] == "each case once in an epoch"
