"""`medseg label serve`: a MONAI Label server for bundles, offline and on this machine only unless told otherwise."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NoReturn

from medseg_monai.bundle.paths import find_bundle, find_weights
from medseg_monai.bundle.trained import WEIGHTS_FILE, Trained, write_weights
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.export.metadata import METADATA, metadata_for
from medseg_monai.files.writing import write_whole
from medseg_monai.grids.kinds import KINDS, kind_of

logger = logging.getLogger(__name__)

APP_NAME = "monailabel_app"
ENVIRONMENT = Path(".venv-label")
"""Where ``make label-env`` installs MONAI Label."""
MAIN = '''"""Written by `medseg label serve`: MONAI Label looks for the app in this file."""

from medseg_monai.label.server.app import MedsegApp  # noqa: F401
'''
COPIED = ("configs", "docs", "LICENSE")
MAX_UPLOAD_MB = "max_upload_mb"
"""Tells the app the upload limit."""
DEFAULT_MAX_UPLOAD_MB = 1024
"""A whole-body CT as uncompressed NIfTI has about 800 MB."""


@dataclass(frozen=True)
class ServedModel:
    """A model of the server.

    Attributes:
        name: the bundle's name, and the model's in clients.
        bundle: the bundle's folder.
        weights: the initial ``model.pt``.
    """

    name: str
    bundle: Path
    weights: Path


def parse_bundles(text: str) -> list[ServedModel]:
    """Parse ``unetpp,unet3d=hippocampus``: names or folders of bundles, each with its weights if they are ambiguous.

    Raises:
        FileNotFoundError: a bundle does not exist, or has no weights.
        ValueError: a bundle is named twice, or none is named.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weights = part.partition("=")
        bundle = find_bundle(name)
        found.append(ServedModel(bundle.resolve().name, bundle, find_weights(bundle, weights or None)))
    if not found:
        raise ValueError("--bundles is empty: name at least one bundle (`medseg list` shows them)")
    if twice := [name for name, count in Counter(model.name for model in found).items() if count > 1]:
        raise ValueError(f"--bundles names {twice[0]} twice: name each bundle once, with one set of weights")
    return found


