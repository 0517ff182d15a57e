"""What TensorBoard shows: curves and the panel of validation cases, in the log of the training they belong to."""

import io
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SMALL
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures import drawing
from medseg_monai.training.folder import begin, publish
from medseg_monai.training.tensorboard import TAG, EventLog, ValidationPanel, as_view, stacked

SPEC = DatasetSpec("demo", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=(32, 24))


def read_log(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    log.Reload()
    return log


def validated(number, *, size=(32, 24)):
    """What validation has of a case: an even grey image, a square found and one 4 pixels beside it true."""
    image = torch.full((3, *size), (number / 255 - 0.5) / 0.25)
    pred, label = torch.zeros(2, 1, *size)
    pred[0, 8:16, 8:16] = label[0, 12:20, 8:16] = 1
    return {"image": image, "pred": pred, "label": label}


def run(panel, epoch, batches):
    engine = SimpleNamespace(state=SimpleNamespace(epoch=epoch, output=None))
    panel._begin(engine)
    for batch in batches:
        engine.state.output = batch
        panel._look(engine)
    panel._write(engine)


def test_file_is_opened_when_something_is_written(tmp_path):
    log = EventLog(tmp_path / "log")
    log.flush()
    assert not (tmp_path / "log").exists()
    log.add_scalar("loss", 0.5, 3)
    log.flush()
    assert [(event.step, event.value) for event in read_log(tmp_path / "log").Scalars("loss")] == [(3, 0.5)]


def test_panel_shows_the_same_cases_each_n_epochs(tmp_path):
    panel = ValidationPanel(EventLog(tmp_path), spec=SPEC, count=7, interval=2, shown=3)
    for epoch in range(1, 6):
        run(panel, epoch, [[validated(30 * i) for i in range(3)], [validated(30 * i) for i in range(3, 7)]])
    events = read_log(tmp_path).Images(TAG)
    assert [event.step for event in events] == [1, 3, 5]
    pictures = [np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) for event in events]
    height = 24 * (224 // 32)
    assert pictures[0].shape == (3 * height + 2 * 4, 3 * 224 + 2 * 4, 3)
    assert (pictures[0] == pictures[2]).all()
    greys = [pictures[0][row * (height + 4) + 2, 2, 0] for row in range(3)]
    assert greys == [0, 90, 180]  # cases 0, 3 and 6 with the grey that they had before they were normalised


def test_differences_stand_where_they_are(tmp_path):
    panel = ValidationPanel(EventLog(tmp_path), spec=SPEC, count=1)
    run(panel, 1, [[validated(100)]])
    errors = np.asarray(Image.open(io.BytesIO(read_log(tmp_path).Images(TAG)[0].encoded_image_string)))[:, -224:]
    pale = 100 // 2 + 127
    for x, colour, opacity in (
        (9, drawing.SPURIOUS_COLOUR, 0.85),
        (14, drawing.RIGHT_COLOUR, 0.35),
        (18, drawing.MISSED_COLOUR, 0.85),
    ):
        expected = pale * (1 - opacity) + np.multiply(colour, opacity)
        assert errors[12 * 7, x * 7] == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("interval", [0, 5])
def test_no_panel_is_asked_for_or_there_are_no_cases(tmp_path, interval):
    handlers = []
    engine = SimpleNamespace(add_event_handler=lambda event, handler: handlers.append(handler))
    panel = ValidationPanel(EventLog(tmp_path / "log"), spec=SPEC, count=0, interval=interval)
    panel.attach(engine)
    assert bool(handlers) == bool(interval)
    run(panel, 1, [])
    assert not (tmp_path / "log").exists()


def test_volumes_and_images_of_another_grid_are_shown():
    spec = DatasetSpec(
        "ct", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(8, 8, 8),
        intensity=Intensity("window", lower=-100, upper=300, mean=(0.0,), std=(1.0,)),
    )  # fmt: skip
    masks = torch.zeros(2, 12, 10, 6)
    masks[1, 3:7, 2:6, 4] = 1
    view = as_view(torch.full((1, 6, 5, 3), 0.5), masks, masks, spec)
    assert view.image.shape == (1, 12, 10, 6)
    assert (view.image == 128).all()
    assert not view.colour
    _, pred, _ = view.picture_and_masks()
    assert pred.any(axis=(1, 2)).tolist() == [False, True]  # the slice that holds something


def test_rows_of_several_widths_make_one_panel():
    wide, narrow = np.zeros((4, 9, 3), np.uint8), np.zeros((3, 5, 3), np.uint8)
    panel = stacked([wide, narrow])
    assert panel.shape == (4 + 4 + 3, 9, 3)
    assert (panel[8:, 5:] == 255).all()


def test_training_logs_curves_and_panels_and_a_second_one_starts_a_log_of_its_own(medseg, demo_data, tmp_path):
    arguments = ("train", "unetpp", "-d", demo_data, *SMALL, "--output-dir", tmp_path, "--set", "panel_interval=2")
    for epochs in (3, 1):
        assert medseg(*arguments, "--max-epochs", epochs).code == 0
    earlier, latest = read_log(tmp_path / "previous" / "1" / "tensorboard"), read_log(tmp_path / "tensorboard")
    assert [event.step for event in earlier.Images(TAG)] == [1, 3]
    assert [event.step for event in earlier.Scalars("mean_dice")] == [1, 2, 3]
    assert [event.step for event in latest.Images(TAG)] == [1]
    assert [event.step for event in latest.Scalars("mean_dice")] == [1]
    assert "loss" in latest.Tags()["scalars"]


def test_the_log_moves_with_the_first_validated_epoch(tmp_path):
    log = EventLog(tmp_path / "tensorboard")
    begin(tmp_path)
    log.add_scalar("loss", 3.0, 1)
    log.flush()
    assert not (tmp_path / "tensorboard").exists()
    publish(tmp_path)
    log.add_scalar("loss", 2.0, 2)
    log.flush()
    points = read_log(tmp_path / "tensorboard").Scalars("loss")
    assert [(point.step, point.value) for point in points] == [(1, 3.0), (2, 2.0)]


def test_a_log_that_cannot_be_written_only_warns(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file where the log's folder should be")
    log = EventLog(tmp_path / "tensorboard")
    for step in range(3):
        log.add_scalar("loss", 1.0, step)
        log.flush()
    assert len([record for record in caplog.records if "no TensorBoard log" in record.message]) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of the writer's own thread
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own thread
def test_a_log_whose_folder_is_removed_only_warns(tmp_path, caplog):
    log = EventLog(tmp_path / "tensorboard")
    log.add_scalar("loss", 1.0, 0)
    log.flush()
    shutil.rmtree(tmp_path / "tensorboard")
    for step in range(1, 4):
        log.add_scalar("loss", 1.0, step)
        log.flush()
        time.sleep(0.2)  # that thread meets the missing folder now, not in the middle of another test
    assert "no TensorBoard log" in caplog.text
