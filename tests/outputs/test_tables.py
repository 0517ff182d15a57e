"""Tables of a run: rows by hand, cases of earlier runs kept, files of others left alone."""

from pathlib import Path

import numpy as np
import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.outputs.tables import coco_table, prediction_rows, predictions_table, rle_rows, rle_table, run_tables

ORGANS = DatasetSpec("d", "multilabel", classes=("bowel", "stomach"), channels=("grey",), size=(8, 8))
NUMBERS = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(8, 8))


def test_rows_count_pixels_and_say_what_is_flagged_and_why() -> None:
    mask = np.array([[[0, 1, 1], [0, 0, 2]]], np.uint8)
    predicted = {"a": 0.91, "b": 0.5}
    assert prediction_rows(
        "x", mask, NUMBERS, uncertainty=0.25, flagged=True, reason="unsure", predicted_dice=predicted
    ) == [
        ["x", "a", 2, "0.2500", "yes", "unsure", "0.9100"],
        ["x", "b", 1, "0.2500", "yes", "unsure", "0.5000"],
    ]
    assert prediction_rows("x", mask, NUMBERS, uncertainty=0.2, flagged=False)[0][-3:] == ["no", "", ""]
    assert prediction_rows("x", mask, NUMBERS, uncertainty=0.9)[0][-4:] == ["0.9000", "", "", ""]
    lacking = np.zeros((1, 2, 3), np.uint8)
    assert [row[2] for row in prediction_rows("x", lacking, NUMBERS, uncertainty=None)] == [0, 0]
    overlapping = np.ones((2, 2, 2), np.uint8)
    overlapping[1, 0] = 0
    assert [row[2] for row in prediction_rows("x", overlapping, ORGANS, uncertainty=None)] == [4, 2]


def test_run_lengths_go_row_by_row_from_one() -> None:
    mask = np.zeros((2, 3, 2), np.uint8)  # 3 wide, 2 high
    mask[0, 1:, 0] = 1
    assert rle_rows("x", mask, ORGANS) == [["x", "bowel", 3, 2, "2 2"], ["x", "stomach", 3, 2, ""]]


def test_cases_of_an_earlier_run_stay_and_the_same_case_is_replaced(tmp_path: Path) -> None:
    for case, pixels in (("b", 1), ("a", 2), ("b", 3)):
        table = predictions_table(tmp_path)
        table.entries[case] = [[case, "lesion", pixels, "", "", "", ""]]
        table.save()
    assert (tmp_path / "predictions.csv").read_text().split() == [
        "case,class,pixels,uncertainty,flagged,reason,predicted_dice,order", "a,lesion,2,,,,,1", "b,lesion,3,,,,,2",
    ]  # fmt: skip


def test_the_order_says_what_to_look_at_first(tmp_path: Path) -> None:
    table = predictions_table(tmp_path)
    mask, empty = np.ones((1, 2, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)
    lesion = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
    for case, found, flagged, reason, dice in (
        ("fine", mask, False, "", 0.95),
        ("better", mask, False, "", 0.97),
        ("bad", mask, True, "its mask may be poor", 0.4),
        ("worse", mask, True, "its mask may be poor", 0.3),
        ("strange", mask, True, "unlike the pictures it was trained on: colours", 0.9),
        ("nothing", empty, False, "", 0.99),
    ):
        table.entries[case] = prediction_rows(
            case, found, lesion, uncertainty=0.1, flagged=flagged, reason=reason, predicted_dice={"lesion": dice}
        )
    table.save()
    for _ in range(2):  # also as it is read back
        rows = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()[1:]]
        assert [row[0] for row in rows] == ["strange", "worse", "bad", "nothing", "fine", "better"]
        assert [row[-1] for row in rows] == list("123456")
        predictions_table(tmp_path).save()


def test_rows_of_a_version_without_reasons_are_kept(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("case,class,pixels,uncertainty,flagged\na,lesion,2,0.1000,no\n")
    table = predictions_table(tmp_path)
    table.entries["b"] = [["b", "lesion", 1, "0.2000", "yes", "unsure, unlike"]]  # as a journal of that time has it
    table.save()
    assert (tmp_path / "predictions.csv").read_text().splitlines() == [
        "case,class,pixels,uncertainty,flagged,reason,predicted_dice,order",
        'b,lesion,1,0.2000,yes,"unsure, unlike",,1', "a,lesion,2,0.1000,no,,,2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("masks_rle.csv", "id,rle\n1,2"),
        ("masks_rle.csv", "case,class,width,height\na,b,3,2"),
        ("masks_rle.csv", "case,class,width,height,runs\na,b,3,2,1 1"),
        ("masks_rle.csv", ""),
        ("masks.coco.json", "[]"),
    ],
)
def test_a_file_of_somebody_elses_is_not_overwritten(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} was not written by this program"):
        rle_table(tmp_path) if name.endswith("csv") else coco_table(tmp_path, ORGANS)


def test_a_table_without_rows_is_one(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("case,class,pixels,uncertainty,flagged\n")
    assert predictions_table(tmp_path).entries == {}


def test_nothing_done_writes_nothing(tmp_path: Path) -> None:
    rle_table(tmp_path).save()
    assert list(tmp_path.iterdir()) == []


def test_a_run_keeps_the_tables_of_its_formats_and_if_wanted_those_that_are_there(tmp_path: Path) -> None:
    assert list(run_tables(tmp_path, ORGANS, (), all_there=True)) == ["predictions"]
    assert list(run_tables(tmp_path, ORGANS, ("png", "rle"))) == ["predictions", "rle"]
    assert list(run_tables(tmp_path, ORGANS, ("coco",))) == ["predictions", "coco"]
    table = rle_table(tmp_path)
    table.entries["x"] = rle_rows("x", np.ones((2, 3, 2), np.uint8), ORGANS)
    table.save()
    assert list(run_tables(tmp_path, ORGANS, ())) == ["predictions"]
    assert list(run_tables(tmp_path, ORGANS, (), all_there=True)) == ["predictions", "rle"]
    coco_table(tmp_path, ORGANS).save()
    assert not (tmp_path / "masks.coco.json").exists()
    (tmp_path / "masks.coco.json").write_text('{"images": [], "annotations": []}')
    assert list(run_tables(tmp_path, ORGANS, (), all_there=True)) == ["predictions", "rle", "coco"]
    coco_table(tmp_path, ORGANS).save()  # written anew although it is empty
    assert "categories" in (tmp_path / "masks.coco.json").read_text()
