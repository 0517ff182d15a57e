"""Masks that hold nothing to learn end a training before its first step, in one line."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import SMALL
from PIL import Image

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import Dataset, read_dataset, write_dataset
from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.training.cache import CachedDataset
from medseg_monai.training.labels import RefuseNothingToLearn, missing_classes
from medseg_monai.transforms import load

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


def spec_of(task: Task, classes: tuple[str, ...]) -> DatasetSpec:
    return DatasetSpec("made", task, classes=classes, channels=("red", "green", "blue"), size=(32, 32))


def made(folder: Path, spec: DatasetSpec, values: list[list[int]]) -> Dataset:
    """A data set whose masks hold these class numbers, in squares of 12 pixels; one picture for each list."""
    cases: list[dict[str, Any]] = []
    for number, shown in enumerate(values):
        mask = np.zeros((40, 48), np.uint8)
        for place, value in enumerate(shown):
            mask[4:16, 14 * place : 14 * place + 12] = value
        Image.fromarray(np.roll(IMAGE, number, axis=1)).save(folder / f"{number}.png")
        Image.fromarray(mask).save(folder / f"{number}_mask.png")
        cases.append({"image": f"{number}.png", "label": f"{number}_mask.png"})
    third = len(cases) // 3
    splits = {"training": cases[: -2 * third], "validation": cases[-2 * third : -third], "test": cases[-third:]}
    dataset = Dataset(spec, folder, **{name: tuple(part) for name, part in splits.items()})
    write_dataset(dataset, folder)
    return dataset


@pytest.mark.parametrize(
    ("values", "missing"), [([[], [], []], ["a", "b"]), ([[1], [], []], ["b"]), ([[2], [], [1]], []), ([[1, 2]], [])]
)
def test_classes_that_no_mask_shows(tmp_path: Path, values: list[list[int]], missing: list[str]) -> None:
    spec = spec_of("multiclass", ("a", "b"))
    cases = made(tmp_path, spec, [*values, *[[]] * 6]).cases("training")[: len(values)]
    found, looked_at = missing_classes(CachedDataset(cases, load(spec)), spec)
    assert found == missing
    assert looked_at == len(values) if missing else looked_at <= len(values)


def test_no_more_masks_are_read_than_needed(tmp_path: Path) -> None:
    spec = spec_of("multiclass", ("a", "b"))
    cases = made(tmp_path, spec, [[1]] * 9).cases("training")
    assert missing_classes(CachedDataset(cases, load(spec)), spec, enough=True) == ([], 1)


@pytest.mark.parametrize(
    ("task", "classes", "values", "message"),
    [
        (
            "binary",
            ("lesion",),
            [],
            r"all 4 training masks are empty at the network's size of 64x64, so there is nothing",
        ),
        ("multiclass", ("a", "b"), [1], r"this class is in none of the 4 training masks at .*64x64: b. Remove it"),
    ],
)
def test_training_ends_in_one_line(
    medseg: Callable[..., Any], tmp_path: Path, task: Task, classes: tuple[str, ...], values: list[int], message: str
) -> None:
    (tmp_path / "data").mkdir()
    made(tmp_path / "data", spec_of(task, classes), [values] * 12)
    out = tmp_path / "out"
    ended = medseg("train", "unetpp", "-d", tmp_path / "data", *SMALL, "--max-epochs", 1, "--output-dir", out)
    assert ended.code == 1
    line = ended.err.splitlines()[-1]
    assert line.startswith("medseg: error: data set made: ")
    assert re.search(message, line), line
    assert not (out / "model.pt").exists()


def made_splits(folder: Path, training: list[list[int]], validation: list[list[int]]) -> Path:
    """A data set of two classes, whose masks show these."""
    folder.mkdir()
    spec = spec_of("multiclass", ("a", "b"))
    whole = made(folder, spec, training + validation + [[]] * 3)
    cases = whole.training + whole.validation + whole.test
    end = len(training) + len(validation)
    write_dataset(Dataset(spec, folder, cases[: len(training)], cases[len(training) : end], cases[end:]), folder)
    return folder


def test_a_class_that_only_validation_shows_is_named(medseg: Callable[..., Any], tmp_path: Path) -> None:
    data = made_splits(tmp_path / "data", [[1]] * 4, [[1], [2]])
    ended = medseg("train", "unetpp", "-d", data, *SMALL, "--max-epochs", 1, "--output-dir", tmp_path / "out")
    assert ended.code == 1
    line = ended.err.splitlines()[-1]
    assert (
        "in none of the 4 training masks at the network's size of 64x64: b (only in validation: b). Remove it" in line
    )


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ([[1], []], "in none of the 2 validation masks: b. The best epoch is chosen without regard to how well this"),
        ([[], []], "all 2 validation masks are empty: the best epoch is the one that finds least"),
        ([[1], [2]], ""),
    ],
)
def test_what_no_validation_mask_shows_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, validation: list[list[int]], said: str
) -> None:
    data = read_dataset(made_splits(tmp_path / "data", [[1, 2]] * 4, validation))
    engines = [
        SimpleNamespace(
            data_loader=SimpleNamespace(dataset=CachedDataset(data.cases(split), load(data.spec))),
            state=SimpleNamespace(epoch=0, rank=0),
        )
        for split in ("training", "validation")
    ]
    RefuseNothingToLearn(data.spec, engines[1])(engines[0])  # type: ignore[arg-type]
    warned = [record.getMessage() for record in caplog.records]
    assert warned == [] if not said else warned[0].startswith(said)
    assert len(warned) <= 1


def test_an_evaluation_against_nothing_ends_in_one_line(
    medseg: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    spec = DatasetSpec.from_dict({**Trained.read(trained).dataset.to_dict(), "name": "made"})
    made(tmp_path / "data", spec, [[]] * 12)
    arguments = ("evaluate", "unetpp", "-d", tmp_path / "data", "-w", trained, "--out", tmp_path / "out")
    ended = medseg(*arguments)
    line = ended.err.splitlines()[-1]
    assert ended.code == 1
    assert line.startswith(
        "medseg: error: the true masks of all 4 cases are empty, so there is nothing to score against"
    )
    assert not (tmp_path / "out").exists()


def test_an_evaluation_removes_what_a_killed_one_left(
    medseg: Callable[..., Any], demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    left = tmp_path / ".medseg-0123456789abcdef.part"
    left.write_text("half")
    assert medseg("evaluate", "unetpp", "-d", demo_data, "-w", trained, "--out", tmp_path).code == 0
    assert not left.exists()
    assert (tmp_path / "summary.json").is_file()


def test_overlapping_classes_are_found_in_their_own_channels_and_ignored_pixels_show_none(tmp_path: Path) -> None:
    spec = DatasetSpec("made", "multilabel", classes=("a", "b", "c"), channels=("grey",), size=(32, 32), ignore=7)
    Image.fromarray(IMAGE[..., 0]).save(tmp_path / "0.png")
    for name, value in (("a", 0), ("b", 255), ("c", 7)):
        Image.fromarray(np.full((40, 48), value, np.uint8)).save(tmp_path / f"{name}.png")
    case = {"image": str(tmp_path / "0.png"), "label": [str(tmp_path / f"{name}.png") for name in "abc"], "id": "0"}
    assert missing_classes(CachedDataset([case], load(spec)), spec) == (["a", "c"], 1)


def engine_of(dataset: object, epoch: int) -> Any:
    return SimpleNamespace(data_loader=SimpleNamespace(dataset=dataset), state=SimpleNamespace(epoch=epoch, rank=0))


def test_masks_are_examined_before_the_first_step_alone_and_only_where_there_are_any(tmp_path: Path) -> None:
    data = read_dataset(made_splits(tmp_path / "data", [[]] * 4, [[], []]))
    empty = CachedDataset(data.cases("training"), load(data.spec))
    refuse = RefuseNothingToLearn(data.spec)
    with pytest.raises(ValueError, match="all 4 training masks are empty"):
        refuse(engine_of(empty, 0))
    refuse(engine_of(empty, 1))  # a training that goes on
    for dataset in ([], None):  # data of another kind, as federated clients have them
        refuse(engine_of(dataset, 0))
