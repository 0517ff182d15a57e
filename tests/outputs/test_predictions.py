"""What prediction writes: names, sizes, values; unfinished cases."""

import errno
import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from PIL import Image
from torch.utils.data import DataLoader

from medseg_monai.dataset import DatasetSpec
from medseg_monai.files.csv_tables import read_records
from medseg_monai.files.writing import DiskFullError
from medseg_monai.inference.cases import CaseStream
from medseg_monai.outputs.pictures import picture_file
from medseg_monai.outputs.predictions import WritePredictions, output_files, unfinished
from medseg_monai.quality.conformal import Margins

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
ORGANS = DatasetSpec("d", "multilabel", classes=("large bowel", "stomach"), channels=("grey",), size=(8, 8))
NUMBERS = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(8, 8))


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    ("spec", "options", "names"),
    [
        (BINARY, {}, ["x_mask.png"]),
        (BINARY, {"probabilities": True, "overlays": True}, ["x_mask.png", "x_probability.png", "x_overlay.jpg"]),
        (ORGANS, {}, ["x_mask_large_bowel.png", "x_mask_stomach.png"]),
        (NUMBERS, {"probabilities": True}, ["x_mask.png", "x_probability_a.png", "x_probability_b.png"]),
    ],
)
def test_file_names(spec: DatasetSpec, options: dict[str, bool], names: list[str]) -> None:
    assert output_files("clinic/x", spec, "out", **options) == [Path("out/clinic") / name for name in names]


def test_an_id_may_not_leave_the_folder() -> None:
    with pytest.raises(ValueError, match="leads outside the output folder"):
        output_files("../elsewhere", BINARY, "out")


def test_overlapping_organs_are_a_file_each(tmp_path: Path) -> None:
    mask = torch.zeros(2, 4, 3, dtype=torch.uint8)
    mask[0, 3, :] = mask[1, 3, 0] = mask[1, 0, 0] = 1
    files = WritePredictions(tmp_path, spec=ORGANS).write({"id": "x"}, {"pred": mask})
    assert [file.name for file in files] == ["x_mask_large_bowel.png", "x_mask_stomach.png"]
    # images are rows by columns: x = 3 is the last column
    assert pixels(files[0]).tolist() == [[0, 0, 0, 255]] * 3
    assert pixels(files[1]).tolist() == [[255, 0, 0, 255], [0] * 4, [0] * 4]


def test_probabilities_leave_out_the_background(tmp_path: Path) -> None:
    maps = torch.tensor([0.2, 0.3, 0.5])[:, None, None].expand(3, 2, 5)
    writer = WritePredictions(tmp_path, spec=NUMBERS, probabilities=True)
    files = writer.write({"id": "x"}, {"pred": torch.full((1, 2, 5), 2, dtype=torch.uint8), "probability": maps})
    assert {file.name: pixels(file).ravel()[0] for file in files} == {
        "x_probability_a.png": round(0.3 * 255), "x_probability_b.png": round(0.5 * 255), "x_mask.png": 2,
    }  # fmt: skip
    assert pixels(files[0]).shape == (5, 2)


def test_uncertainty_is_a_picture_of_shares_of_255(tmp_path: Path) -> None:
    unsure = torch.tensor([[[0.0, 0.2], [0.6, 1.0], [0.5, 0.1]]])
    answer = {"pred": torch.ones(1, 3, 2, dtype=torch.uint8), "uncertainty_map": unsure}
    files = WritePredictions(tmp_path, spec=BINARY, uncertainty=True).write({"id": "x"}, answer)
    assert [file.name for file in files] == ["x_uncertainty.png", "x_mask.png"]
    assert pixels(files[0]).tolist() == [[0, 153, 128], [51, 255, 26]]


def test_an_overlay_is_the_photograph_with_outlines(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (90, 120, 200)).save(tmp_path / "i.png")
    mask = torch.zeros(1, 40, 30, dtype=torch.uint8)
    mask[0, 10:30, 10:20] = 1
    case = {
        "id": "x",
        "image": str(tmp_path / "i.png"),
        "image_meta_dict": {"filename_or_obj": str(tmp_path / "i.png")},
    }
    files = WritePredictions(tmp_path, spec=BINARY, overlays=True).write(case, {"pred": mask})
    assert [file.name for file in files] == ["x_overlay.jpg", "x_mask.png"]
    drawn = pixels(files[0]).astype(int)
    changed = np.abs(drawn - (90, 120, 200)).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert drawn.shape == (30, 40, 3)
    assert 8 <= rows.min() <= 10
    assert 19 <= rows.max() <= 21
    assert 8 <= columns.min() <= 10
    assert 29 <= columns.max() <= 31


