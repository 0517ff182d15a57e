from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from medseg_monai.engines import EngineInferer
from medseg_monai.engines.runners import check_installed, export_onnx, onnx_runner


def inferer(engine: str, folder: Path, **options: str) -> EngineInferer:
    return EngineInferer(engine, cache=folder, **options)


def test_unknown_engines_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="engine must be auto, torch, onnx, openvino, not 'tensorrt'"):
        inferer("tensorrt", tmp_path)
    monkeypatch.setattr("medseg_monai.engines.runners.is_installed", lambda engine: engine != "openvino")
    with pytest.raises(ImportError, match=r"pip install 'medseg-monai\[openvino\]'"):
        check_installed("openvino")
    with pytest.raises(ValueError, match="engine onnx runs on the CPU"):
        inferer("onnx", tmp_path, device="cuda")


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_onnx_runs_batches_of_any_size_on_any_number_of_cores(tmp_path: Path, cores: int, count: int) -> None:
    """Side by side or one after another: the same answers in the same order, and never more than two sessions."""
    onnxruntime = pytest.importorskip("onnxruntime")
    network = nn.Conv2d(3, 1, 3, padding=1).eval()
    file = export_onnx(network, torch.zeros(1, 3, 8, 8), tmp_path / "network.onnx")
    images, usual = torch.randn(count, 3, 8, 8), torch.get_num_threads()
    made: list[int] = []
    session = onnxruntime.InferenceSession

    def counted(path: str, options: Any, **rest: Any) -> Any:
        made.append(options.intra_op_num_threads)
        return session(path, options, **rest)

    try:
        torch.set_num_threads(cores)
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(onnxruntime, "InferenceSession", counted)
            run = onnx_runner(file)
            torch.testing.assert_close(run(images), network(images), rtol=1e-5, atol=1e-5)
            assert made == ([cores, 1] if 1 < cores <= count else [cores])
    finally:
        torch.set_num_threads(usual)
