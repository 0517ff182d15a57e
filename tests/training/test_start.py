"""What a training keeps of the weights that it starts from, and what it does not."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from medseg_monai.bundle.trained import Trained, describe, write_weights
from medseg_monai.networks import UNet
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.start import Start, find_start, first_network

SMALL = partial(UNet, in_channels=3, out_channels=1, features=[2, 4])


def weights(folder: Path, network: partial[UNet] = SMALL) -> UNet:
    """A network whose tensors are all thirds, saved with its spec."""
    made = network()
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.fill_(1 / 3 if tensor.is_floating_point() else 7)
    write_weights(folder, made.state_dict(), Trained(demo_spec(), describe(network), "unet"))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights(tmp_path)
    return tmp_path


def start(folder: Path, *, freeze_encoder: bool = False) -> Start:
    return Start(folder / "model.pt", freeze_encoder=freeze_encoder)


def test_all_is_kept_by_the_same_network(folder: Path) -> None:
    begun = start(folder)
    state = first_network(SMALL, begun).state_dict()
    assert all(
        torch.equal(tensor, torch.full_like(tensor, 1 / 3)) for tensor in state.values() if tensor.is_floating_point()
    )
    assert begun.kept == tuple(state)
    assert begun.describe() == f"Starts from {folder / 'model.pt'}: {len(state)} of {len(state)} tensors kept"


def test_other_classes_get_a_fresh_head(folder: Path) -> None:
    torch.manual_seed(5)
    fresh = partial(SMALL, out_channels=4)()
    torch.manual_seed(5)
    begun = start(folder)
    network = begun.put_into(partial(SMALL, out_channels=4)())
    assert begun.new == ("head.weight", "head.bias")
    assert torch.equal(network.head.weight, fresh.head.weight)
    others = [tensor for name, tensor in network.named_parameters() if not name.startswith("head.")]
    assert len(others) > 4
    assert all(bool((tensor == 1 / 3).all()) for tensor in others)
    total = len(network.state_dict())
    assert f"{total - 2} of {total} tensors kept; new" in begun.describe()
    assert begun.describe().endswith("there: head.weight, head.bias")


def test_other_channels_get_a_fresh_first_convolution(folder: Path) -> None:
    begun = start(folder)
    network = begun.put_into(partial(SMALL, in_channels=2)())
    (name,) = begun.new
    assert dict(network.named_parameters())[name].shape[1] == 2


def test_the_line_names_four_of_many(folder: Path) -> None:
    begun = start(folder)
    begun.put_into(partial(SMALL, features=[2, 5])())
    assert len(begun.new) > 5
    assert begun.describe().endswith(f"{begun.new[3]} and {len(begun.new) - 4} more")


@pytest.mark.parametrize("changed", [{"spatial_dims": 3}, {"features": [3, 5], "out_channels": 2, "in_channels": 1}])
def test_biases_that_fit_by_chance_are_no_start(changed: dict[str, object], folder: Path) -> None:
    with pytest.raises(ValueError, match="model.pt is for another network: none of its convolutions fits UNet"):
        start(folder).put_into(partial(SMALL, **changed)())  # type: ignore[arg-type]


def test_a_frozen_encoder_does_not_change(folder: Path) -> None:
    network = start(folder, freeze_encoder=True).put_into(partial(SMALL, out_channels=2)())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    network.train()
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "head.weight" in changed
    assert not [name for name in changed if name.startswith("encoder.")]  # nor the statistics of its norms


def test_what_is_new_in_a_frozen_encoder_learns(folder: Path) -> None:
    begun = start(folder, freeze_encoder=True)
    network = begun.put_into(partial(SMALL, in_channels=1)())
    learning = [
        name for name, parameter in network.encoder.named_parameters(prefix="encoder") if parameter.requires_grad
    ]
    assert learning == list(begun.new)


def test_an_encoder_must_be_there_to_be_frozen(folder: Path, tmp_path: Path) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    torch.save(network.state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="Conv2d has no part called encoder"):
        Start(tmp_path / "other.pt", freeze_encoder=True).put_into(network)


def test_the_network_is_built_as_the_weights_were(folder: Path) -> None:
    bundles = partial(UNet, in_channels=1, out_channels=9, features=[64, 128], spatial_dims=2)
    arguments = start(folder).arguments_for(bundles)
    assert arguments == {"features": [2, 4], "pretrained": False, "weights_file": None}
    assert start(folder).arguments_for(torch.nn.Conv2d) is None


def test_weights_without_a_spec_are_the_published_network(folder: Path) -> None:
    (folder / "spec.json").unlink()
    assert start(folder).arguments_for(SMALL) == {}


def test_nothing_to_start_from(tmp_path: Path) -> None:
    assert find_start(None, tmp_path) is None
    with pytest.raises(ValueError, match="nothing has trained the encoder"):
        find_start("", tmp_path, freeze_encoder=True)


def test_an_ensemble_is_no_start(folder: Path) -> None:
    spec = (folder / "spec.json").read_text()
    (folder / "spec.json").write_text(
        spec.replace("medseg_monai.networks.UNet", "medseg_monai.inference.averaging.NetworkEnsemble")
    )
    with pytest.raises(ValueError, match="holds an ensemble"):
        start(folder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    torch.save({**state, "head.bias": torch.full((1,), torch.nan)}, folder / "model.pt")
    with pytest.raises(ValueError, match="not finite"):
        start(folder).put_into(SMALL())


def test_a_start_that_is_gone_freezes_what_it_kept(folder: Path, tmp_path: Path) -> None:
    """What was new in the encoder learns on, what was kept does not; the network is built as the weights' was."""
    begun = start(folder, freeze_encoder=True)
    network = begun.put_into(partial(SMALL, in_channels=1)())
    lost = Start(tmp_path / "gone.pt", freeze_encoder=True, recorded=json.loads(json.dumps(begun.facts())))
    again = lost.put_into(partial(SMALL, in_channels=1)())
    frozen = [[name for name, each in made.named_parameters() if not each.requires_grad] for made in (network, again)]
    assert frozen[0] == frozen[1] != []
    assert lost.facts() == {**begun.facts(), "file": str(tmp_path / "gone.pt")}
    bundles = partial(UNet, in_channels=1, out_channels=9, features=[64, 128], spatial_dims=2)
    assert lost.arguments_for(bundles) == begun.arguments_for(bundles)
