"""Every bundle's configs, with MONAI's own tools: properties, metadata, network, export; and both faces give one result."""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow, ckpt_export, run, verify_net_in_out
from PIL import Image

from medseg_monai.bundle import untrained
from medseg_monai.evaluation.scores import read_evaluation
from medseg_monai.trained import Trained, load_weights
from medseg_monai.workflow import run_bundle

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
SMALL = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [64, 64]}


# networks of a few thousand weights: what takes seconds, not what is accurate
SMALL_BY_BUNDLE = {
    "deeplabv3plus": {"architecture#features": [4, 8, 8, 8], "architecture#width": 8, "architecture#skip_width": 4},
    "pspnet": {"architecture#features": [8, 16], "architecture#width": 16},
}


@pytest.fixture(params=BUNDLES, ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(REPOSITORY)
    return Path("bundles") / request.param.name


def sees_volumes(bundle: Path) -> bool:
    """Whether the bundle is made for volumes."""
    return untrained(bundle).dataset.spatial_dims == 3


@pytest.fixture
def own_data(bundle: Path, demo_data: Path, request: pytest.FixtureRequest) -> Path:
    """Generated data of the kind that the bundle is made for."""
    folder: Path = request.getfixturevalue("demo_volumes") if sees_volumes(bundle) else demo_data
    return folder


@pytest.fixture
def fresh(bundle: Path, tmp_path: Path) -> Path:
    """A folder with untrained weights of the bundle's own network."""
    trained = untrained(bundle)
    trained.write(tmp_path)
    torch.save(trained.build_network().state_dict(), tmp_path / "model.pt")
    return tmp_path


def test_bundles_are_equal_in_all_they_do_not_own() -> None:
    script = REPOSITORY / "scripts" / "sync_bundles.py"
    ended = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_drift_between_bundles_is_seen(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "bundles", tmp_path / "bundles", ignore=shutil.ignore_patterns("models"))
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    config = tmp_path / "bundles" / "unet" / "configs" / "train.json"
    config.write_text(config.read_text().replace('"val_interval": 1', '"val_interval": 2'))
    command = [sys.executable, str(tmp_path / "scripts" / "sync_bundles.py")]
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.splitlines()[0]) == (1, "differs: bundles/unet/configs/train.json")
    subprocess.run(command, capture_output=True, check=True)
    assert '"val_interval": 1' in config.read_text()


def test_each_bundle_trains_evaluates_and_predicts(bundle: Path, own_data: Path, tmp_path: Path) -> None:
    small = SMALL_BY_BUNDLE.get(bundle.name, {"architecture#features": [4, 8, 8]})
    train = {"dataset_dir": str(own_data), "output_dir": str(tmp_path), "bundle_root": str(bundle), "max_epochs": 1}
    config = str(bundle / "configs" / "train.json")
    size = [16, 16, 16] if sees_volumes(bundle) else [64, 64]
    run(run_id="training", config_file=config, batch_size=4, size=size, **train, **small)
    run_bundle(bundle, "evaluate", {"dataset_dir": str(own_data), "weights": str(tmp_path)})
    assert 0 <= read_evaluation(tmp_path / "evaluation_test").summary.overall.scores["dice"].mean <= 1
    masks = tmp_path / "masks"
    run_bundle(
        bundle,
        "inference",
        {"dataset_dir": str(own_data / "images"), "weights": str(tmp_path), "output_dir": str(masks)},
    )
    scans = list((own_data / "images").iterdir())
    assert len([path for path in masks.iterdir() if path.is_file()]) >= len(scans)


@pytest.mark.parametrize(("config", "kind"), [("train", "train"), ("evaluate", "infer"), ("inference", "infer")])
def test_configs_have_every_property_that_monai_requires(
    bundle: Path, config: str, kind: str, own_data: Path, fresh: Path
) -> None:
    data = own_data / "images" if config == "inference" else own_data
    given = {"dataset_dir": str(data), "output_dir": str(fresh / "out"), "bundle_root": str(bundle)}
    given |= {} if config == "train" else {"weights": str(fresh)}
    workflow = ConfigWorkflow(
        str(bundle / "configs" / f"{config}.json"), workflow_type=kind, logging_file=False, **given
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_metadata_follows_the_schema(bundle: Path) -> None:
    schema_file = REPOSITORY.parent / "shared" / "schemas" / "meta_schema_20240725.json"
    if not schema_file.is_file():
        pytest.skip("MONAI's schema is not here")
    import jsonschema

    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    jsonschema.validate(metadata, json.loads(schema_file.read_text()))
    assert metadata["version"] in metadata["changelog"]


def test_network_takes_and_gives_what_metadata_says(bundle: Path) -> None:
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        n=2,
        bundle_root=str(bundle),
    )


