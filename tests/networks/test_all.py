"""What every network must do, one battery for all of them.

A network that `medseg_monai.networks` exports is in it by itself, narrow but otherwise with its defaults. A row of `VARIANTS` adds a way
to build one that takes other code.
"""

import io
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_contract import check_contract, small_arguments
from torch import nn

from medseg_monai import networks
from medseg_monai.networks import DeepLabV3Plus, PSPNet, ResUNetPlusPlus, UNet, UNetPlusPlus

VARIANTS = {
    "unet half stem": (UNet, {"features": (4, 6, 8), "stem_stride": 2}),
    "unet resnet": (UNet, {"features": (4, 6, 8, 10, 12), "encoder": "resnet10t"}),
    "unet convnext": (UNet, {"features": (4, 6, 8), "encoder": "convnext_atto"}),
    "unet 3D": (UNet, {"features": (4, 6, 8), "spatial_dims": 3}),
    "unet heads": (UNet, {"features": (4, 6, 8), "deep_supervision": True}),
    "unetpp mobilenet": (UNetPlusPlus, {"features": (4, 6, 8, 8, 8), "encoder": "mobilenetv3_small_050"}),
    "unetpp resnet pruned": (
        UNetPlusPlus,
        {"features": (4, 6, 8, 8, 8), "encoder": "resnet10t", "inference_depth": 2},
    ),
    "pspnet no auxiliary": (PSPNet, {"features": (8, 12), "width": 16, "auxiliary": False}),
    "pspnet resnet": (PSPNet, {"encoder": "resnet10t", "width": 16, "output_stride": 8}),
    "deeplabv3plus resnet": (DeepLabV3Plus, {"encoder": "resnet10t", "width": 8, "skip_width": 4}),
    "resunetpp half stem": (ResUNetPlusPlus, {"features": (4, 6, 8, 8), "stem_stride": 2}),
    "resunetpp 3D": (ResUNetPlusPlus, {"features": (24, 8, 8), "spatial_dims": 3, "norm": "instance"}),
    "unetpp single head": (UNetPlusPlus, {"features": (4, 6, 8), "deep_supervision": False}),
    "unetpp half stem": (UNetPlusPlus, {"features": (4, 6, 8), "stem_stride": 2}),
    "unetpp pruned": (UNetPlusPlus, {"features": (4, 6, 8), "inference_depth": 1}),
    "unetpp 3D": (UNetPlusPlus, {"features": (4, 6, 8), "spatial_dims": 3, "norm": "instance"}),
}
NETWORKS = {**VARIANTS, **{name: (getattr(networks, name), {}) for name in networks.__all__}}
# The same code as the rest at more cost: export and tracing of these take most of the battery's minutes.
SLOW = (
    "unet half stem",
    "unet convnext",
    "unetpp mobilenet",
    "unetpp resnet pruned",
    "unetpp 3D",
    "pspnet resnet",
    "deeplabv3plus resnet",
    "resunetpp half stem",
    "resunetpp 3D",
)
each_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS]
)
PLAIN = [name for name, (_, options) in NETWORKS.items() if "encoder" not in options and "spatial_dims" not in options]


def build(name: str, in_channels: int = 3, out_channels: int = 2) -> nn.Module:
    torch.manual_seed(0)
    network_class, options = NETWORKS[name]
    return network_class(in_channels, out_channels, **(options or small_arguments(network_class)))


def image(name: str, *size: int, batch: int = 2, channels: int = 3) -> torch.Tensor:
    size = (*size, 16) if "3D" in name else size
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


@each_network
def test_keeps_the_rules_that_the_package_states(name):
    torch.manual_seed(0)
    check_contract(build(name), image(name, 35, 46), 2)


@each_network
@given(data=st.data())
@settings(deadline=None, max_examples=3)
def test_any_size_and_number_of_channels(name, data):
    top = 36 if "3D" in name else 75
    size = data.draw(st.tuples(*[st.integers(32, top)] * 2))
    channels, classes = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 4)))
    network = build(name, channels, classes).eval()
    x = image(name, *size, batch=1, channels=channels)
    with torch.no_grad():
        logits = network(x)
    assert logits.shape == (1, classes, *x.shape[2:])


