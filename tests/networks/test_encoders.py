"""Encoders: sizes of the maps, weights from a file, what is refused."""

import sys

import pytest
import timm
import torch

from medseg_monai.networks.encoders import PlainEncoder, StridedEncoder, TimmEncoder


def sizes(encoder, height, width):
    with torch.no_grad():
        return [tuple(level.shape[1:]) for level in encoder.eval()(torch.zeros(1, 3, height, width))]


def test_plain_encoder_rounds_sizes_up():
    assert sizes(PlainEncoder(3, (4, 5, 6)), 33, 64) == [(4, 33, 64), (5, 17, 32), (6, 9, 16)]
    assert sizes(PlainEncoder(3, (4, 5), stem_stride=2), 33, 64) == [(4, 17, 32), (5, 9, 16)]
    assert PlainEncoder(3, (4, 5, 6)).strides == (1, 2, 4)
    assert PlainEncoder(3, (4, 5, 6), stem_stride=2).strides == (2, 4, 8)


def test_strided_encoder_halves_at_each_level():
    assert sizes(StridedEncoder(3, (4, 5)), 33, 64) == [(4, 17, 32), (5, 9, 16)]


def test_timm_encoder_pads_to_its_coarsest_stride():
    # ConvNeXt's stem would drop the last row and column of 33 x 65
    encoder = TimmEncoder("convnext_atto", 3)
    assert encoder.strides == (4, 8, 16, 32)
    assert [size[1:] for size in sizes(encoder, 33, 65)] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_output_stride_dilates_instead_of_shrinking():
    encoder = TimmEncoder("resnet18", 3, output_stride=8)
    assert encoder.strides == (2, 4, 8, 8, 8)
    assert [size[1:] for size in sizes(encoder, 64, 64)] == [(32, 32), (16, 16), (8, 8), (8, 8), (8, 8)]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenetv3_small_050", "resnet10t"])
def test_stages_after_the_last_map_are_neither_kept_nor_computed(name):
    torch.manual_seed(0)
    whole = TimmEncoder(name, 3).eval()
    torch.manual_seed(0)
    first_two = TimmEncoder(name, 3, levels=2)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert all(map(torch.equal, first_two.eval()(image), whole(image)[:2]))
    sum(level.square().sum() for level in first_two.train()(image)).backward()
    assert [key for key, parameter in first_two.named_parameters() if parameter.grad is None] == []


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Weights of a whole classifier, as ImageNet's are kept."""
    torch.manual_seed(0)
    classifier = timm.create_model("resnet18").eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(classifier.state_dict(), path)
    return path, classifier


def test_weights_file_gives_the_classifiers_maps(imagenet):
    path, classifier = imagenet
    encoder = TimmEncoder("resnet18", 3, weights_file=path, levels=4).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = classifier.layer3(
            classifier.layer2(
                classifier.layer1(classifier.maxpool(classifier.act1(classifier.bn1(classifier.conv1(x)))))
            )
        )
        maps = encoder(x)
    assert len(maps) == 4
    torch.testing.assert_close(maps[-1], expected)


def test_weights_are_adapted_to_the_channels_of_the_image(imagenet):
    path, classifier = imagenet
    grey = TimmEncoder("resnet18", 1, weights_file=path)
    # one channel sees what three equal channels would
    torch.testing.assert_close(grey.model.conv1.weight, classifier.conv1.weight.sum(1, keepdim=True))


def test_foreign_weights_are_refused(imagenet):
    path, _ = imagenet
    with pytest.raises(ValueError, match="for another model|cannot be made"):
        TimmEncoder("mobilenetv3_small_050", 3, weights_file=path)


def test_missing_weights_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth is not there"):
        TimmEncoder("resnet18", 3, weights_file=tmp_path / "nowhere.pth")


def test_unknown_model_names_near_ones():
    with pytest.raises(ValueError, match="resnet34"):
        TimmEncoder("resnet_34", 3)


def test_model_without_a_pyramid_is_refused():
    with pytest.raises(ValueError, match="strides"):
        TimmEncoder("vit_tiny_patch16_224", 3)


def test_missing_timm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install timm"):
        TimmEncoder("resnet18", 3)


def test_plain_networks_do_not_import_timm():
    import subprocess

    code = "import sys, medseg_monai.networks as n; n.UNet(1, 1, features=(4, 4)); sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("levels", [None, 3])
def test_from_random_weights_residual_branches_count_from_the_first_step(levels):
    """Where timm's own default has zeros; all else is drawn as timm draws it."""
    torch.manual_seed(4)
    encoder = TimmEncoder("resnet18", 3, levels=levels)
    torch.manual_seed(4)
    expected = timm.create_model("resnet18", features_only=True, zero_init_last=False, scriptable=True).state_dict()
    found = encoder.model.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in found if "num_batches" not in key)
    assert all(weight.any() for key, weight in found.items() if key.endswith("bn2.weight"))


def test_given_weights_are_left_as_they_are(tmp_path):
    torch.manual_seed(4)
    classifier = timm.create_model("resnet18")  # the last norm of each branch is at zero
    torch.save(classifier.state_dict(), tmp_path / "imagenet.pt")
    encoder = TimmEncoder("resnet18", 3, weights_file=tmp_path / "imagenet.pt")
    weights = {key: weight for key, weight in encoder.model.state_dict().items() if key.endswith("bn2.weight")}
    assert len(weights) == 8
    assert not any(weight.any() for weight in weights.values())


def test_an_encoder_without_numbers_can_be_made():
    """As plans do, which measure a network's memory before it is made."""
    with torch.device("meta"):
        encoder = TimmEncoder("resnet18", 3, levels=3)
    assert encoder(torch.zeros(1, 3, 64, 64, device="meta"))[-1].shape == (1, 128, 8, 8)
