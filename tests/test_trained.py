"""Weights describe themselves; a foreign file never runs code."""

import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet

from medseg_monai.prepare.demo import demo_spec
from medseg_monai.trained import Trained, describe, load_weights
from medseg_monai.transforms.cleaning import Cleaning

ARCHITECTURE = {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 1,
                "features": [4, 4, 4, 4, 4, 4]}  # fmt: skip


@pytest.fixture
def trained() -> Trained:
    return Trained(dataset=demo_spec(), architecture=ARCHITECTURE, bundle="unetpp", training={"best_epoch": 3})


def test_spec_round_trip(trained: Trained, tmp_path: Path) -> None:
    trained.write(tmp_path)
    assert Trained.read(tmp_path) == trained


def test_cleaning_lies_beside_the_weights_where_there_is_any(trained: Trained, tmp_path: Path) -> None:
    trained.write(tmp_path)
    assert "cleaning" not in json.loads((tmp_path / "spec.json").read_text())
    tuned = replace(trained, cleaning=Cleaning(threshold=(0.4,), min_size=(25,)))
    tuned.write(tmp_path)
    assert Trained.read(tmp_path) == tuned


def test_a_cleaning_that_is_none_is_named(trained: Trained, tmp_path: Path) -> None:
    trained.write(tmp_path)
    content = json.loads((tmp_path / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(json.dumps({**content, "cleaning": {"thresholds": [0.4]}}))
    with pytest.raises(ValueError, match=r"spec.json does not describe .*did you mean 'threshold'"):
        Trained.read(tmp_path)


def test_spec_builds_the_network_it_describes(trained: Trained) -> None:
    assert isinstance(trained.build_network(), BasicUNet)


def test_spec_with_a_foreign_callable_is_refused(trained: Trained, tmp_path: Path) -> None:
    trained.write(tmp_path)
    content = json.loads((tmp_path / "spec.json").read_text())
    content["architecture"]["_target_"] = "os.system"
    (tmp_path / "spec.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"names os.system, which is no network"):
        Trained.read(tmp_path)


@pytest.mark.parametrize("name", ["densenet.load_state_dict_from_url", "BasicUNet.__init__", "Nothing"])
def test_spec_that_names_a_function_is_refused(trained: Trained, name: str) -> None:
    foreign = replace(trained, architecture={"_target_": f"monai.networks.nets.{name}", "url": "file:///nowhere"})
    with pytest.raises((ValueError, ModuleNotFoundError), match=r"no network: refused|No module"):
        foreign.build_network()


def test_trained_encoders_are_not_fetched_again() -> None:
    architecture = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1,
                    "encoder": "resnet10t", "pretrained": True, "weights_file": "long_gone.pt"}  # fmt: skip
    Trained(dataset=demo_spec(), architecture=architecture, bundle="unet").build_network()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"dataset": {}}'])
def test_a_file_that_is_no_spec(content: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(ValueError, match=r"spec.json does not describe trained weights"):
        Trained.read(tmp_path)


def test_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="spec.json is missing"):
        Trained.read(tmp_path)


def test_describe_uses_the_public_path() -> None:
    from medseg_monai.networks import UNetPlusPlus

    described = describe(partial(UNetPlusPlus, in_channels=3, out_channels=1))
    assert described == {"_target_": "medseg_monai.networks.UNetPlusPlus", "in_channels": 3, "out_channels": 1}


def test_weights_load_bare_or_inside_a_training_state(tmp_path: Path) -> None:
    source, target = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for content in (source.state_dict(), {"network": source.state_dict(), "epoch": 3}):
        torch.save(content, tmp_path / "w.pt")
        assert torch.equal(load_weights(target, tmp_path / "w.pt").weight, source.weight)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (torch.nn.Linear(2, 3), r"other classes, channels or widths: weight is \(1, 2\), the network needs \(3, 2\)"),
        (torch.nn.Linear(2, 1, bias=False), "also holds bias"),
        (torch.nn.Sequential(torch.nn.Linear(2, 1)), "another network: it lacks 0.bias"),
    ],
)
def test_weights_for_another_network(network: torch.nn.Module, message: str, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=message):
        load_weights(network, tmp_path / "w.pt")


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("pwned"),))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": RunsCode()}, "zip.pt")
    Path("raw.pt").write_bytes(pickle.dumps(RunsCode()))
    for name in ("zip.pt", "raw.pt"):
        with pytest.raises(ValueError, match="is refused"):
            load_weights(torch.nn.Linear(2, 1), name)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("content", [b"", b"a text file\n", b"PK\x03\x04 broken zip"])
def test_a_file_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pt is (no checkpoint|refused)"):
        load_weights(torch.nn.Linear(2, 1), tmp_path / "w.pt")