def test_a_case_is_unfinished_until_every_file_is_there(tmp_path: Path) -> None:
    case = {"id": "x"}
    for file in output_files("x", ORGANS, tmp_path):
        assert unfinished([case], ORGANS, tmp_path, overwrite=False) == [case]
        file.touch()
    assert unfinished([case], ORGANS, tmp_path, overwrite=False) == []
    assert unfinished([case], ORGANS, tmp_path, overwrite=False, overlays=True) == [case]
    assert unfinished([case], ORGANS, tmp_path, overwrite=True) == [case]
    plain, drawing = (WritePredictions(tmp_path, spec=ORGANS, overlays=wanted) for wanted in (False, True))
    assert plain.unfinished([case], overwrite=False) == []
    assert plain.unfinished([case], overwrite=True) == [case]
    assert drawing.unfinished([case], overwrite=False) == [case]


def test_a_full_disk_leaves_no_half_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        WritePredictions(tmp_path, spec=BINARY).write({"id": "x"}, {"pred": torch.ones(1, 4, 4, dtype=torch.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_formats_are_checked_and_named(tmp_path: Path) -> None:
    names = [file.name for file in output_files("x", BINARY, tmp_path, formats="geojson", uncertainty=True)]
    assert names == ["x_mask.geojson", "x_uncertainty.png"]
    with pytest.raises(ValueError, match="unknown format 'geojsn' for masks of photographs .did you mean 'geojson'"):
        output_files("x", BINARY, tmp_path, formats=["geojsn"])
    with pytest.raises(ValueError, match="unknown format 'nifti' for masks of photographs"):
        WritePredictions(tmp_path, spec=BINARY, formats="nifti")


def test_every_format_holds_the_same_mask(tmp_path: Path) -> None:
    mask = torch.zeros(1, 4, 3, dtype=torch.uint8)
    mask[0, 1:3, 0] = 1
    writer = WritePredictions(tmp_path, spec=BINARY, formats="png,geojson,coco,rle")
    meta = {"filename_or_obj": "photographs/x.jpg"}
    writer.write({"id": "x", "image_meta_dict": meta}, {"pred": mask, "uncertainty": 0.125})
    writer.finish()
    assert pixels(tmp_path / "x_mask.png").tolist() == [[0, 255, 255, 0], [0] * 4, [0] * 4]
    (feature,) = json.loads((tmp_path / "x_mask.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [[[1, 0], [3, 0], [3, 1], [1, 1], [1, 0]]]
    coco = json.loads((tmp_path / "masks.coco.json").read_text())
    assert coco["images"] == [{"id": 1, "case": "x", "file_name": "x.jpg", "width": 4, "height": 3}]
    assert coco["annotations"][0]["bbox"] == [1, 0, 2, 1]
    assert (tmp_path / "masks_rle.csv").read_text().split()[1] == "x,lesion,4,3,2"
    assert (tmp_path / "predictions.csv").read_text().split()[1] == "x,lesion,2,0.1250,,,,1"


def test_a_case_that_a_table_lacks_is_unfinished(tmp_path: Path) -> None:
    WritePredictions(tmp_path, spec=BINARY).write({"id": "x"}, {"pred": torch.ones(1, 4, 4, dtype=torch.uint8)})
    case = {"id": "x"}
    assert unfinished([case], BINARY, tmp_path, overwrite=False) == []
    assert unfinished([case], BINARY, tmp_path, overwrite=False, formats="png,coco") == [case]


def answered(ids: str) -> SimpleNamespace:
    """An engine that has just done a batch."""
    batch = [{"id": name} for name in ids]
    output = [{"pred": torch.ones(1, 8, 8, dtype=torch.uint8)} for _ in ids]
    return SimpleNamespace(state=SimpleNamespace(batch=batch, output=output))


def test_writers_keep_few_cases_waiting_and_finish_all(tmp_path: Path) -> None:
    writer = WritePredictions(tmp_path, spec=BINARY)
    for batch in ("abcd", "efgh", "ijkl"):
        writer(answered(batch))
        assert len(writer._pending) <= 4
    writer.finish()
    assert sorted(file.name[0] for file in tmp_path.glob("*.png")) == list("abcdefghijkl")
    assert len((tmp_path / "predictions.csv").read_text().split()) == 13


def test_a_writers_error_comes_out_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "b_mask.png").mkdir()  # where a file cannot be put
    writer = WritePredictions(tmp_path, spec=BINARY)
    writer(answered("abc"))
    with pytest.raises(OSError, match="b_mask.png"):
        writer.finish()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a_mask.png",
        "b_mask.png",
        "c_mask.png",
        "predictions.csv",
    ]


def test_outer_and_inner_masks_are_written_of_what_is_probable_enough(tmp_path: Path) -> None:
    margins = Margins((0.2,), (0.8,), rate=0.9, cover=0.95, cases=30)
    writer = WritePredictions(tmp_path, spec=BINARY, margins=margins)
    probability = torch.tensor([[[0.1, 0.2, 0.5, 0.8]]]).transpose(1, 2)  # 4 wide, 1 high
    writer.write({"id": "x"}, {"pred": (probability > 0.5).to(torch.uint8), "probability": probability})
    writer.finish()
    assert pixels(tmp_path / "x_outer.png").tolist() == [[0, 255, 255, 255]]
    assert pixels(tmp_path / "x_inner.png").tolist() == [[0, 0, 0, 255]]
    assert unfinished([{"id": "x"}], BINARY, tmp_path, overwrite=False, margins=True) == []
    (tmp_path / "x_inner.png").unlink()
    assert unfinished([{"id": "x"}], BINARY, tmp_path, overwrite=False, margins=True) == [{"id": "x"}]


def evaluator(
    cases: list[dict[str, object]], folder: Path, *, broken: str = "", **options: object
) -> tuple[Engine, CaseStream]:
    """An engine over `CaseStream`, a case at a time, with the handler attached; its step raises at the case `broken`."""
    scans = CaseStream(cases, dict)

    def step(engine: Engine, batch: list[dict[str, object]]) -> list[dict[str, object]]:
        if batch[0]["id"] == broken:
            raise KeyError("the network")
        engine.state.batch = batch
        return [{"pred": case.get("pred", torch.ones(1, 8, 8, dtype=torch.uint8))} for case in batch]

    engine = Engine(step)
    engine.data_loader = SimpleNamespace(dataset=scans)  # type: ignore[attr-defined]
    WritePredictions(folder, spec=BINARY, **options).attach(engine)  # type: ignore[arg-type]
    return engine, scans


def cases_of(ids: str, **more: dict[str, object]) -> list[dict[str, object]]:
    return [{"id": name, "image": f"{name}.jpg", **more.get(name, {})} for name in ids]


def in_table(folder: Path) -> list[str]:
    return [line.split(",")[0] for line in (folder / "predictions.csv").read_text().splitlines()[1:]]


def test_a_case_that_was_set_aside_is_passed_over_and_one_that_cannot_be_written_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "b_mask.png").mkdir()  # where a file cannot be put
    cases = cases_of("abcd", c={"pred": None})
    engine, scans = evaluator(cases, tmp_path)
    engine.run([[case] for case in cases])
    assert [failure.path for failure in scans.failures] == ["b.jpg"]
    assert in_table(tmp_path) == ["a", "d"]
    assert sorted(path.name for path in tmp_path.glob("*_mask.png")) == ["a_mask.png", "b_mask.png", "d_mask.png"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write-scan")]


def test_a_full_disk_ends_the_run_and_is_not_the_cases_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if len(list(tmp_path.glob("*_mask.png"))) >= 2:  # and stays full
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    cases = cases_of("abcdefghijkl")
    engine, scans = evaluator(cases, tmp_path)
    with pytest.raises(DiskFullError):
        engine.run([[case] for case in cases])
    assert scans.failures == []
    assert engine.state.iteration < len(cases)


def test_what_was_finished_is_kept_when_the_network_fails(tmp_path: Path) -> None:
    (tmp_path / "a_mask.png").mkdir()
    cases = cases_of("abcd")
    engine, _ = evaluator(cases, tmp_path, broken="d")
    with pytest.raises(KeyError, match="the network"):
        engine.run([[case] for case in cases])
    assert in_table(tmp_path) == ["b", "c"]
    assert "a.jpg" in (tmp_path / "failures.csv").read_text()


def test_a_table_that_cannot_be_written_is_said_but_not_before_the_first_error(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").mkdir()
    writer = WritePredictions(tmp_path, spec=BINARY)
    writer(answered("a"))
    with pytest.raises(OSError, match=r"predictions\.csv"):
        writer.finish()
    (tmp_path / "b_mask.png").mkdir()
    writer(answered("b"))
    with pytest.raises(OSError, match=r"b_mask\.png"):
        writer.finish()


def test_a_mask_that_was_changed_is_changed_in_every_table_and_picture(tmp_path: Path) -> None:
    image = tmp_path / "x.png"
    Image.new("RGB", (8, 6), (90, 120, 200)).save(image)
    case = {"id": "x", "image": str(image), "image_meta_dict": {"filename_or_obj": str(image)}}
    writer = WritePredictions(tmp_path, spec=BINARY, overlays=True, pictures=True, formats="png,rle")
    writer.write(case, {"pred": torch.ones(1, 8, 6, dtype=torch.uint8), "uncertainty": 0.5, "flagged": True})
    small = picture_file(tmp_path, "x")
    before = {file: file.read_bytes() for file in (tmp_path / "x_overlay.jpg", small)}
    mask = np.zeros((1, 8, 6), np.uint8)
    mask[0, 2:5, 3] = 1
    writer.rewrite("x", mask, str(image))
    writer.finish()
    (row,) = read_records(tmp_path / "predictions.csv")
    assert (row["pixels"], row["uncertainty"], row["flagged"]) == ("3", "0.5000", "yes")
    assert (tmp_path / "masks_rle.csv").read_text().splitlines()[1] == "x,lesion,8,6,27 3"
    assert all(file.read_bytes() != content for file, content in before.items())


class Stream:
    """Records the cases that are set aside."""

    def __init__(self) -> None:
        self.aside: list[str] = []

    def guarded(self, transform: Any) -> Any:
        return transform


def begin(writer: WritePredictions, *others: Callable[..., None]) -> None:
    """Start an evaluator with nothing to do, at which the writer and others look."""
    engine = SupervisedEvaluator("cpu", DataLoader([0]), torch.nn.Identity())
    writer.attach(engine)
    for handler in others:
        engine.add_event_handler(Events.EPOCH_COMPLETED, handler)
    engine.fire_event(Events.STARTED)


def test_what_a_user_adds_to_the_evaluator_gets_tensors(tmp_path: Path) -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    writer = WritePredictions(tmp_path, spec=spec)
    later = writer.later(Stream(), lambda case: {**case, "pred": torch.ones(1, 4, 4)})  # type: ignore[arg-type]
    case = {"id": "a", "pred": torch.zeros(1, 4, 4)}
    assert torch.equal(later(case)["pred"], torch.ones(1, 4, 4)), "nobody is there yet to finish it"
    begin(writer, lambda _: None)
    assert torch.equal(later(case)["pred"], torch.ones(1, 4, 4))
    begin(writer)
    assert callable(later(case)["pred"])


def test_photographs_are_finished_by_the_threads_that_write_and_volumes_before(tmp_path: Path) -> None:
    """The evaluator passes on what is to be done; nothing is done in its own thread."""
    seen: list[str] = []

    def transform(case: dict[str, Any]) -> dict[str, Any]:
        seen.append(threading.current_thread().name)
        return {**case, "pred": torch.zeros(1, 4, 4, dtype=torch.uint8)}

    photo = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    writer = WritePredictions(tmp_path / "p", spec=photo)
    later = writer.later(Stream(), transform)  # type: ignore[arg-type]
    begin(writer)
    passed = later({"id": "a", "pred": torch.zeros(1, 4, 4)})
    assert callable(passed["pred"])
    assert seen == []
    assert torch.equal(passed["pred"]()["pred"], torch.zeros(1, 4, 4, dtype=torch.uint8))
    volume = DatasetSpec("x", "binary", classes=("a",), channels=("ct",), size=(4, 4, 4), spatial_dims=3)
    at_once = WritePredictions(tmp_path / "v", spec=volume).later(Stream(), transform)  # type: ignore[arg-type]
    assert isinstance(at_once({"id": "a", "pred": torch.zeros(1, 4, 4)})["pred"], torch.Tensor)


@pytest.mark.parametrize("error", [ValueError("no mask"), KeyError("a defect")])
def test_an_image_that_cannot_be_finished_is_a_failure_and_a_defect_is_not_hidden(
    error: Exception, tmp_path: Path
) -> None:
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))

    def transform(case: dict[str, Any]) -> dict[str, Any]:
        if case["id"] == "b":
            raise error
        return {**case, "pred": torch.ones(1, 4, 4, dtype=torch.uint8)}

    data = [{"id": name, "image": name, "image_meta_dict": {"filename_or_obj": name}} for name in "abc"]
    stream = CaseStream(data, dict)
    writer = WritePredictions(tmp_path, spec=spec)
    later = writer.later(stream, transform)
    engine = SimpleNamespace(data_loader=SimpleNamespace(dataset=stream), state=SimpleNamespace())
    engine.add_event_handler = lambda *_: None
    begin(writer)
    writer.attach(engine)  # type: ignore[arg-type]
    engine.state.batch = data
    engine.state.output = [later({**case, "pred": torch.zeros(1, 4, 4)}) for case in data]
    with nullcontext() if isinstance(error, ValueError) else pytest.raises(KeyError, match="a defect"):
        writer(engine)  # type: ignore[arg-type]
        writer.finish()
    assert (tmp_path / "a_mask.png").is_file()
    if isinstance(error, ValueError):
        assert [(failure.path, failure.reason) for failure in stream.failures] == [("b", "no mask")]
        assert (tmp_path / "c_mask.png").is_file()
