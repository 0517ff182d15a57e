"""Measuring a data set: pictures drawn here, whose shares and thicknesses are counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import Dataset, DatasetSpec, read_dataset
from medseg_monai.planning.fingerprint import ClassFacts
from medseg_monai.planning.measure import fingerprint

SPEC = DatasetSpec("drawn", "binary", classes=("box",), channels=("red", "green", "blue"), size=(32, 32))


def draw(
    folder: Path, name: str, *boxes: tuple[int, int, int, int], size: tuple[int, int] = (80, 40)
) -> dict[str, str]:
    """A grey picture of (width, height) and a mask of white boxes (left, top, right, bottom)."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    Image.fromarray(np.full((size[1], size[0], 3), 128, np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}_mask.png")
    return {"image": f"{name}.png", "label": f"{name}_mask.png"}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    cases = [
        {**draw(tmp_path, "one", (10, 5, 30, 25)), "group": "p"},  # 20 x 20 pixels: 400 of 3200
        {**draw(tmp_path, "two", (0, 0, 20, 20), (60, 30, 75, 34)), "group": "p"},  # and 15 x 4
        {**draw(tmp_path, "none"), "group": "q"},
        {**draw(tmp_path, "wide", (10, 10, 30, 30), size=(120, 40)), "group": "r"},
    ]
    return Dataset(SPEC, tmp_path, training=cases, validation=[draw(tmp_path, "more", (0, 0, 5, 5))])


def test_counts_sizes_classes_and_empties(dataset: Dataset) -> None:
    facts = fingerprint(dataset)
    assert facts.counts == {"training": 4, "validation": 1, "test": 0}
    assert (facts.groups, facts.sampled, facts.empty, facts.says_present) == (3, 4, 0.25, False)
    assert facts.sizes == ((80, 80, 120), (40, 40, 40))
    box = facts.classes["box"]
    assert box.cases == 0.75
    assert box.share == pytest.approx(400 / 3200)  # the median of 400/3200, 460/3200 and 400/4800
    # the largest disc inside a box of 20 touches its sides: 19 pixels from the border's outside, over 80, 80 and 120
    assert box.thickness == pytest.approx(19 / 80)
    # smallest structures: 19/80, 3/80 and 19/120; the lowest tenth lies a fifth of the way from the first to the second
    assert box.smallest == pytest.approx(3 / 80 + 0.2 * (19 / 120 - 3 / 80))
    assert facts.intensity == pytest.approx((128 / 255,) * 3, abs=1e-6)


def test_it_is_kept_and_made_anew_when_a_mask_changes(dataset: Dataset, tmp_path: Path) -> None:
    first = fingerprint(dataset, cache_dir=tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "fingerprints").glob("*.json")
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps({**content, "sampled": 3}))
    assert fingerprint(dataset, cache_dir=tmp_path / "cache").sampled == 3
    kept.write_text("{torn")
    assert fingerprint(dataset, cache_dir=tmp_path / "cache") == first
    draw(tmp_path, "none", (0, 0, 40, 40))
    assert fingerprint(dataset, cache_dir=tmp_path / "cache").empty == 0.0


def test_specks_do_not_count_unless_there_is_nothing_else(tmp_path: Path) -> None:
    large = draw(tmp_path, "large", (0, 0, 11, 11), (50, 5, 51, 7))
    facts = fingerprint(Dataset(SPEC, tmp_path, training=[large]))
    assert facts.classes["box"].smallest == facts.classes["box"].thickness == pytest.approx(11 / 80)
    speck = draw(tmp_path, "speck", (50, 5, 51, 7))
    facts = fingerprint(Dataset(SPEC, tmp_path, training=[speck]))
    assert facts.classes["box"].smallest == pytest.approx(1 / 80)


def test_volumes_are_measured_on_the_networks_grid(demo_volumes: Path) -> None:
    facts = fingerprint(read_dataset(demo_volumes))
    assert (facts.spatial_dims, len(facts.sizes)) == (3, 3)
    assert all(low <= middle <= high for low, middle, high in facts.sizes)
    assert all(shown.smallest >= 1 for shown in facts.classes.values() if shown.cases)


def test_without_training_cases_there_is_nothing_to_plan(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="drawn has no training cases"):
        fingerprint(Dataset(dataset.spec, tmp_path, validation=dataset.validation))


def test_intensity_is_told_by_three_percentiles_of_the_whole_range(tmp_path: Path) -> None:
    case = draw(tmp_path, "grey", (0, 0, 5, 5))
    grey = np.full((40, 80, 3), 100, np.uint8)
    grey[:, :8], grey[:, 72:] = 20, 200
    Image.fromarray(grey).save(tmp_path / "grey.png")
    facts = fingerprint(Dataset(SPEC, tmp_path, training=[case]))
    assert facts.intensity == pytest.approx((20 / 255, 100 / 255, 200 / 255), abs=1e-6)


def test_a_class_that_no_case_shows_is_taken_for_something_small(tmp_path: Path) -> None:
    facts = fingerprint(Dataset(SPEC, tmp_path, training=[draw(tmp_path, "none")]))
    assert facts.classes == {"box": ClassFacts(0, 0, 0, 0)}
    assert facts.empty == 1


def test_what_the_cases_say_of_themselves_counts_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of four shows nothing, whichever are read."""
    cases = [{**draw(tmp_path, f"c{number}", (0, 0, 9, 9)), "present": ["box"]} for number in range(3)]
    cases.append({**draw(tmp_path, "none"), "present": []})
    facts = fingerprint(Dataset(SPEC, tmp_path, training=cases))
    assert (facts.empty, facts.says_present) == (0.25, True)
