"""The plan file: written and read back, changed by a person, and refused in one line if it makes no sense."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.networks import UNet
from medseg_monai.planning.plan import WIDTH, Plan, check_architecture, read_plan

PLAN = Plan(
    "unet",
    dataset_dir="data/mine",
    size=(128, 96),
    architecture={"features": [16, 32], "stem_stride": 2},
    batch_size=8,
    max_epochs=30,
    lr=1e-5,
    augmentation={"flip_x": 0.0},
    minutes=9.5,
    most_minutes=9.8,
    changed_epochs=((2, 20), (7, 16), (8, 30)),
    reasons={"about": "Plan for mine\ntwo lines", "size": "because " * 40},
)


def test_what_is_written_is_read_with_reasons_as_comments(tmp_path: Path) -> None:
    PLAN.write(tmp_path / "plan.yaml")
    text = (tmp_path / "plan.yaml").read_text()
    read = read_plan(tmp_path / "plan.yaml")
    assert read == PLAN
    assert read.reasons == {"about": "Plan for mine\ntwo lines", "size": ("because " * 40).strip()}
    assert text.startswith("# Plan for mine\n# two lines\n")
    assert "because\nsize: [128, 96]\n" in text
    assert "\nfeatures" not in text
    assert all(len(line) < 120 for line in text.splitlines())


@given(
    size=st.none() | st.lists(st.integers(1, 4096), min_size=2, max_size=3).map(tuple),
    lr=st.none() | st.floats(1e-12, 10),
    name=st.text(max_size=20),
    reason=st.text(max_size=300),
)
def test_any_plan_survives_its_file(size, lr, name: str, reason: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("plan") / "plan.yaml"
    plan = Plan(size=size, lr=lr, architecture={"encoder": name}, reasons={"size": reason, "lr": reason})
    plan.write(file)
    assert read_plan(file) == plan


@pytest.mark.parametrize(
    "changes",
    [
        3,
        "ab",
        [3],
        [[3]],
        [[0, 5]],
        [[3, 2]],
        [[3, 2.5]],
        [[3, 9], [3, 8]],
        [[3, 9], [5, 9]],
        [[3, 9], [9, 20]],
        [[True, 9]],
    ],
)
def test_a_runs_length_changes_before_it_ends(changes: object) -> None:
    with pytest.raises(ValueError, match=r"changed_epochs: a list of pairs"):
        Plan(changed_epochs=changes)  # type: ignore[arg-type]


def test_a_persons_own_comments_are_reasons_too(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("# for the ward\n\nbundle: unet  # not this\n# I want\n# few\nmax_epochs: 3\n# at the end\n")
    assert read_plan(file).reasons == {"about": "for the ward", "max_epochs": "I want few"}
    file.write_text("# only of this\nlr: 0.1\n\n# a\n\nsize: [32, 32]\n")
    assert read_plan(file).reasons == {"lr": "only of this"}


@pytest.mark.parametrize(
    ("text", "strength"),
    [("off", False), ("'off'", "off"), ("0.5", 0.5), ("{flip_x: 0}", {"flip_x": 0})],  # YAML reads off as false
)
def test_augmentation_is_a_strength_a_name_or_numbers(text: str, strength: object, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(f"augmentation: {text}")
    assert read_plan(tmp_path / "plan.yaml").augmentation == strength
    with pytest.raises(ValueError, match="augmentation: a strength"):
        Plan(augmentation=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_epoch: 3", r"plan.yaml: unknown key 'max_epoch' \(did you mean 'max_epochs'\?\)"),
        ("max_epochs: many", "plan.yaml: max_epochs: a whole number of 1 or more is expected, got 'many'"),
        ("max_epochs: 0", "max_epochs: a whole number"),
        ("max_epochs: true", "max_epochs: a whole number"),
        ("size: 128", "size: a list of 2 or 3 whole numbers"),
        ("size: [128, x]", "size: a list"),
        ("lr: -1", "lr: a number above 0"),
        ("lr: .nan", "lr: a number above 0"),
        ("weight_average: 1", "weight_average: a number from 0 to below 1"),
        ("foreground: 2", "foreground: a number from 0 to 1"),
        ("class_balance: -1", "class_balance: a number from 0 to 1"),
        ("augmentation: [1]", "augmentation: a strength"),
        ("architecture: [1]", "architecture: a mapping of the network's arguments"),
        ("architecture: {_target_: os.system}", "architecture: a mapping"),
        ("- 1", "expected a mapping of keys"),
        ("", "expected a mapping of keys"),
        ("a: [", "plan.yaml: is not valid YAML"),
        ("!!python/object/apply:os.system [ls]", "plan.yaml: is not valid YAML"),
        ("1: 2", "unknown key '1'"),
    ],
)
def test_a_mistake_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_plan(tmp_path / "plan.yaml")
    assert "\n" not in str(caught.value)


def test_no_text_no_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(FileNotFoundError, match="no such plan"):
        read_plan(tmp_path / "nowhere.yaml")
    with pytest.raises(ValueError, match="is a folder"):
        read_plan(tmp_path)


def test_the_networks_arguments_are_checked() -> None:
    check_architecture(PLAN, UNet)
    with pytest.raises(ValueError, match=r"architecture of UNet: unknown key 'feature' \(did you mean 'features'\?\)"):
        check_architecture(Plan(architecture={"feature": [1]}), UNet)
    with pytest.raises(ValueError, match="in_channels"):
        check_architecture(Plan(architecture={"in_channels": 4}), UNet)


def test_a_value_that_is_given_loses_its_reason_and_the_others_keep_theirs() -> None:
    plan = Plan(batch_size=4, lr=0.1, reasons={"batch_size": "memory", "lr": "the bundle's"}).with_values({"lr": 0.2})
    assert (plan.lr, plan.batch_size, plan.reasons) == (0.2, 4, {"batch_size": "memory"})


def test_long_reasons_are_wrapped_and_read_back_whole(tmp_path: Path) -> None:
    reason = " ".join(f"word{number}" for number in range(60))
    Plan(batch_size=4, reasons={"batch_size": reason}).write(tmp_path / "plan.yaml")
    lines = [line for line in (tmp_path / "plan.yaml").read_text().splitlines() if line.startswith("#")]
    assert len(lines) <= math.ceil(len(reason) / WIDTH) + 1
    assert max(map(len, lines)) <= WIDTH + 3
    assert read_plan(tmp_path / "plan.yaml").reasons["batch_size"] == reason


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_any_share_of_the_patches_may_be_centred_on_a_class(share: float) -> None:
    assert Plan(foreground=share).foreground == share
