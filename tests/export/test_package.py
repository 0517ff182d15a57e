"""A packaged bundle meets the zoo's rules and predicts the same masks elsewhere; each broken rule is seen."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from PIL import Image

from medseg_monai.bundle.trained import Trained, read_weights, write_weights
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.export.check import LARGEST_FILE, check_bundle, opened
from medseg_monai.export.package import data_licence, package
from medseg_monai.inference.averaging import NetworkEnsemble
from medseg_monai.prepare.demo import demo_spec

BUNDLE = REPOSITORY / "bundles" / "unetpp"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Stands for the wheel where nothing is installed from it."""
    file = tmp_path_factory.mktemp("wheel") / "medseg_monai-0.1.0-py3-none-any.whl"
    file.write_bytes(b"wheel")
    return file


@pytest.fixture(scope="module")
def zipped(trained: Path, demo_data: Path, wheel: Path, tmp_path_factory) -> Path:
    weights = tmp_path_factory.mktemp("weights") / "demo"
    shutil.copytree(trained, weights)
    run_bundle(BUNDLE, "evaluate", {"dataset_dir": str(demo_data), "weights": str(weights)})
    out = tmp_path_factory.mktemp("zip") / "unetpp.zip"
    rules = package(BUNDLE, weights / "model.pt", out, wheel=wheel)
    assert [str(rule) for rule in rules if not rule.ok] == []
    return out


@pytest.fixture
def unpacked(zipped: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "unetpp"


def failed(bundle: Path) -> dict[str, str]:
    return {rule.name: rule.problem for rule in check_bundle(bundle) if not rule.ok}


def test_the_zip_holds_all_that_runs_and_says_what_it_is(unpacked: Path, trained: Path):
    assert {path.name for path in unpacked.iterdir()} == {
        *("LICENSE", "configs", "docs", "models", "requirements.txt", "wheel")
    }
    assert sorted(path.name for path in (unpacked / "models").iterdir()) == ["model.pt", "model.ts", "spec.json"]
    card = (unpacked / "docs" / "README.md").read_text()
    assert "trained on **demo**" in card
    assert "### Split test" in card
    assert "ships no weights" not in card
    assert str(trained.parent) not in card, "paths of whoever made it are nobody's business"
    metadata = json.loads((unpacked / "configs" / "metadata.json").read_text())
    assert 0 <= metadata["eval_metrics"]["mean_dice"] <= 1
    assert metadata["required_packages_version"]["medseg-monai"] == "0.1.0"
    assert "Licence: Apache-2.0" in (unpacked / "docs" / "data_license.txt").read_text()
    assert "medseg-monai==0.1.0" in (unpacked / "requirements.txt").read_text()


def test_it_predicts_the_same_masks_from_an_empty_folder(
    unpacked: Path, trained: Path, demo_data: Path, tmp_path, monkeypatch
):
    run_bundle(
        BUNDLE,
        "inference",
        {"dataset_dir": str(demo_data / "images"), "weights": str(trained), "output_dir": str(tmp_path / "ours")},
    )
    monkeypatch.chdir(unpacked)
    from monai.bundle import run

    run(
        config_file="configs/inference.json",
        bundle_root=".",
        dataset_dir=str(demo_data / "images"),
        output_dir=str(tmp_path / "theirs"),
    )
    ours = sorted((tmp_path / "ours").glob("*_mask.png"))
    assert len(ours) == 20
    for file in ours:
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "theirs" / file.name)))


def test_missing_files_are_seen(unpacked: Path):
    rules = {
        "LICENSE": "LICENSE",
        "docs/README.md, the model card": "docs/README.md",
        "docs/data_license.txt": "docs/data_license.txt",
        "inference config": "configs/inference.json",
        "models/model.pt": "models/model.pt",
    }
    for name in rules.values():
        (unpacked / name).unlink()
    assert rules.keys() <= failed(unpacked).keys()


def test_an_empty_text_a_version_and_a_schema_are_seen(unpacked: Path):
    (unpacked / "LICENSE").write_text(" \n")
    file = unpacked / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["version"] = "0.2.0"
    del metadata["task"]
    file.write_text(json.dumps(metadata))
    found = failed(unpacked)
    assert found["LICENSE"].startswith("it is empty")
    assert "0.2.0 has no entry" in found["version in changelog"]
    assert found["configs/metadata.json follows MONAI's schema"] == "task is missing"


def test_a_large_file_is_seen_but_not_where_a_training_left_it(unpacked: Path):
    (unpacked / "models" / "mine").mkdir()
    for place in ("models/mine/last.pt", "models/big.pt"):
        with (unpacked / place).open("wb") as file:
            file.truncate(LARGEST_FILE + 1)
    found = failed(unpacked)
    assert found.keys() == {"no file over 25 MB"}
    assert "models/big.pt (25 MB)" in found["no file over 25 MB"]
    assert "mine" not in found["no file over 25 MB"]