def build_app(folder: Path, models: Sequence[ServedModel]) -> list[DatasetSpec]:
    """Create the app's folder, or bring it up to date, and return the specs of its models.

    Weights are copied: the server trains in ``folder/model/<name>/models`` and never changes the bundle's own weights. Weights
    from an earlier run of the server are kept, with what they learnt.

    Raises:
        ValueError: weights from an earlier run are for other classes or another network than the requested ones.
    """
    write_whole(folder / "main.py", MAIN.encode())
    specs = []
    for model in models:
        root = folder / "model" / model.name
        _bring_back(root)
        for name in COPIED:
            source = model.bundle / name
            if source.is_dir():
                shutil.copytree(source, root / name, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy(source, root / name)
        trained = _place_weights(root / "models", model)
        write_whole(root / METADATA, (json.dumps(metadata_for(model.bundle, trained), indent=4) + "\n").encode())
        specs.append(trained.dataset)
    _remove_others(folder / "model", {model.name for model in models})
    return specs


def _place_weights(models: Path, model: ServedModel) -> Trained:
    asked = Trained.read(model.weights.parent)
    if (models / WEIGHTS_FILE).is_file():
        kept = Trained.read(models)
        if (kept.architecture, kept.dataset) != (asked.architecture, asked.dataset):
            raise ValueError(
                f"{models} contains weights for {', '.join(kept.dataset.classes)} from an earlier run, which differ in classes or "
                f"network from {model.weights}: name another folder with --app, or remove this one"
            )
        logger.info("%s: weights of an earlier run are kept: %s", model.name, models / WEIGHTS_FILE)
        return kept
    write_weights(models, model.weights.read_bytes(), asked)
    return Trained.read(models)


def _remove_others(models: Path, names: set[str]) -> None:
    """Hide models that are not requested from the server, with what they learnt."""
    for root in models.iterdir():
        if root.is_dir() and root.name not in names and not root.name.startswith("."):
            hidden = _hidden(root)
            logger.info("%s is not served now; what it learnt is kept in %s", root.name, hidden)
            if hidden.exists():  # from an earlier time when it was hidden
                hidden.replace(_free(hidden))
            root.replace(hidden)


def _bring_back(root: Path) -> None:
    """Bring back a hidden model with what it had learnt."""
    if _hidden(root).is_dir() and not root.exists():
        logger.info("%s continues with what it had learnt", root.name)
        _hidden(root).replace(root)


def _hidden(root: Path) -> Path:
    return root.with_name(f".{root.name}")


def _free(folder: Path) -> Path:
    """``folder.1``, or the next number that is not taken."""
    return next(path for n in count(1) if not (path := folder.with_name(f"{folder.name}.{n}")).exists())


def server_environment(specs: Sequence[DatasetSpec], given: Mapping[str, str]) -> dict[str, str]:
    """Environment variables for the server: which files are images, and no downloads. Those `given` take precedence."""
    suffixes = dict.fromkeys(suffix for spec in specs for suffix in kind_of(spec).suffixes)
    ours = {
        # MONAI Label compares suffixes case-sensitively
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{form}" for suffix in suffixes for form in spellings(suffix)]),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        # it would start a process that scores every image after each request for the next one; ours scores new images
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "HF_HUB_OFFLINE": "1",
    }
    return {**ours, **given}


def spellings(suffix: str) -> list[str]:
    """Spellings of a suffix that cameras and people use.

    >>> spellings(".nii.gz")
    ['.nii.gz', '.NII.GZ', '.Nii.gz']
    """
    return [suffix, suffix.upper(), f".{suffix[1:].capitalize()}"]


def same_stem(studies: Path, suffixes: Sequence[str]) -> list[str]:
    """Pairs of images that MONAI Label, which names images without their suffix, would take for one."""
    stems: dict[str, str] = {}
    clashes = []
    for path in sorted(studies.iterdir()):
        suffix = next((s for s in sorted(suffixes, key=len, reverse=True) if path.name.lower().endswith(s)), None)
        if path.is_file() and suffix:
            stem = path.name[: -len(suffix)]
            if stem in stems:
                clashes.append(f"{stems[stem]} and {path.name}")
            stems.setdefault(stem, path.name)
    return clashes


def label_python() -> Path:
    """The Python that has MONAI Label: this one, or that of ``make label-env``.

    Raises:
        FileNotFoundError: MONAI Label is not installed; the message says how to install it.
    """
    if importlib.util.find_spec("monailabel"):
        return Path(sys.executable)
    own = ENVIRONMENT / "bin" / "python"
    if own.is_file():
        return own.absolute()
    raise FileNotFoundError(
        "MONAI Label is not installed: in a clone, `make label-env` creates an environment for it in .venv-label (docs/monailabel.md)"
    )


def is_address(studies: str) -> bool:
    """Whether the studies are those of a DICOMweb server, not a folder's."""
    return studies.startswith(("http://", "https://"))


def serve(
    models: Sequence[ServedModel],
    studies: str,
    app: Path,
    *,
    host: str,
    port: int,
    max_upload_mb: int = DEFAULT_MAX_UPLOAD_MB,
) -> NoReturn:
    """Replace this process by the server, so that signals reach it.

    Args:
        models: the models to serve.
        studies: a folder of images, or the URL of a DICOMweb server.
        app: folder for the models and their new weights.
        host: address to listen on.
        port: port to listen on.
        max_upload_mb: larger requests are refused, in MB (2**20 bytes).

    Raises:
        FileNotFoundError: MONAI Label is not installed, or the folder of studies does not exist.
        ValueError: two images would share a name in MONAI Label.
    """
    python = label_python()
    if not is_address(studies):
        studies = _checked_folder(studies)
    specs = build_app(app, models)
    command = [
        *(str(python), "-m", "monailabel.main", "start_server"),
        *("--app", str(app.resolve()), "--studies", studies, "--host", host, "--port", str(port)),
    ]
    if max_upload_mb != DEFAULT_MAX_UPLOAD_MB:
        command += ["--conf", MAX_UPLOAD_MB, str(max_upload_mb)]
    sys.stdout.flush()
    os.execve(command[0], command, server_environment(specs, os.environ))


def _checked_folder(studies: str) -> str:
    folder = Path(studies)
    if not folder.is_dir():
        raise FileNotFoundError(f"--studies: no such folder: {studies}")
    suffixes = tuple(suffix for kind in KINDS.values() for suffix in kind.suffixes)
    if clashes := same_stem(folder, suffixes):
        raise ValueError(f"{clashes[0]} have the same name in MONAI Label, which drops the suffix: rename one of them")
    return str(folder.resolve())
