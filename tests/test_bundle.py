"""Bundles are found by name; weights describe themselves; a foreign file never runs code."""

import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet

from medseg_monai.bundle import Trained, describe, find_bundle, find_weights, load_weights, share, training_spec
from medseg_monai.prepare.demo import demo_spec

ARCHITECTURE = {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 1,
                "features": [4, 4, 4, 4, 4, 4]}  # fmt: skip


@pytest.fixture
def trained() -> Trained:
    return Trained(dataset=demo_spec(), architecture=ARCHITECTURE, bundle="unetpp", training={"best_epoch": 3})


def test_a_misspelt_bundle_names_the_right_one() -> None:
    with pytest.raises(FileNotFoundError, match=r"no bundle 'unetp' .did you mean 'unetpp'"):
        find_bundle("unetp")


def test_a_bundle_is_found_by_name_and_by_folder() -> None:
    assert find_bundle(find_bundle("unetpp")).name == "unetpp"


def test_spec_round_trip(trained: Trained, tmp_path: Path) -> None:
    trained.write(tmp_path)
    assert Trained.read(tmp_path) == trained


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


def test_every_process_has_a_case() -> None:
    cases = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert [share(cases, rank, 2) for rank in range(2)] == [[cases[0], cases[2]], [cases[1]]]
    assert [len(share(cases[:1], rank, 3)) for rank in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("size", [128, "128"])
def test_size_must_be_a_list(size: object) -> None:
    with pytest.raises(ValueError, match=r"size is a list, \[width, height\]"):
        training_spec(demo_spec(), size)


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


def weights(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "models" / name).mkdir(parents=True, exist_ok=True)
        (folder / "models" / name / "model.pt").touch()


def test_weights_shipped_come_first_then_the_only_training(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained weights yet"):
        find_weights(tmp_path)
    weights(tmp_path, "isic2017")
    assert find_weights(tmp_path) == tmp_path / "models" / "isic2017" / "model.pt"
    weights(tmp_path, "demo")
    with pytest.raises(FileNotFoundError, match=r"several trained weights .demo, isic2017."):
        find_weights(tmp_path)
    assert find_weights(tmp_path, "demo") == tmp_path / "models" / "demo" / "model.pt"
    weights(tmp_path, ".")
    assert find_weights(tmp_path) == tmp_path / "models" / "model.pt"


def test_weights_by_file_folder_or_not_at_all(tmp_path: Path) -> None:
    weights(tmp_path, "demo")
    folder = tmp_path / "models" / "demo"
    assert find_weights(tmp_path, folder) == find_weights(tmp_path, folder / "model.pt") == folder / "model.pt"
    with pytest.raises(FileNotFoundError, match="no weights 'isic'"):
        find_weights(tmp_path, "isic")


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
