"""Maps against an independent implementation, hand arithmetic, and networks that can look at one place only."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.layers import LayerError, list_layers
from medseg_monai.explain.maps import PaperGradCAMpp, class_heads, explain, heat
from medseg_monai.networks import PSPNet, ResUNetPlusPlus, UNet, UNetPlusPlus

NETWORKS = {
    "unet": (UNet, {"features": (8, 16, 16)}, ["encoder.stages.1", "bottleneck", "decoder.0", "last_stage"]),
    "unetpp": (UNetPlusPlus, {"features": (8, 16, 16)}, ["encoder.stages.0", "bottleneck", "nodes.x_0_1"]),
    "pspnet": (PSPNet, {"features": (8, 16), "width": 16}, ["encoder.stages.0", "bottleneck", "fusion"]),
    "resunetpp": (ResUNetPlusPlus, {"features": (4, 8, 16)}, ["encoder.0", "bottleneck", "decoder.0", "last_stage"]),
}
REGION = torch.zeros(48, 32)
REGION[8:30, 5:20] = 1


def build(name: str, classes: int = 2) -> nn.Module:
    torch.manual_seed(1)  # with which no map of a ReLU is constant
    network_class, options, _ = NETWORKS[name]
    return network_class(3, classes, **options).eval()


def picture(width: int = 48, height: int = 32) -> torch.Tensor:
    return torch.randn(1, 3, width, height, generator=torch.Generator().manual_seed(1))


def spec(**options) -> DatasetSpec:
    return DatasetSpec(**{
        "name": "x", "task": "multilabel", "classes": ("a", "b"), "channels": ("r", "g", "b"), "size": (48, 32), **options,
    })  # fmt: skip


def grad_cam_package(method: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("pytorch_grad_cam")
        from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
    return getattr(package, method), SemanticSegmentationTarget


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name, row in NETWORKS.items() for layer in row[2]])
def test_grad_cam_equals_the_grad_cam_package(name, layer):
    method, target = grad_cam_package("GradCAM")
    network, x = build(name), picture()
    ours, note = heat(explain(network, x, channel=1, region=REGION, layer=layer).values)
    with method(network, [network.get_submodule(layer)]) as cam:
        theirs = cam(x, [target(1, REGION.numpy())])[0]
    assert note == ""
    assert np.ptp(theirs) > 0.9
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize("layer", ["encoder.stages.1", "bottleneck", "decoder.0"])
def test_grad_cam_pp_equals_the_grad_cam_package(layer):
    method, target = grad_cam_package("GradCAMPlusPlus")
    network, x = build("unet"), picture()
    with torch.no_grad():
        network.head.weight *= (
            1e6  # the package adds 1e-6 to a denominator of squared gradients, which must be small beside them
        )
    pixel = torch.zeros(48, 32)
    pixel[20, 10] = 1
    ours, _ = heat(explain(network, x, channel=1, region=pixel, method="gradcampp", layer=layer).values)
    with method(network, [network.get_submodule(layer)]) as cam:
        theirs = cam(x, [target(1, pixel.numpy())])[0]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


class Tiny(nn.Module):
    """Two feature maps, the image and its negative, that a 1x1 head of known weights turns into two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Conv2d(1, 2, 1, bias=False)
        self.last_stage = nn.ReLU(inplace=True)
        self.head = nn.Conv2d(2, 2, 1)
        with torch.no_grad():
            self.bottleneck.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[2.0, 3.0], [1.0, -4.0]]).view(2, 2, 1, 1))
            self.head.bias.copy_(torch.tensor([10.0, 20.0]))

    def forward(self, x):
        return self.head(self.last_stage(self.bottleneck(x)))


TINY_IMAGE = torch.tensor([[[[1.0, -2.0, 0.0], [0.0, 3.0, -1.0]]]])
WHOLE = torch.ones(2, 3)


def test_cam_by_hand():
    found = explain(Tiny(), TINY_IMAGE, channel=0, region=WHOLE, method="cam")
    # class 0: 2 * positive part + 3 * negative part
    assert found.values.tolist() == [[2, 6, 0], [0, 6, 3]]
    assert found.score == pytest.approx(17 / 6 + 10)
    scaled, note = heat(found.values)
    torch.testing.assert_close(scaled, torch.tensor([[1 / 3, 1, 0], [0, 1, 0.5]]))
    assert note == ""


def test_grad_cam_by_hand():
    pixel = torch.zeros(2, 3)
    pixel[1, 1] = 1  # there the image is 3: the first map alone has a gradient, of 1 (class 1), 1/6 in the mean
    found = explain(Tiny(), TINY_IMAGE, channel=1, region=pixel, layer="last_stage")
    # mean gradients: class weights 1 and -4, each over 6 pixels; positive part of (first - 4 * second) / 6
    torch.testing.assert_close(found.values, torch.tensor([[1.0, 0, 0], [0, 3, 0]]) / 6)
    assert found.score == pytest.approx(23)