def test_other_channels_and_other_answers_are_seen(unpacked: Path):
    file = unpacked / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] = 5
    file.write_text(json.dumps(metadata))
    state = torch.load(unpacked / "models" / "model.pt", weights_only=True)
    moved = {key: value + 1 for key, value in state.items()}
    write_weights(unpacked / "models", moved, Trained.read(unpacked / "models"))
    found = failed(unpacked)
    assert "doesn't match" in found["network's input and output as in metadata.json"]
    assert "gives other answers" in found["TorchScript"]


def test_check_command_says_each_rule_and_ends_accordingly(medseg, zipped: Path, tmp_path: Path):
    good = medseg("check", zipped)
    assert (good.code, good.out.count("ok  ")) == (0, 10)
    without_weights = tmp_path / "unetpp"
    shutil.copytree(REPOSITORY / "bundles" / "unetpp", without_weights, ignore=shutil.ignore_patterns("models"))
    bad = medseg("check", without_weights)
    assert bad.code == 1
    assert "failed  models/model.pt: there are none: `medseg package unetpp" in bad.out
    (tmp_path / "no.zip").write_text("text")
    assert "is not a zip file" in medseg("check", tmp_path / "no.zip").err
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert "contains no bundle" in medseg("check", tmp_path / "empty.zip").err
    assert "did you mean 'unetpp'" in medseg("check", "unetp").err


def test_a_zip_is_opened_only_while_it_is_used(zipped: Path):
    with opened(zipped) as root:
        assert (root / "configs" / "inference.json").is_file()
    assert not root.exists()


def test_fast_mode_is_built_in(medseg, trained: Path, wheel: Path, tmp_path: Path):
    out = tmp_path / "fast.zip"
    ended = medseg("package", "unetpp", "-w", trained, "--out", out, "--set", "inference_depth=1", "--wheel", wheel)
    assert ended.code == 0, ended.err
    with opened(out) as root:
        assert Trained.read(root / "models").architecture["inference_depth"] == 1
        kept = torch.load(root / "models" / "model.pt", weights_only=True)
    assert len(kept) < len(torch.load(trained / "model.pt", weights_only=True))


def test_another_suffix_and_a_broken_package_write_nothing(trained: Path, wheel: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"a package must be a .zip file"):
        package(BUNDLE, trained / "model.pt", tmp_path / "bundle.tar", wheel=wheel)
    poor = tmp_path / "poor"
    shutil.copytree(BUNDLE, poor, ignore=shutil.ignore_patterns("models"))
    (poor / "LICENSE").unlink()
    with pytest.raises(ValueError, match=r"was not written: LICENSE: it is missing"):
        package(poor, trained / "model.pt", tmp_path / "poor.zip", wheel=wheel)
    assert not (tmp_path / "poor.zip").exists()


def test_an_ensemble_is_refused_before_anything_is_built(trained: Path, tmp_path: Path):
    one, state = Trained.read(trained), read_weights(trained / "model.pt")
    several = {f"members.{number}.{name}": tensor for number in range(2) for name, tensor in state.items()}
    write_weights(tmp_path, several, replace(one, architecture=NetworkEnsemble.described(one, 2)))
    for folds in (False, True):
        named = rf" \({tmp_path}/fold_1\)" if folds else ""
        with pytest.raises(ValueError, match=f"holds an ensemble, .* one of its networks{named}, or .*`medseg export`"):
            package(REPOSITORY / "bundles" / "unetpp", tmp_path / "model.pt", tmp_path / "out.zip")
        (tmp_path / "fold_1").mkdir(exist_ok=True)
    assert not (tmp_path / "out.zip").exists()


def test_data_without_a_stated_licence_says_so():
    assert "Licence: Apache-2.0" in data_licence(demo_spec())


@pytest.mark.slow
def test_the_wheel_inside_is_what_runs(medseg, trained: Path, demo_data: Path, tmp_path: Path):
    """In an environment that sees the installed dependencies, but this package only from the wheel."""
    pytest.importorskip("hatchling")
    ended = medseg("package", "unetpp", "-w", trained, "--out", tmp_path / "unetpp.zip")
    assert ended.code == 0, ended.err
    with zipfile.ZipFile(tmp_path / "unetpp.zip") as archive:
        archive.extractall(tmp_path)
    root, site = tmp_path / "unetpp", tmp_path / "site"
    (wheel,) = (root / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    command = ["-m", "monai.bundle", "run", "--config_file", "configs/inference.json", "--bundle_root", "."]
    given = ["--dataset_dir", str(demo_data / "images"), "--output_dir", str(tmp_path / "masks")]
    # -P: not this repository from the working directory; the wheel comes before what is installed
    where = f"import sys; sys.path.insert(0, {str(site)!r}); import medseg_monai, runpy; assert {str(site)!r} in medseg_monai.__file__; "
    code = (
        where
        + f"sys.argv = ['monai.bundle', *{[*command[2:], *given]!r}]; runpy.run_module('monai.bundle', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert medseg("predict", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path / "ours").code == 0
    for file in (tmp_path / "ours").glob("*_mask.png"):
        assert np.array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "masks" / file.name)))
