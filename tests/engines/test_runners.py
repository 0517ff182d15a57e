from pathlib import Path

import pytest

from medseg_monai.engines import EngineInferer
from medseg_monai.engines.runners import check_installed


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