def test_monais_cam_agrees_with_ours():
    from monai.visualize import CAM

    network = Tiny()

    class Classifier(nn.Module):  # MONAI's CAM wants (B, K) and a dense layer
        def __init__(self):
            super().__init__()
            self.network, self.fc = network, nn.Linear(2, 2)
            self.fc.weight.data.copy_(network.head.weight[..., 0, 0])
            self.fc.bias.data.copy_(network.head.bias)

        def forward(self, x):
            return self.network(x).mean((2, 3))

    theirs = CAM(Classifier(), "network.last_stage", "fc").compute_map(TINY_IMAGE, class_idx=torch.tensor([1]))
    ours = explain(network, TINY_IMAGE, channel=1, region=WHOLE, method="cam").values
    torch.testing.assert_close(theirs[0, 0] - 20, ours)


@pytest.mark.parametrize("name", NETWORKS)
def test_cam_and_bias_are_the_logits(name):
    """Of U-Net++ too, whose answer is the mean of its heads."""
    network, x = build(name), picture()
    found = explain(network, x, channel=1, region=REGION, method="cam")
    bias = torch.stack([head.bias[1] for head in class_heads(network).values()]).mean()
    with torch.no_grad():
        logits = network(x)[0, 1]
    torch.testing.assert_close(found.values + bias, logits, atol=1e-5, rtol=1e-5)
    assert found.score == pytest.approx(float(logits[REGION > 0].mean()), abs=1e-5)


def test_cam_of_one_head_of_unetpp():
    network, x = build("unetpp"), picture()
    one = explain(network, x, channel=0, region=REGION, method="cam", layer="heads.x_0_2").values
    both = explain(network, x, channel=0, region=REGION, method="cam").values
    assert not torch.allclose(one, both)
    with pytest.raises(LayerError, match=r"'bottleneck' has none.*gradcam"):
        explain(network, x, channel=0, region=REGION, method="cam", layer="bottleneck")


class LooksLeft(nn.Module):
    """Sees nothing at x >= 20 of an image 48 wide: (C, W, H), so x is the first spatial axis."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.last_stage = nn.Identity()
        self.head = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        features = self.last_stage(self.bottleneck(x))
        seen = torch.arange(x.shape[2]).view(-1, 1) < 20
        answer = self.head(features * seen)
        return answer + answer.mean((2, 3), keepdim=True)


@pytest.mark.parametrize("method", ["cam", "gradcampp", "occlusion", "gradcam"])
def test_a_network_that_looks_left_has_its_map_on_the_left(method, capfd):
    torch.manual_seed(3)
    network = LooksLeft().eval()
    image = picture()
    image[:, :, 18:] = 0  # where Grad-CAM's features are; its weights are means over all pixels
    with torch.no_grad():
        network.bottleneck[0].bias.zero_()
        network.head.weight.abs_()
    values, _ = heat(explain(network, image, channel=0, region=torch.ones(48, 32), method=method).values)
    left, right = values[:20].sum(), values[24:].sum()
    assert left > 0
    if method == "cam":  # the head is asked at every pixel: on the right it answers nothing but its bias
        assert values[24:].std() < 1e-6
    else:
        assert right <= 0.02 * left
    assert capfd.readouterr() == ("", "")  # a bar for each map would bury the one that counts images


def test_works_without_gradients_and_leaves_the_network_alone():
    network = build("unet")
    network.train()
    expected = explain(build("unet"), picture(), channel=0, region=REGION).values
    with torch.no_grad():
        torch.testing.assert_close(explain(network, picture(), channel=0, region=REGION).values, expected)
    with torch.inference_mode():
        torch.testing.assert_close(explain(network, picture(), channel=0, region=REGION).values, expected)
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_changes_nothing(name):
    network, x = build(name), picture()
    for layer in NETWORKS[name][2]:
        for method in ("gradcam", "gradcampp"):
            expected = explain(network, x, channel=0, region=REGION, method=method, layer=layer).values
            last = network.to(memory_format=torch.channels_last)
            x_last = x.to(memory_format=torch.channels_last)
            found = explain(last, x_last, channel=0, region=REGION, method=method, layer=layer).values
            torch.testing.assert_close(heat(found)[0], heat(expected)[0], atol=1e-4, rtol=1e-3)


class Twice(nn.Module):
    """The same layer on the image and on what it made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.bottleneck.weight, 2.0)

    def forward(self, x):
        return self.bottleneck(self.bottleneck(x).relu_())


