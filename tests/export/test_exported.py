import warnings

import torch
from conftest import REPOSITORY
from exports import need

from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.export.exported import open_exported, read_facts


def test_fast_mode_is_exported_as_the_network_that_it_is(tmp_path, trained, medseg):
    out = tmp_path / "fast.ts"
    ended = medseg("export", "unetpp", "--weights", trained, "--out", out, "--set", "inference_depth=1")
    assert ended.code == 0, ended.err
    assert "mask Dice 1.00000" in ended.out
    whole, fast = torch.load(trained / "model.pt", weights_only=True), torch.jit.load(str(out)).state_dict()
    assert set(fast) < set(whole)
    assert read_facts(out)["spec"]["architecture"]["inference_depth"] == 1


def test_monai_exports_to_onnx_and_torchscript_too(tmp_path, trained):
    """``monai.bundle onnx_export`` and ``ckpt_export`` on a bundle and weights of ours."""
    need("onnx")
    from monai.bundle import ckpt_export, onnx_export

    bundle = REPOSITORY / "bundles" / "unetpp"
    given = {
        "ckpt_file": str(trained / "model.pt"),
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
        "bundle_root": str(bundle),
        "weights": str(trained),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI calls the exporters that torch is retiring
        onnx_export("network_def", filepath=str(tmp_path / "monai.onnx"), **given)
        ckpt_export("network_def", filepath=str(tmp_path / "monai.ts"), **given)
    import onnxruntime

    network = load_weights(Trained.read(trained).build_network(), trained / "model.pt").eval()
    image = torch.randn(1, 3, 32, 32)  # metadata.json's 32*n with n = 1, to which MONAI binds the file
    session = onnxruntime.InferenceSession(str(tmp_path / "monai.onnx"))
    (theirs,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(torch.from_numpy(theirs), expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(open_exported(tmp_path / "monai.ts")(image), expected, rtol=1e-3, atol=1e-4)
