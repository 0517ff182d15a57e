"""Every bundle's configs, with MONAI's own tools: properties, metadata, network, export; and both faces give one result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow, ckpt_export, run, verify_net_in_out
from PIL import Image

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
SMALL = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [64, 64]}


@pytest.fixture(params=BUNDLES, ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(REPOSITORY)
    return Path("bundles") / request.param.name


@pytest.mark.parametrize(("config", "kind"), [("train", "train"), ("evaluate", "infer"), ("inference", "infer")])
def test_configs_have_every_property_that_monai_requires(
    bundle: Path, config: str, kind: str, demo_data: Path, tmp_path: Path
) -> None:
    given = {"dataset_dir": str(demo_data / "images" if config == "inference" else demo_data), "output_dir": str(tmp_path)}
    file = str(bundle / "configs" / f"{config}.json")
    workflow = ConfigWorkflow(file, workflow_type=kind, logging_file=False, bundle_root=str(bundle), **given)
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


def test_weights_export_to_torchscript_by_monai(trained: Path, tmp_path: Path) -> None:
    bundle = REPOSITORY / "bundles" / "unetpp"
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        weights=str(trained),
    )
    exported = torch.jit.load(tmp_path / "model.ts").eval()
    assert exported(torch.zeros(1, 3, 64, 48)).shape == (1, 1, 64, 48)


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