def test_a_layer_that_runs_twice_has_each_run_weighed_by_its_own_gradient():
    image = torch.tensor([[[[1.0, 3.0]]]])
    found = explain(Twice(), image, channel=0, region=torch.ones(1, 2))
    # first run: 2x with mean gradient 2/2; second: 4x with 1/2, the score being the mean of two pixels
    assert found.values.tolist() == [[2 + 2, 6 + 6]]


def test_what_says_nothing_is_said():
    network, x = build("unet"), picture()
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.zero_()
    dead = explain(network, x, channel=0, region=REGION, layer="bottleneck")
    assert "dead gradient" in dead.note
    assert heat(dead.values) == (pytest.approx(torch.zeros(48, 32)), "constant map: no place counts more than another")
    tiny = Tiny()
    against = explain(tiny, -TINY_IMAGE.abs(), channel=1, region=WHOLE, layer="last_stage")
    assert against.note == "nowhere positive: the features of layer last_stage speak against the class"
    assert "not finite" in heat(torch.tensor([0.0, float("nan")]))[1]


def test_a_constant_image_has_a_constant_map_where_nothing_has_a_border():
    found = explain(Tiny(), torch.ones(1, 1, 2, 3), channel=0, region=WHOLE, method="cam")
    values, note = heat(found.values)
    assert (values.tolist(), note) == (torch.zeros(2, 3).tolist(), "constant map: no place counts more than another")


def test_mistakes_are_named():
    network, x = build("unet"), picture()
    with pytest.raises(LayerError, match=r"UNet has no layer 'bottlenek' \(did you mean 'bottleneck'\?\)"):
        explain(network, x, channel=0, region=REGION, layer="bottlenek")
    with pytest.raises(LayerError, match=r"'encoder' outputs a list, not a single feature map"):
        explain(network, x, channel=0, region=REGION, layer="encoder")
    with pytest.raises(LayerError, match=r"'decoder' does not run"):
        explain(network, x, channel=0, region=REGION, layer="decoder")
    with pytest.raises(ValueError, match=r"'gradcan' \(did you mean 'gradcam'\?\)"):
        explain(network, x, channel=0, region=REGION, method="gradcan")
    with pytest.raises(ValueError, match="empty"):
        explain(network, x, channel=0, region=REGION * 0)
    with pytest.raises(LayerError, match=r"no 1x1 convolution .* use gradcam"):
        class_heads(nn.Conv2d(1, 1, 3))


def test_layers_are_stages_with_their_channels_and_strides():
    found = {layer.name: (layer.channels, layer.stride) for layer in list_layers(build("unet"), spec())}
    assert found == {
        "encoder.stages.0": (8, (1, 1)), "encoder.stages.1": (16, (2, 2)), "encoder.stages.2": (16, (4, 4)),
        "bottleneck": (16, (4, 4)), "decoder.0": (16, (2, 2)), "decoder.1": (8, (1, 1)), "last_stage": (8, (1, 1)),
    }  # fmt: skip
    # PSPNet's pooled branches have no stride; all that is listed can be explained
    pspnet = build("pspnet")
    for layer in list_layers(pspnet, spec()):
        assert explain(pspnet, picture(), channel=0, region=REGION, layer=layer.name).values.shape == (48, 32)


def test_volumes():
    torch.manual_seed(0)
    network = UNet(1, 2, features=(4, 8), spatial_dims=3).eval()
    x = torch.randn(1, 1, 12, 10, 8)
    region = torch.zeros(12, 10, 8)
    region[2:5, 3:6, 1:4] = 1
    for method in ("cam", "gradcam", "gradcampp"):
        found = explain(network, x, channel=1, region=region, method=method)
        assert found.values.shape == (12, 10, 8)
        assert found.score == pytest.approx(float(network(x)[0, 1][region > 0].mean().detach()), abs=1e-5)


def test_grad_cam_pp_needs_no_large_gradients():
    """A mean over a large region has gradients of 1e-6: a constant in the denominator would outweigh them."""
    activation = torch.tensor([[[[1.0, 2.0]], [[3.0, 1.0]]]])
    gradient = torch.tensor([[[[1.0, -1.0]], [[2.0, 1.0]]]]) * 1e-9

    class Recorded:
        def __call__(self, *_):
            return None, (activation,), (gradient,)

    method = PaperGradCAMpp(nn.Identity(), "")
    method.nn_module = Recorded()
    found = method.compute_map(activation, layer_idx=0)
    # the denominator is 2: weights are half the sum of the rising gradients, 0.5e-9 and 1.5e-9
    torch.testing.assert_close(found / 1e-9, torch.tensor([[[[0.5 + 4.5, 1.0 + 1.5]]]]))
