"""A config that has run: what it holds, and that its failures do not end the program."""

from pathlib import Path

import pytest

from medseg_monai.api.running import run_config
from medseg_monai.api.training import Training
from medseg_monai.bundle.paths import find_bundle


def test_failures_are_in_the_result(training: Training, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    values = {"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out"), "weights": str(training.folder)}
    done = run_config(find_bundle("unet"), "inference", values, assignments={})
    assert [failure.path for failure in done.failures] == [str(tmp_path / "a.png")]
    assert done.part("spec").name == "demo"
    assert done.notes == ()


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown config key 'batchsize'.*batch_size"):
        run_config(find_bundle("unet"), "inference", {"dataset_dir": str(tmp_path)}, assignments={"batchsize": 1})
