import pytest
import torch
from exports import need, spec_of

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.convert import FORMATS, SUFFIXES, convert, to_onnx, to_openvino
from medseg_monai.export.exported import open_exported, read_facts
from medseg_monai.networks import UNet, UNetPlusPlus


@pytest.mark.parametrize(
    "fmt", [pytest.param(fmt, marks=pytest.mark.slow if fmt in ("openvino", "torch-export") else ()) for fmt in FORMATS]
)
def test_volumes(fmt, tmp_path):
    need(fmt)
    spec = DatasetSpec("ct", "binary", classes=("liver",), channels=("ct",), spatial_dims=3, size=(16, 24, 16))
    torch.manual_seed(0)
    network = UNet(1, 1, features=(4, 6, 8), spatial_dims=3).eval()
    file = tmp_path / f"model{SUFFIXES[fmt]}"
    convert(network, spec, file, fmt)
    images = torch.randn(1, 1, 21, 16, 30)
    with torch.no_grad():
        torch.testing.assert_close(open_exported(file)(images), network(images), rtol=1e-3, atol=1e-4)
    assert read_facts(file) == {}


def test_openvino_and_onnx_name_their_input_and_output(tmp_path):
    need("onnx"), need("openvino")
    import onnxruntime
    import openvino

    network, spec = UNetPlusPlus(3, 3, features=(4, 6, 8)).eval(), spec_of()
    to_onnx(network, spec, tmp_path / "m.onnx")
    to_openvino(network, spec, tmp_path / "m.xml")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert [session.get_inputs()[0].name, session.get_outputs()[0].name] == ["image", "logits"]
    assert session.get_inputs()[0].shape == ["batch", 3, "width", "height"]
    model = openvino.Core().read_model(str(tmp_path / "m.xml"))
    assert model.inputs[0].get_any_name() == "image"
    assert str(model.inputs[0].partial_shape) == "[?,3,?,?]"
