"""Weights describe themselves; a foreign file never runs code."""

import hashlib
import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from medseg_monai.bundle.trained import (
    Trained,
    describe,
    load_weights,
    write_weights,
)
from medseg_monai.files.writing import write_whole
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.quality.familiarity import DESCRIPTORS, learn_familiarity
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


def test_what_an_earlier_version_took_for_usual_is_left_out_and_said_once(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained.write(tmp_path)
    content = json.loads((tmp_path / "spec.json").read_text())
    part = {"name": "light", "mean": [0.5], "scale": [0.1], "covariance": [1.0], "usual": [0.0, 1.0]}
    earlier = {"parts": [part], "threshold": 3.3, "training": 400, "cases": 200, "flagged": 2}
    (tmp_path / "spec.json").write_text(json.dumps({**content, "familiarity": earlier}))
    assert Trained.read(tmp_path) == Trained.read(tmp_path) == trained
    [said] = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "spec.json") in said
    assert "until medseg review has run again" in said


def test_what_a_later_descriptor_took_for_usual_is_left_out_and_said(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 2))
    usual = learn_familiarity([{"light": row} for row in rows], [], version=DESCRIPTORS[2])
    replace(trained, familiarity=usual).write(tmp_path)
    assert Trained.read(tmp_path).familiarity == usual
    replace(trained, familiarity=replace(usual, descriptor=DESCRIPTORS[2] + 1)).write(tmp_path)
    assert Trained.read(tmp_path) == trained
    assert "another version learnt what usual images look like" in caplog.text


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
    with pytest.raises(ValueError, match=r"names os.system, which is not a network"):
        Trained.read(tmp_path)


@pytest.mark.parametrize("name", ["densenet.load_state_dict_from_url", "BasicUNet.__init__", "Nothing"])
def test_spec_that_names_a_function_is_refused(trained: Trained, name: str) -> None:
    foreign = replace(trained, architecture={"_target_": f"monai.networks.nets.{name}", "url": "file:///nowhere"})
    with pytest.raises((ValueError, ModuleNotFoundError), match=r"not a network|No module"):
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
        (
            torch.nn.Linear(2, 3),
            r"other classes, channels or widths: weight is \(1, 2\), but the network needs \(3, 2\)",
        ),
        (torch.nn.Linear(2, 1, bias=False), "also contains bias"),
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
    with pytest.raises(ValueError, match=r"w\.pt is (not a checkpoint|refused)"):
        load_weights(torch.nn.Linear(2, 1), tmp_path / "w.pt")


def saved(trained: Trained, folder: Path) -> nn.Module:
    """Weights in a folder, and the network that they are."""
    network = trained.build_network()
    write_weights(folder, network.state_dict(), trained)
    return network


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(value: float, trained: Trained, tmp_path: Path) -> None:
    network = trained.build_network()
    name, tensor = list(network.named_parameters())[-1]
    tensor.data.view(-1)[-1] = value
    write_weights(tmp_path, network.state_dict(), trained)
    with pytest.raises(ValueError, match=rf"model.pt cannot be used: {name} contains numbers that are not finite"):
        load_weights(trained.build_network(), tmp_path / "model.pt")


def test_every_flipped_bit_of_the_weights_is_noticed(trained: Trained, tmp_path: Path) -> None:
    saved(trained, tmp_path)
    content = (tmp_path / "model.pt").read_bytes()
    checksum = json.loads((tmp_path / "spec.json").read_text())["weights_sha256"]
    assert checksum == hashlib.sha256(content).hexdigest()
    for place in (0, len(content) // 2, len(content) - 1):
        flipped = bytearray(content)
        flipped[place] ^= 1
        (tmp_path / "model.pt").write_bytes(flipped)
        with pytest.raises(
            ValueError, match=r"model.pt is (not a checkpoint, or is damaged|damaged, or not the file that)"
        ):
            load_weights(trained.build_network(), tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(content)
    load_weights(trained.build_network(), tmp_path / "model.pt")


def test_the_checksum_is_that_of_model_pt_alone(trained: Trained, tmp_path: Path) -> None:
    """Other weights beside it are not what spec.json was written for, and a model.pt without a spec.json has no checksum."""
    saved(trained, tmp_path / "a")
    other = trained.build_network()
    torch.save(other.state_dict(), tmp_path / "a" / "last.pt")
    load_weights(trained.build_network(), tmp_path / "a" / "last.pt")
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "last.pt").rename(tmp_path / "b" / "model.pt")
    load_weights(trained.build_network(), tmp_path / "b" / "model.pt")


def test_weights_of_earlier_versions_have_no_checksum_and_load(trained: Trained, tmp_path: Path) -> None:
    network = trained.build_network()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    trained.write(tmp_path)
    assert "weights_sha256" not in json.loads((tmp_path / "spec.json").read_text())
    load_weights(trained.build_network(), tmp_path / "model.pt")
    saved(trained, tmp_path)
    assert "weights_sha256" in json.loads((tmp_path / "spec.json").read_text())


@pytest.mark.parametrize("kept", range(4))
def test_killed_while_weights_are_replaced_leaves_two_files_that_go_together(
    kept: int, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(replace(trained, training={"best_epoch": 1}), tmp_path)
    writes: list[str] = []

    def killed(path: Path, content: bytes | str, **_: bool) -> None:
        if len(writes) == kept:
            raise KeyboardInterrupt
        writes.append(path.name)
        write_whole(path, content)

    monkeypatch.setattr("medseg_monai.bundle.trained.write_whole", killed)
    try:
        saved(replace(trained, training={"best_epoch": 2}), tmp_path)
    except KeyboardInterrupt:
        assert kept < 3
    assert writes == ["spec.json", "model.pt", "spec.json"][:kept]
    load_weights(trained.build_network(), tmp_path / "model.pt")
    assert Trained.read(tmp_path).training == {"best_epoch": 2 if kept == 3 else 1}


def test_what_rewrites_the_spec_keeps_the_checksum(trained: Trained, tmp_path: Path) -> None:
    saved(trained, tmp_path)
    replace(Trained.read(tmp_path), cleaning=Cleaning(threshold=(0.4,))).write(tmp_path)
    load_weights(trained.build_network(), tmp_path / "model.pt")
    assert len(Trained.read(tmp_path).weights_sha256) == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("out_channels", 3, "out_channels 3, but needs 1 for lesion"),
        ("in_channels", 1, "in_channels 1, but needs 3 for red, green, blue"),
    ],
)
def test_a_network_with_other_channels_than_its_data_is_refused(
    key: str, value: int, message: str, trained: Trained, tmp_path: Path
) -> None:
    replace(trained, architecture={**ARCHITECTURE, key: value}).write(tmp_path)
    with pytest.raises(ValueError, match=message):
        Trained.read(tmp_path)
