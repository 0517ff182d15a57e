"""Every bundle's configs, with MONAI's own tools: properties, metadata, network, export; and both faces give one result."""

import ast
import contextlib
import doctest
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, run, verify_net_in_out
from network_contract import small_bundle
from PIL import Image

from medseg_monai.bundle.trained import Trained, load_weights, untrained
from medseg_monai.bundle.workflow import TRACKING_KEYS, check_overrides, run_bundle
from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.tables import read_evaluation

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/train.json"))
SMALL = {"architecture#features": [4, 8, 8], "batch_size": 4, "size": [64, 64]}


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


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    return importlib.import_module("sync_bundles")


NETWORK = {"architecture": {"_target_": "medseg_monai.networks.UNet"}}
ABOUT = {"name": "A", "description": "a network", "references": ["a paper"]}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"train": NETWORK, "metadata": ABOUT, "trian": {}}, "the template has no 'trian'"),
        ({"train": {**NETWORK, "learning_rate": 1}, "metadata": ABOUT}, "no 'learning_rate' in 'train'"),
        ({"train": {"lr": 1}, "metadata": ABOUT}, "'train' lacks architecture"),
        ({"train": NETWORK}, "'metadata' lacks name, description, references"),
    ],
)
def test_a_bundles_own_keys_are_checked(sync: ModuleType, tmp_path: Path, own: dict[str, object], message: str) -> None:
    (tmp_path / "own.json").write_text(json.dumps(own))
    with pytest.raises(ValueError, match=message):
        sync.expected_files(tmp_path)


def test_a_new_bundle_gets_a_card_and_an_old_one_keeps_its_own(sync: ModuleType, tmp_path: Path) -> None:
    about = {**ABOUT, "references": ["Doe J., On Networks, MICCAI 2020, arXiv:2001.01234"]}
    (tmp_path / "own.json").write_text(json.dumps({"train": NETWORK, "metadata": about}))
    card = sync.expected_files(tmp_path)[tmp_path / "docs" / "README.md"]
    assert card.startswith("# A\n\na network\n**Research software, not a medical device; not for diagnosis.**")
    assert "On Networks, MICCAI 2020, [arXiv:2001.01234](https://arxiv.org/abs/2001.01234)." in card
    assert f"medseg train {tmp_path.name} --dataset-dir DATA" in card
    assert "{" not in card
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("mine")
    assert tmp_path / "docs" / "README.md" not in sync.expected_files(tmp_path)


def test_written_json_is_what_was_given(sync: ModuleType, bundle: Path) -> None:
    for path in (bundle / "configs").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        assert json.loads(sync.dump(content)) == content
    assert doctest.testmod(sync).attempted > 0
    assert doctest.testmod(sync).failed == 0


def test_the_template_is_no_bundle(medseg) -> None:
    assert [line.split()[0] for line in medseg("list").out.splitlines()] == [bundle.name for bundle in BUNDLES]


def expressions(node: object) -> Iterator[str]:
    """Every expression in a config that is not an import, at any depth."""
    if isinstance(node, str) and node.startswith("$") and not node.startswith(("$import ", "$from ")):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from expressions(child)


STEPS = (
    ast.Call,
    ast.BinOp,
    ast.BoolOp,
    ast.UnaryOp,
    ast.Compare,
    ast.IfExp,
    ast.comprehension,
    ast.Lambda,
    ast.Subscript,
)


def test_no_expression_is_longer_than_one_call() -> None:
    for path in (REPOSITORY / "scripts" / "template" / "configs").glob("*.json"):
        for expression in expressions(json.loads(path.read_text(encoding="utf-8"))):
            code = re.sub(r"@(\w+(?:#\w+)*)", lambda found: found[1].replace("#", "_"), expression[1:])
            steps = [node for node in ast.walk(ast.parse(code, mode="eval")) if isinstance(node, STEPS)]
            assert len(steps) <= 1, f"{path.name}: {expression}: more belongs into a recipe module, with a test"


def test_overrides_that_the_documents_name_exist(bundle: Path) -> None:
    cards = [bundle / "docs" / "README.md", REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    lines = [line for card in cards for line in card.read_text(encoding="utf-8").splitlines()]
    named = {
        key
        for line in lines
        if not re.search(r"medseg (export|package)", line)  # there a network's own arguments
        for key in re.findall(r"--set \"?([\w#]+)=|`(?=\w+#)([a-z_#]+)[`=]", line)
        for key in filter(None, key)
    }
    assert len(named) > 15
    configs = {path.stem: json.loads(path.read_text()) for path in (bundle / "configs").glob("*.json")}
    known = {**TRACKING_KEYS}
    for key in sorted(named - known.keys()):
        assert any(knows(config, key) for config in configs.values()), key


def knows(config: dict[str, object], key: str) -> bool:
    try:
        check_overrides(config, {key: None})
    except ValueError:
        return False
    return True


def test_training_as_monai_label_calls_it(demo_data: Path, trained: Path, tmp_path: Path) -> None:
    """Cases from outside and no folder of a data set; a handler in front of the config's own."""
    root = tmp_path / "unetpp"
    shutil.copytree(REPOSITORY / "bundles" / "unetpp" / "configs", root / "configs")
    shutil.copytree(trained, root / "models")
    config = ConfigParser.load_config_file(root / "configs" / "train.json")
    dataset = read_dataset(demo_data)
    run(
        run_id="run",
        config_file=str(root / "configs" / "train.json"),
        bundle_root=str(root),
        device="cpu",
        imports=[*config["imports"], "$from medseg_monai.bundle.trained import find_trained"],
        spec="$find_trained(@bundle_root).dataset",
        architecture={**Trained.read(trained).architecture, "_mode_": "callable"},
        output_dir=str(root / "models" / "training"),
        batch_size=2,
        **{
            "train#trainer#max_epochs": 1,
            "train#dataset#data": dataset.cases("training")[:4],
            "validate#dataset#data": dataset.cases("validation")[:1],
            "train#handlers": [{"_target_": "GarbageCollector"}, *config["train"]["handlers"]],
        },
    )
    facts = Trained.read(root / "models" / "training").training
    assert (facts["epochs"], facts["best_epoch"]) == (1, 1)


def test_each_bundle_trains_evaluates_and_predicts(bundle: Path, own_data: Path, tmp_path: Path) -> None:
    small = small_bundle(bundle)
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
    assert "NO DATA SET WAS GIVEN" in ended.stderr


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
        with contextlib.suppress(ModuleNotFoundError):  # a class's or function's own module is not a package
            assert importlib.util.find_spec(target) is None, target
