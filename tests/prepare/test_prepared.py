"""The end of every preparation: what is refused, what is noted, and which copy of a picture stays."""

from pathlib import Path

import pytest
from PIL import Image

from medseg_monai.dataset import DatasetSpec, read_dataset
from medseg_monai.prepare.pairs import Pair
from medseg_monai.prepare.prepared import class_notes, finish

SPEC = DatasetSpec("x", "multilabel", classes=("a", "b"), channels=("red", "green", "blue"), size=(8, 8))


def pair(folder: Path, name: str, *, grey: int = 0, split: str = "", present: tuple[str, ...] | None = ("a",)) -> Pair:
    """A picture of one grey with two masks."""
    files = [folder / f"{name}{what}.png" for what in ("", "_a", "_b")]
    for file, value in zip(files, (grey, 255, 0), strict=True):
        Image.new("L", (8, 8), value).save(file)
    return Pair(files[0], tuple(files[1:]), split=split, present=present)


def test_of_two_copies_test_keeps_its_own(tmp_path: Path) -> None:
    pairs = [
        pair(tmp_path, "one", grey=5, split="training"),
        pair(tmp_path, "copy", grey=5, split="test"),
        pair(tmp_path, "other", grey=6, split="training"),
    ]
    found = finish(pairs, SPEC, tmp_path / "out")
    assert [Path(case["image"]).name for case in found.dataset.cases("training")] == ["other.png"]
    assert [Path(case["image"]).name for case in found.dataset.cases("test")] == ["copy.png"]
    ((left, reason),) = found.left_out
    assert (left.name, "the same picture as" in reason, "of the test split" in reason) == ("one.png", True, True)
    assert "one.png" in (tmp_path / "out" / "left_out.csv").read_text()


def test_an_old_list_of_what_was_left_out_goes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "left_out.csv").write_text("file,reason\nold,old\n")
    pairs = [pair(tmp_path, name, grey=number, split="training") for number, name in enumerate("pq")]
    finish(pairs, SPEC, tmp_path / "out")
    assert not (tmp_path / "out" / "left_out.csv").exists()


def test_a_spec_may_depend_on_the_training_pairs(tmp_path: Path) -> None:
    seen: list[Pair] = []

    def spec(pairs: list[Pair]) -> DatasetSpec:
        seen.extend(pairs)
        return SPEC

    pairs = [pair(tmp_path, "p", grey=1, split="training"), pair(tmp_path, "q", grey=2, split="test")]
    finish(pairs, spec, tmp_path / "out")  # type: ignore[arg-type]
    assert [each.image.name for each in seen] == ["p.png"]
    assert read_dataset(tmp_path / "out").spec == SPEC


def test_two_pictures_of_one_name_stop_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    pairs = [pair(tmp_path, "p"), pair(tmp_path / "d", "p")]
    with pytest.raises(ValueError, match="have the same name; rename or remove one of them"):
        finish(pairs, SPEC, tmp_path / "out")
    with pytest.raises(ValueError, match="no image with a usable mask; left out: no image was found"):
        finish([], SPEC, tmp_path / "out")


@pytest.mark.parametrize(
    ("present", "notes"),
    [
        ([("training", ("a", "b")), ("test", ("a",))], []),
        ([("training", ("a",)), ("test", ("a",))], ["no mask has a pixel of b"]),
        (
            [("training", ("a",)), ("test", ("b",))],
            ["no mask of the training split has a pixel of b; masks of other splits do"],
        ),
        ([("training", None), ("test", ())], []),
    ],
)
def test_classes_that_are_missing_are_noted(
    present: list[tuple[str, tuple[str, ...] | None]], notes: list[str], tmp_path: Path
) -> None:
    pairs = [Pair(Path(f"{number}.png"), (), split=split, present=of) for number, (split, of) in enumerate(present)]
    assert class_notes(pairs, SPEC, tmp_path) == notes


def test_masks_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all 1 masks are empty: none has a pixel of a, b; check the masks"):
        class_notes([Pair(Path("x.png"), (), split="training", present=())], SPEC, tmp_path)
