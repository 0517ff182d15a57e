"""The wheel and the source archive hold the bundles, and what is installed works in any folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY

from medseg_monai.bundle.paths import (
    belongs_to_program,
    copy_bundle,
    default_root,
    evaluation_folder,
    find_bundle,
    find_weights,
    folder_to_write,
    list_bundles,
    models_folder,
    trained_on,
    weights_to_change,
)
from medseg_monai.export.wheel import wheel_of_this

SOURCE = ("medseg_monai", "bundles", "scripts", "docs", "pyproject.toml", "README.md", "LICENSE", ".gitignore")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive of this repository, whose U-Net ships weights and has been trained too."""
    pytest.importorskip("hatchling")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns("__pycache__", "models", "*.png")
    for name in SOURCE:
        place = REPOSITORY / name
        shutil.copytree(place, source / name, ignore=unwanted) if place.is_dir() else shutil.copy(place, source / name)
    for folder in ("models", "models/isic2017"):
        (source / "bundles" / "unet" / folder).mkdir()
        for name in ("model.pt", "spec.json"):
            (source / "bundles" / "unet" / folder / name).write_text("weights")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(out)], cwd=source, check=True)
    return out


def test_the_wheel_holds_bundles_and_shipped_weights_but_nothing_that_was_trained_here(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    for bundle in REPOSITORY.glob("bundles/*/configs"):
        here = {path.name for path in bundle.iterdir()}
        inside = {
            Path(name).name for name in names if name.startswith(f"medseg_monai/bundles/{bundle.parent.name}/configs/")
        }
        assert inside == here
        assert f"medseg_monai/bundles/{bundle.parent.name}/docs/README.md" in names
    shipped = {name for name in names if "/models/" in name and "/bundles/" in name}
    assert shipped == {f"medseg_monai/bundles/unet/models/{name}" for name in ("model.pt", "spec.json")}
    assert {name.split("/")[0] for name in names} == {"medseg_monai", "medseg_monai-0.1.0.dist-info"}


def test_the_source_archive_holds_the_same(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in names if name.startswith("bundles/unet/models/")} == {
        "bundles/unet/models/model.pt",
        "bundles/unet/models/spec.json",
    }
    assert {"pyproject.toml", "scripts/template/configs/train.json", "bundles/unet/own.json"} <= names


def test_what_is_installed_works_in_an_empty_folder(tmp_path: Path) -> None:
    """On an unpacked wheel: this package from there alone, all others as they are installed here."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(REPOSITORY)], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    folder = tmp_path / "empty"
    folder.mkdir()
    journey = [sys.executable, str(REPOSITORY / "tests" / "installed_journey.py")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    ended = subprocess.run(journey, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-3000:]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Bundles as if they were those of an installed program, one of which ships weights; the working directory is elsewhere."""
    package, here = tmp_path / "site" / "medseg_monai", tmp_path / "here"
    for name in ("unet", "unetpp"):
        (package / "bundles" / name / "configs").mkdir(parents=True)
        (package / "bundles" / name / "configs" / "train.json").write_text("{}")
    models = package / "bundles" / "unet" / "models"
    models.mkdir()
    for name in ("model.pt", "spec.json"):
        (models / name).write_text(f"shipped {name}")
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("medseg_monai.__file__", str(package / "__init__.py"))
    return package / "bundles"


def test_what_an_installed_bundle_trains_goes_to_the_working_directory(installed: Path) -> None:
    root = find_bundle("unet")
    assert root == installed / "unet"
    assert belongs_to_program(root)
    assert models_folder(root) == Path("models/unet")
    assert evaluation_folder(root, "", dataset="demo", split="test") == "models/unet/evaluation_test"
    assert evaluation_folder(find_bundle("unetpp"), "", dataset="demo", split="test") == (
        "models/unetpp/demo/evaluation_test"
    )


def test_weights_of_ones_own_are_found_beside_those_that_came_along(installed: Path) -> None:
    root = installed / "unet"
    assert find_weights(root) == root / "models" / "model.pt"
    Path("models/unet/isic").mkdir(parents=True)
    Path("models/unet/isic/model.pt").touch()
    assert find_weights(root, "isic") == find_weights(root, dataset="isic") == Path("models/unet/isic/model.pt")
    assert find_weights(root) == root / "models" / "model.pt"
    assert trained_on(root) == ["shipped weights", "isic"]
    with pytest.raises(FileNotFoundError, match=r"no weights 'other'.* nor in models/unet and .*site"):
        find_weights(root, "other")


def test_a_spec_that_changes_is_a_copy_which_is_found_first(installed: Path) -> None:
    root = installed / "unet"
    copy = weights_to_change(root, find_weights(root))
    assert copy == Path("models/unet/model.pt")
    assert (copy.read_text(), Path("models/unet/spec.json").read_text()) == ("shipped model.pt", "shipped spec.json")
    Path("models/unet/spec.json").write_text("tuned")
    assert find_weights(root) == copy
    assert weights_to_change(root, copy) == copy
    weights_to_change(root, root / "models" / "model.pt")
    assert Path("models/unet/spec.json").read_text() == "tuned"


def test_weights_that_are_the_users_are_changed_where_they_lie(installed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "model.pt"
    assert weights_to_change(installed / "unet", elsewhere) == elsewhere
    assert folder_to_write(installed / "unet", elsewhere) == elsewhere.parent


def test_bundles_beside_the_user_go_first_and_keep_what_they_train(installed: Path) -> None:
    copy = copy_bundle("U-Net")
    assert copy == find_bundle("unet") == Path("bundles/unet")
    assert models_folder(copy) == Path("bundles/unet/models")
    assert find_weights(copy).read_text() == "shipped model.pt"
    assert [str(bundle) for bundle in list_bundles()] == ["bundles/unet", str(installed / "unetpp")]
    assert (default_root("unet"), default_root("unetpp")) == ("bundles/unet", str(installed / "unetpp"))
    with pytest.raises(FileExistsError, match="bundles/unet already exists"):
        copy_bundle("unet")


def test_in_its_own_repository_a_bundle_keeps_what_it_trains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(REPOSITORY / "docs")
    root = find_bundle("unetpp")
    assert (belongs_to_program(root), models_folder(root)) == (False, root / "models")
    monkeypatch.chdir(tmp_path)
    assert (belongs_to_program(root), models_folder(root)) == (True, Path("models/unetpp"))


@pytest.mark.parametrize(
    ("name", "bundle"),
    [
        ("unet++", "unetpp"), ("U-Net++", "unetpp"), ("UNetPlusPlus", "unetpp"), ("UNET_PP", "unetpp"), ("U-Net", "unet"),
        ("UNet", "unet"), ("u net", "unet"), ("DeepLabV3+", "deeplabv3plus"), ("deeplab-v3-plus", "deeplabv3plus"),
        ("PSPNet", "pspnet"), ("PSP-Net", "pspnet"), ("ResUNet++", "resunetpp"), ("3D U-Net", "unet3d"), ("UNet3D", "unet3d"),
    ],
)  # fmt: skip
def test_names_are_understood_as_people_write_them(name: str, bundle: str) -> None:
    assert find_bundle(name).name == bundle


def test_a_wheel_is_made_of_an_installation_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: Path) -> None:
    site, venv = tmp_path / "site", [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
    subprocess.run([*venv, str(site), str(next(built.glob("*.whl")))], check=True)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr("medseg_monai.__file__", str(site / "medseg_monai" / "__init__.py"))
    wheel = wheel_of_this(tmp_path / "out")
    again = tmp_path / "again"
    subprocess.run([*venv, str(again), str(wheel)], check=True)  # pip holds each file to its checksum in RECORD
    first, second = ({p.relative_to(s).as_posix() for p in (s / "medseg_monai").rglob("*.*")} for s in (site, again))
    compiled = {name for name in first | second if name.endswith(".pyc")}
    assert first - second - compiled == {
        f"medseg_monai/bundles/unet/models/{name}" for name in ("model.pt", "spec.json")
    }
    assert second - first - compiled == set()
