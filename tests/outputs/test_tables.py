"""Tables of a run: rows by hand, cases of earlier runs kept, files of others left alone."""

from pathlib import Path

import numpy as np
import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.outputs.tables import coco_table, prediction_rows, predictions_table, rle_rows, rle_table

ORGANS = DatasetSpec("d", "multilabel", classes=("bowel", "stomach"), channels=("grey",), size=(8, 8))
NUMBERS = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(8, 8))


def test_rows_count_pixels_and_say_what_is_flagged_and_why() -> None:
    mask = np.array([[[0, 1, 1], [0, 0, 2]]], np.uint8)
    assert prediction_rows("x", mask, NUMBERS, uncertainty=0.25, flagged=True, reason="unsure") == [
        ["x", "a", 2, "0.2500", "yes", "unsure"],
        ["x", "b", 1, "0.2500", "yes", "unsure"],
    ]
    assert prediction_rows("x", mask, NUMBERS, uncertainty=0.2, flagged=False)[0][-2:] == ["no", ""]
    assert prediction_rows("x", mask, NUMBERS, uncertainty=0.9)[0][-3:] == ["0.9000", "", ""]
    overlapping = np.ones((2, 2, 2), np.uint8)
    overlapping[1] = 0
    assert [row[2] for row in prediction_rows("x", overlapping, ORGANS, uncertainty=None)] == [4, 0]


def test_run_lengths_go_row_by_row_from_one() -> None:
    mask = np.zeros((2, 3, 2), np.uint8)  # 3 wide, 2 high
    mask[0, 1:, 0] = 1
    assert rle_rows("x", mask, ORGANS) == [["x", "bowel", 3, 2, "2 2"], ["x", "stomach", 3, 2, ""]]


def test_cases_of_an_earlier_run_stay_and_the_same_case_is_replaced(tmp_path: Path) -> None:
    for case, pixels in (("b", 1), ("a", 2), ("b", 3)):
        table = predictions_table(tmp_path)
        table.entries[case] = [[case, "lesion", pixels, "", "", ""]]
        table.save()
    assert (tmp_path / "predictions.csv").read_text().split() == [
        "case,class,pixels,uncertainty,flagged,reason", "a,lesion,2,,,", "b,lesion,3,,,",
    ]  # fmt: skip


def test_rows_of_a_version_without_reasons_are_kept(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("case,class,pixels,uncertainty,flagged\na,lesion,2,0.1000,no\n")
    table = predictions_table(tmp_path)
    table.entries["b"] = [["b", "lesion", 1, "0.2000", "yes", "unsure, unlike"]]
    table.save()
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "case,class,pixels,uncertainty,flagged,reason", "a,lesion,2,0.1000,no,", 'b,lesion,1,0.2000,yes,"unsure, unlike"',
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [("masks_rle.csv", "id,rle\n1,2"), ("masks.coco.json", "[]")])
def test_a_file_of_somebody_elses_is_not_overwritten(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} was not written by this program"):
        rle_table(tmp_path) if name.endswith("csv") else coco_table(tmp_path, ORGANS)


def test_nothing_done_writes_nothing(tmp_path: Path) -> None:
    rle_table(tmp_path).save()
    assert list(tmp_path.iterdir()) == []