@each_network
def test_gradient_reaches_every_parameter(name):
    network = build(name).train()
    without = {key for key, _ in network.named_parameters()}
    for _ in range(8):  # in one draw of the weights a ReLU may be dead
        with torch.no_grad():
            for parameter in network.parameters():  # ResNets start with scales of 0, which let no gradient through
                parameter += 0.1 * torch.randn_like(parameter)
        network.zero_grad()
        heads = network(image(name, 33, 40))
        sum(head.square().sum() for head in ([heads] if isinstance(heads, torch.Tensor) else heads)).backward()
        without -= {key for key, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        if not without:
            break
    assert without == set()


@each_network
def test_training_heads_have_the_input_size(name):
    x = image(name, 35, 46)
    heads = build(name).train()(x)
    for head in [heads] if isinstance(heads, torch.Tensor) else heads:
        assert head.shape == (2, 2, *x.shape[2:])


@pytest.mark.parametrize(
    ("name", "bottleneck", "last_stage"),
    [
        ("UNet", (4, 6), (64, 96)),
        ("UNetPlusPlus", (4, 6), (64, 96)),
        ("ResUNetPlusPlus", (8, 12), (64, 96)),
        ("PSPNet", (16, 24), (16, 24)),
        ("DeepLabV3Plus", (4, 6), (16, 24)),
    ],
)
def test_by_default_features_are_as_fine_as_in_the_figures(name, bottleneck, last_stage):
    network, sides = build(name).eval(), []
    for layer in (network.bottleneck, network.last_stage):
        layer.register_forward_hook(lambda _module, _inputs, output: sides.append(tuple(output.shape[2:])))
    network(image(name, 64, 96))
    assert sides == [bottleneck, last_stage]


@each_network
def test_a_batch_equals_its_images_one_by_one(name):
    network = build(name).eval()
    x = image(name, 34, 41)
    with torch.no_grad():
        whole = network(x)
        apart = torch.cat([network(x[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(whole, apart, rtol=1e-4, atol=1e-5)


@each_network
def test_batch_of_one_trains(name):
    network = build(name).train()
    # 64: at 32 a ResNet's coarsest map has one value, which its own batch norm cannot take
    heads = network(image(name, 64, 64, batch=1))
    main = heads if isinstance(heads, torch.Tensor) else heads[0]
    assert torch.isfinite(main).all()


@each_network
def test_script_and_trace_equal_eager(name):
    network = build(name).eval()
    x, other = image(name, 37, 46, batch=1), image(name, 46, 33, batch=2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of each shape that it may take for a constant
        scripted, traced = torch.jit.script(network), torch.jit.trace(network, x, check_trace=False)
        for exported in (scripted, traced):
            torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scripted(other), network(other), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_torch_export_equals_eager(name):
    network, x = build(name).eval(), image(name, 37, 46, batch=1)
    with torch.no_grad():
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_onnx_equals_eager_at_other_sizes(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    network, file = build(name).eval(), io.BytesIO()
    axes = {"x": {0: "batch", 2: "first", 3: "second"}}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (image(name, 37, 46),), file, dynamo=False, opset_version=18, input_names=["x"], dynamic_axes=axes
        )
        session = onnxruntime.InferenceSession(file.getvalue())
        for size in ((37, 46), (64, 33)):  # neither side of which 6 or 32 divides
            x = image(name, *size, batch=1)
            theirs = torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
            torch.testing.assert_close(theirs, network(x), rtol=1e-3, atol=1e-5)


@each_network
def test_state_dict_round_trip(name, tmp_path):
    network, other = build(name).eval(), build(name)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    x = image(name, 32, 38)
    with torch.no_grad():
        assert torch.equal(network(x), other.eval()(x))


@each_network
def test_channels_last_and_bf16_change_little(name):
    if "3D" in name:
        pytest.skip("channels_last is a 2D layout")
    network, x = build(name).eval(), image(name, 45, 34)
    with torch.no_grad():
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(x)
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-5)
    assert (half.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("features", [8, "48", [4, 0], [4.5, 8]])
def test_features_that_are_no_list_of_widths_are_named(features: object) -> None:
    with pytest.raises(ValueError, match="UNet: features must be at least 2 positive whole numbers, not "):
        UNet(3, 1, features=features)  # type: ignore[arg-type]
