"""What is finished: of this picture, with these settings; nothing is lost, nothing is kept that is not so any more."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import FolderInUseError, lock_folder
from medseg_monai.outputs.finished import unfinished
from medseg_monai.outputs.journal import Journal, Record
from medseg_monai.outputs.predictions import WritePredictions

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
PLAIN = {"threshold": 0.5, "weights": "aa"}


def picture(file: Path, level: int = 7) -> dict[str, str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 5), level, np.uint8)).save(file)
    return {"id": file.stem, "image": str(file)}


def predict(
    cases: list[dict[str, str]], out: Path, *, settings: dict[str, object] = PLAIN, level: int = 1, **wanted: object
) -> list[str]:
    """Do what is left with masks of a level, and say what that was."""
    left = unfinished(cases, SPEC, out, overwrite=False, made_with=settings, **wanted)
    writer = WritePredictions(out, spec=SPEC, made_with=settings, **wanted)  # type: ignore[arg-type]
    for case in left:
        mask = torch.full((1, 5, 6), level, dtype=torch.uint8)
        writer.write({"id": case["id"], "image_meta_dict": {"filename_or_obj": case["image"]}}, {"pred": mask})
    writer.finish()
    return [case["id"] for case in left]


def counted(out: Path) -> list[str]:
    return (out / "predictions.csv").read_text().split()[1:]


def test_the_same_run_again_does_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cases = [picture(tmp_path / "in" / f"{name}.png") for name in "ab"]
    assert predict(cases, tmp_path / "out") == ["a", "b"]
    assert "were already finished" not in caplog.text
    assert predict(cases, tmp_path / "out") == []
    assert "2 of 2 cases were already finished" in caplog.text
    assert counted(tmp_path / "out") == ["a,lesion,30,,,,,1", "b,lesion,30,,,,,2"]


def test_another_picture_of_the_same_name_is_done_again_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = picture(tmp_path / "A" / "img.png", 1), picture(tmp_path / "B" / "img.png", 2)
    predict([first], tmp_path / "out")
    assert predict([second], tmp_path / "out", level=0) == ["img"]
    assert "1 of the masks" in caplog.text
    assert "made from another picture of that name" in caplog.text
    assert counted(tmp_path / "out") == ["img,lesion,0,,,,,1"]


def test_a_picture_that_was_replaced_is_done_again_and_one_that_was_only_moved_is_not(tmp_path: Path) -> None:
    case = picture(tmp_path / "in" / "a.png", 1)
    predict([case], tmp_path / "out")
    os.utime(case["image"], (1, 1))
    (tmp_path / "in").rename(tmp_path / "moved")
    moved = {"id": "a", "image": str(tmp_path / "moved" / "a.png")}
    assert predict([moved], tmp_path / "out") == []
    picture(tmp_path / "moved" / "a.png", 2)
    assert predict([moved], tmp_path / "out") == ["a"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({**PLAIN, "weights": "bb"}, "made with other weights"),
        ({**PLAIN, "threshold": 0.4}, "made with another threshold (0.5, now 0.4)"),
        ({**PLAIN, "size": [8, 8]}, "made with another size (None, now [8, 8])"),
        ({"weights": "aa"}, "made with another threshold (0.5, now None)"),
    ],
)
def test_other_settings_are_done_again_and_said(
    settings: dict[str, object], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = picture(tmp_path / "a.png")
    predict([case], tmp_path / "out")
    assert predict([case], tmp_path / "out", settings=settings) == ["a"]
    assert said in caplog.text
    assert predict([case], tmp_path / "out", settings=settings) == []


def test_masks_of_unknown_origin_are_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    case = picture(tmp_path / "a.png")
    WritePredictions(tmp_path / "out", spec=SPEC).write({"id": "a"}, {"pred": torch.ones(1, 5, 6, dtype=torch.uint8)})
    assert predict([case], tmp_path / "out") == ["a"]
    assert "it is unknown from which pictures" in caplog.text


def test_what_another_picture_left_is_removed_and_what_the_same_one_has_stays(tmp_path: Path) -> None:
    out, case = tmp_path / "out", picture(tmp_path / "A" / "a.png", 1)
    predict([case], out, formats="png,rle,geojson")
    assert predict([case], out, formats="coco") == ["a"]
    assert sorted(path.name for path in out.glob("a*")) == ["a_mask.geojson", "a_mask.png"]
    assert predict([picture(tmp_path / "B" / "a.png", 2)], out, level=0) == ["a"]
    assert [path.name for path in out.glob("a*")] == ["a_mask.png"]
    assert (out / "masks_rle.csv").read_text().split() == ["case,class,width,height,rle"]
    assert '"annotations": []' in (out / "masks.coco.json").read_text()


def test_a_journal_of_somebody_elses_removes_nothing_outside(tmp_path: Path) -> None:
    out, case = tmp_path / "out", picture(tmp_path / "a.png")
    (tmp_path / "mine.txt").write_text("mine")
    journal = Journal(out)
    journal.add("a", Record({"threshold": 1}, None, ("../mine.txt",), {}))
    journal.close()
    predict([case], out)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_rows_of_finished_cases_outlive_a_kill_and_a_torn_line(tmp_path: Path) -> None:
    out, cases = tmp_path / "out", [picture(tmp_path / "in" / f"{name}.png") for name in "abc"]
    writer = WritePredictions(out, spec=SPEC, made_with=PLAIN)
    for case in cases[:2]:  # killed before `finish`
        loaded = {"id": case["id"], "image_meta_dict": {"filename_or_obj": case["image"]}}
        writer.write(loaded, {"pred": torch.ones(1, 5, 6, dtype=torch.uint8), "uncertainty": 0.25})
    writer.finished.close()
    journal = out / ".medseg" / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])
    assert not (out / "predictions.csv").exists()
    assert predict(cases, out) == ["b", "c"]
    assert counted(out) == ["a,lesion,30,0.2500,,,,1", "b,lesion,30,,,,,2", "c,lesion,30,,,,,3"]
    assert predict(cases, out) == []  # the torn line did not swallow the one after it


def test_names_that_are_not_utf8_are_remembered(tmp_path: Path) -> None:
    case = {**picture(tmp_path / "in" / "x.png"), "id": "caf\udce9"}
    predict([case], tmp_path / "out")
    assert predict([case], tmp_path / "out") == []
    assert [os.fsencode(path.name) for path in (tmp_path / "out").glob("*.png")] == [b"caf\xe9_mask.png"]


def test_a_name_that_is_too_long_is_not_finished(tmp_path: Path) -> None:
    case = {"id": "x" * 300, "image": "x.png"}
    assert unfinished([case], SPEC, tmp_path, overwrite=False) == [case]


def test_a_changed_mask_changes_the_rows_of_this_run_of_an_earlier_one_and_of_a_version_without_a_journal(
    tmp_path: Path,
) -> None:
    cases, out = [picture(tmp_path / "in" / f"{name}.png") for name in "ab"], tmp_path / "out"
    predict(cases, out)
    with (out / "predictions.csv").open("a") as table:
        table.write("old,lesion,30,,,,,\n")
    writer = WritePredictions(out, spec=SPEC, made_with=PLAIN)
    for name, count in (("a", 1), ("old", 2)):
        mask = np.zeros((1, 5, 6), np.uint8)
        mask[0, 0, :count] = 1
        writer.rewrite(name, mask, str(tmp_path / "in" / "a.png"))
    writer.finish()
    assert [row.split(",")[:3] for row in counted(out)] == [
        ["a", "lesion", "1"], ["b", "lesion", "30"], ["old", "lesion", "2"],
    ]  # fmt: skip


def test_a_folder_is_free_when_the_run_has_ended(tmp_path: Path) -> None:
    predict([picture(tmp_path / "in" / "a.png")], tmp_path / "out")
    code = "import pathlib, sys; from medseg_monai.files.writing import lock_folder; lock_folder(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=True)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from medseg_monai.files.writing import lock_folder; lock = lock_folder(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=-1, stdout=-1)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(FolderInUseError, match="wait until it has finished"):
            unfinished([], SPEC, tmp_path, overwrite=True, made_with=PLAIN)
        with pytest.raises(FolderInUseError, match="wait until it has finished"):
            WritePredictions(tmp_path, spec=SPEC, made_with=PLAIN)
    finally:
        holder.communicate()
    WritePredictions(tmp_path, spec=SPEC, made_with=PLAIN).finish()
    assert not lock_folder(tmp_path).release()


def test_parts_of_a_killed_run_are_removed_beside_every_case(tmp_path: Path) -> None:
    part = tmp_path / "clinic" / ".medseg-0123456789abcdef.part"
    part.parent.mkdir()
    part.touch()
    unfinished([{"id": "clinic/a", "image": "a.png"}], SPEC, tmp_path, overwrite=False, made_with=PLAIN)
    assert not part.exists()