def test_weights_export_to_torchscript_by_monai(bundle: Path, fresh: Path) -> None:
    ckpt_export(
        "network_def",
        filepath=str(fresh / "model.ts"),
        ckpt_file=str(fresh / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        weights=str(fresh),
    )
    exported = torch.jit.load(fresh / "model.ts").eval()
    network = load_weights(Trained.read(fresh).build_network(), fresh / "model.pt").eval()
    image = torch.rand(1, 1, 24, 20, 17) if sees_volumes(bundle) else torch.rand(1, 3, 64, 50)
    assert torch.allclose(exported(image), network(image), atol=1e-5)


def test_monai_and_medseg_train_to_the_same_weights(demo_data: Path, trained: Path, tmp_path: Path) -> None:
    run(
        run_id="training",
        config_file=str(REPOSITORY / "bundles" / "unetpp" / "configs" / "train.json"),
        bundle_root=str(REPOSITORY / "bundles" / "unetpp"),
        dataset_dir=str(demo_data),
        output_dir=str(tmp_path),
        max_epochs=2,
        **SMALL,
    )
    ours, theirs = (torch.load(folder / "model.pt", weights_only=True) for folder in (trained, tmp_path))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_monai_and_medseg_predict_the_same_masks(medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    assert medseg("predict", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path / "ours").code == 0
    run(
        run_id="run",
        config_file=str(REPOSITORY / "bundles" / "unetpp" / "configs" / "inference.json"),
        bundle_root=str(REPOSITORY / "bundles" / "unetpp"),
        dataset_dir=str(demo_data / "images"),
        output_dir=str(tmp_path / "theirs"),
        weights=str(trained),
    )
    files = sorted((tmp_path / "ours").glob("*.png"))
    assert len(files) == 20
    for file in files:
        with Image.open(file) as ours, Image.open(tmp_path / "theirs" / file.name) as theirs:
            assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def call(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


OVERRIDES = ("--architecture#features", "[4,8,8]", "--size", "[64,64]", "--max_epochs", "1")


@pytest.mark.slow
def test_the_exact_training_command_trains_on_the_demo_data_and_says_so(tmp_path: Path) -> None:
    config = "bundles/unetpp/configs/train.json"
    ended = call(
        "-m", "monai.bundle", "run", "training", "--config_file", config, *OVERRIDES, "--output_dir", str(tmp_path)
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "model.pt").is_file()
    assert "NO DATA SET WAS NAMED" in ended.stderr


@pytest.mark.slow
def test_training_on_two_processes(demo_data: Path, tmp_path: Path) -> None:
    configs = [f"bundles/unetpp/configs/{name}.json" for name in ("train", "multi_gpu_train")]
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    training = ("-m", "monai.bundle", "run", "training", "--config_file", f"['{configs[0]}','{configs[1]}']")
    settings = (*OVERRIDES, "--dataset_dir", str(demo_data), "--output_dir", str(tmp_path), "--batch_size", "2")
    ended = call(*launcher, *training, *settings, OMP_NUM_THREADS="1")
    assert ended.returncode == 0, ended.stderr
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in state)


def targets(node):
    """Every ``_target_`` in a config, at any depth."""
    if isinstance(node, dict):
        yield from ([node["_target_"]] if "_target_" in node else [])
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from targets(child)


def test_no_target_has_the_name_of_a_module():
    # from Python 3.12 on, pydoc.locate, by which MONAI finds a target, prefers a module to a function of the same name
    configs = (json.loads(path.read_text()) for path in (REPOSITORY / "bundles").glob("*/configs/*.json"))
    found = {target for config in configs for target in targets(config)}
    assert len(found) > 10
    for target in sorted(name for name in found if "." in name):
        package = target.rpartition(".")[0]
        assert importlib.util.find_spec(package) is not None
        with contextlib.suppress(ModuleNotFoundError):  # a class's or function's own module is no package
            assert importlib.util.find_spec(target) is None, target
