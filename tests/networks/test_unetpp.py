"""U-Net++: published size, averaged heads, pruning."""

import pytest
import torch

from medseg_monai.networks import UNetPlusPlus


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv_block(came, width):
    """Parameters of two 3x3 convolutions without bias, each with a batch norm's scale and shift."""
    return 9 * came * width + 9 * width * width + 4 * width


def test_published_size_by_hand():
    widths = (32, 64, 128, 256, 512)
    encoder = sum(conv_block(came, width) for came, width in zip((3, *widths[:-1]), widths, strict=True))
    nodes = sum(
        conv_block(column * widths[row] + widths[row + 1], widths[row])
        for column in range(1, 5)
        for row in range(5 - column)
    )
    heads = 4 * (32 + 1)
    assert parameters(UNetPlusPlus(3, 1)) == encoder + nodes + heads
    assert encoder + nodes + heads == pytest.approx(9.16e6, abs=5e3)


def test_size_on_an_encoder_of_other_widths_by_hand():
    maps, widths = (64, 64, 128), (4, 6, 8)  # ResNet-18's first three maps
    nodes = sum(
        conv_block(
            maps[row] + (column - 1) * widths[row] + (maps[row + 1] if column == 1 else widths[row + 1]), widths[row]
        )
        for column, row in ((1, 0), (1, 1), (2, 0))
    )
    network = UNetPlusPlus(3, 1, features=widths, encoder="resnet18")
    assert parameters(network) - parameters(network.encoder) == nodes + 2 * (4 + 1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = UNetPlusPlus(1, 2, features=(4, 5, 6, 7))
    network(torch.randn(4, 1, 32, 32))  # gives batch norm running statistics of its own
    return network.eval()


@pytest.fixture
def x():
    return torch.randn(2, 1, 33, 42, generator=torch.Generator().manual_seed(1))


def test_eval_is_the_mean_of_the_fast_modes(network, x):
    with torch.no_grad():
        heads = [network.pruned(depth)(x) for depth in (1, 2, 3)]
        torch.testing.assert_close(network(x), sum(heads) / 3)


def test_two_heads_are_averaged_too(x):
    network = UNetPlusPlus(1, 2, features=(4, 5, 6)).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(x), (network.pruned(1)(x) + network.pruned(2)(x)) / 2)


def test_training_lists_the_deepest_head_first(network, x):
    # running statistics in training mode, so that train and eval can be compared
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        heads = network(x)
        fast = [network.pruned(depth).eval()(x) for depth in (3, 1, 2)]
    for head, expected in zip(heads, fast, strict=True):
        torch.testing.assert_close(head, expected)


def test_pruned_holds_only_what_its_head_needs(network):
    smaller = network.pruned(2)
    assert sorted(smaller.nodes) == ["x_0_1", "x_0_2", "x_1_1"]
    assert list(smaller.heads) == ["x_0_2"]
    assert len(smaller.encoder.stages) == 3
    whole = network.state_dict()
    assert all(torch.equal(value, whole[key]) for key, value in smaller.state_dict().items())


def test_pruned_forgets_nothing_that_matters_and_shares_nothing(network, x):
    smaller = network.pruned(1)
    with torch.no_grad():
        before = smaller(x)
        for parameter in network.parameters():
            parameter.zero_()
        assert torch.equal(smaller(x), before)


def test_inference_depth_takes_the_whole_networks_weights(network, x):
    fast = UNetPlusPlus(1, 2, features=(4, 5, 6, 7), inference_depth=2).eval()
    fast.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(fast(x), network.pruned(2)(x))
    fast.load_state_dict(fast.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        UNetPlusPlus(1, 2, features=(4, 5, 9, 7), inference_depth=2).load_state_dict(network.state_dict())


def test_one_head_gives_a_tensor_in_training():
    heads = UNetPlusPlus(1, 1, features=(4, 5, 6), deep_supervision=False).train()(torch.zeros(2, 1, 32, 32))
    assert isinstance(heads, torch.Tensor)


def test_half_stem_works_at_half_resolution():
    network = UNetPlusPlus(1, 1, features=(4, 5, 6), stem_stride=2)
    sizes = []
    network.nodes["x_0_1"].register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[2:])))
    network(torch.zeros(2, 1, 33, 64))
    assert sizes == [(17, 32)]
    assert parameters(network) == parameters(UNetPlusPlus(1, 1, features=(4, 5, 6)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (32,)}, "at least 2"),
        ({"features": (32, 0)}, "positive"),
        ({"inference_depth": 5}, "1 to 4, not 5"),
        ({"inference_depth": 0}, "1 to 4, not 0"),
        ({"inference_depth": -1}, "1 to 4, not -1"),
        ({"inference_depth": 4, "encoder": "convnext_atto"}, "1 to 3, not 4"),  # which has four maps
        ({"stem_stride": 3}, "1 or 2, not 3"),
        ({"spatial_dims": 1}, "2 or 3, not 1"),
        ({"norm": "layer"}, "'batch' or 'instance'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNetPlusPlus(3, 1, **arguments)


def test_pruning_to_a_head_that_is_not_there_is_named(network):
    with pytest.raises(ValueError, match="no head"):
        network.pruned(4)
