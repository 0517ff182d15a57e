"""Answers as files: what they hold, that they are computed once, and that one broken image costs no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audited import SPEC, sure, true_disc, write_discs
from PIL import Image

from medseg_monai.distillation.answers import ask_all, image_digest
from medseg_monai.distillation.teachers import Teachers
from medseg_monai.files.writing import DiskFullError
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.prediction import Prediction


class Knows(Teachers):
    """A teacher that sees the true discs; it counts how often it is asked."""

    def __init__(self, digest: str = "known") -> None:
        self.asked: list[str] = []
        self._digest = digest

    @property
    def digest(self) -> str:
        return self._digest

    def load(self) -> None:
        """There is nothing to load."""

    def __call__(self, image: Any) -> Prediction:
        with Image.open(image) as picture:
            picture.load()
        self.asked.append(Path(image).stem)
        disc = true_disc(int(Path(image).stem[4:]))
        return Prediction(
            mask=disc.T.astype(np.uint8),
            probabilities=sure(disc.T, certainty=0.8)[None],
            uncertainty=0.0,
            classes=SPEC.classes,
            grid=PhotoGrid.of(disc.shape, SPEC),
            source=image,
            spec=SPEC,
        )


@pytest.fixture
def cases(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    return lambda count=3: write_discs(tmp_path, count=count).cases("training")


def test_the_files_hold_the_probabilities_in_255ths(tmp_path: Path, cases: Any) -> None:
    found, failures = ask_all(cases(), Knows(), tmp_path / "out", SPEC)
    assert failures == []
    assert list(found) == ["case00", "case01", "case02"]
    (file,) = found["case01"].soft_label
    levels = np.asarray(Image.open(file)).T
    np.testing.assert_array_equal(levels, np.where(true_disc(1), 204, 51))
    assert found["case01"].mask == []


def test_masks_are_written_for_images_without_labels(tmp_path: Path, cases: Any) -> None:
    found, _ = ask_all(cases(1), Knows(), tmp_path / "out", SPEC, masks=True)
    (file,) = found["case00"].mask
    np.testing.assert_array_equal(np.asarray(Image.open(file)).T > 0, true_disc(0))


def test_answers_are_kept_until_an_image_or_a_teacher_changes(tmp_path: Path, cases: Any) -> None:
    listed, out = cases(), tmp_path / "out"
    ask_all(listed, Knows(), out, SPEC)
    again = Knows()
    ask_all(listed, again, out, SPEC)
    assert again.asked == []
    other = Knows("another")
    ask_all(listed, other, out, SPEC)
    assert len(other.asked) == 3
    Image.new("RGB", (60, 48), "red").save(tmp_path / "case01.png")
    ask_all(listed, again, out, SPEC)
    assert again.asked == ["case01"]


def test_a_broken_image_is_reported_and_the_others_are_done(tmp_path: Path, cases: Any) -> None:
    listed = cases()
    (tmp_path / "case01.png").write_bytes(b"no picture")
    found, failures = ask_all(listed, Knows(), tmp_path / "out", SPEC)
    assert list(found) == ["case00", "case02"]
    assert [Path(failure.path).name for failure in failures] == ["case01.png"]
    assert failures[0].reason


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "c.png")
    a, b, c = (image_digest(str(tmp_path / f"{name}.png")) for name in "abc")
    assert a == b != c
    assert image_digest([str(tmp_path / "a.png"), str(tmp_path / "c.png")]) not in (a, c)


def test_a_full_disk_ends_it_and_is_no_fault_of_an_image(
    tmp_path: Path, cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise DiskFullError("the disk is full")

    monkeypatch.setattr("medseg_monai.outputs.photos.PhotoWriter.save_probabilities", full)
    teacher = Knows()
    with pytest.raises(DiskFullError):
        ask_all(cases(), teacher, tmp_path / "out", SPEC)
    assert teacher.asked == ["case00"]
