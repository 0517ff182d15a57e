"""What functions accept: one thing or several, paths or a data set, and what they refuse at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import medseg_monai as mm
from medseg_monai.api.arguments import (
    check_there,
    check_trained_on_demo,
    data_folder,
    image_paths,
    listed,
    parsed,
    preset,
    texts,
    time_limit,
)
from medseg_monai.api.datasets import load_dataset
from medseg_monai.bundle.paths import find_bundle


def test_one_thing_is_as_good_as_a_list() -> None:
    assert texts("lesion") == ["lesion"]
    assert texts(None) == []
    assert listed(Path("a")) == [Path("a")]


def test_assignments_are_a_mapping_or_what_the_command_takes() -> None:
    assert parsed({"lr": "$1 / 3"}) == {"lr": "$1 / 3"}
    assert parsed(["lr=0.5", "size=[8, 8]"]) == parsed({"lr": 0.5, "size": [8, 8]})
    assert parsed("lr=0.5") == {"lr": 0.5}
    assert parsed(None) == {}
    with pytest.raises(ValueError, match="expected KEY=VALUE"):
        parsed(["lr"])


def test_a_data_set_is_known_by_its_file_but_a_part_of_it_is_in_none(demo_data: Path) -> None:
    data = load_dataset(demo_data)
    assert data_folder(data) == demo_data / "dataset.json"
    assert data_folder(str(demo_data)) == demo_data
    assert data_folder(None) is None
    with pytest.raises(ValueError, match=r"ImageDataset\(demo \[:3\].*is a part of a data set"):
        data_folder(data[:3])


def test_images_are_files_folders_and_cases(demo_data: Path) -> None:
    data = load_dataset(demo_data)
    expected = [str(case.image_files[0]) for case in data.test]
    assert image_paths(data.test) == expected
    assert image_paths(data.test[0]) == expected[:1]
    assert image_paths(["a.jpg", data.test[0]]) == ["a.jpg", expected[0]]
    assert image_paths(Path("folder")) == ["folder"]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    check_there(tmp_path, None, f"{tmp_path}#1.2.3")
    with pytest.raises(FileNotFoundError, match="no such file or folder: nowhere"):
        check_there("nowhere")


@pytest.mark.parametrize("judge", [mm.evaluate, mm.review, mm.tune])
@pytest.mark.parametrize("bundle", ["unetpp", "unet3d"])
def test_shipped_weights_are_not_judged_by_drawings(
    judge: Callable[[str], Any], bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"name the data set \(--dataset-dir FOLDER\): .*model.pt was trained on "):
        judge(bundle)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bundle", "trained_on", "allowed"),
    [
        ("unetpp", "demo", True),
        ("unet3d", "demo-volumes", True),
        ("unetpp", "demo-volumes", False),
        ("unetpp", "mine", False),
    ],
)
def test_the_demo_is_for_weights_that_were_trained_on_it(
    bundle: str, trained_on: str, allowed: bool, tmp_path: Path
) -> None:
    (tmp_path / "model.pt").touch()
    (tmp_path / "spec.json").write_text(json.dumps({"dataset": {"name": trained_on}}))
    if allowed:
        check_trained_on_demo(find_bundle(bundle), tmp_path)
    else:
        with pytest.raises(ValueError, match=f"was trained on {trained_on}, so"):
            check_trained_on_demo(find_bundle(bundle), tmp_path)


def test_times_and_presets() -> None:
    assert (time_limit(None, None), time_limit(3, None), time_limit(None, 2)) == (None, 3, 120)
    assert [preset(*chosen) for chosen in ((False, False), (True, False), (False, True))] == [None, "quick", "best"]
    for wrong in (lambda: time_limit(1, 1), lambda: preset(True, True)):
        with pytest.raises(ValueError, match="not both"):
            wrong()
    for minutes in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="must be above 0"):
            time_limit(minutes, None)
