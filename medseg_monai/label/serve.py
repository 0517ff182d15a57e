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
"""Where ``make label-env`` puts MONAI Label."""
MAIN = '''"""Written by `medseg label serve`: MONAI Label looks for the app in this file."""

from medseg_monai.label.server.app import MedsegApp  # noqa: F401
'''
COPIED = ("configs", "docs", "LICENSE")
MAX_UPLOAD_MB = "max_upload_mb"
"""How the app is told of the bound on uploads."""
DEFAULT_MAX_UPLOAD_MB = 1024
"""A whole-body CT as uncompressed NIfTI has about 800 MB."""


@dataclass(frozen=True)
class ServedModel:
    """A model of the server.

    Attributes:
        name: of the bundle; the model's name in clients.
        bundle: the bundle's folder.
        weights: ``model.pt`` to begin with.
    """

    name: str
    bundle: Path
    weights: Path


def parse_bundles(text: str) -> list[ServedModel]:
    """``unetpp,unet3d=hippocampus`` as models: names or folders of bundles, each with the weights to take if that is not clear.

    Raises:
        FileNotFoundError: no such bundle, or no weights.
        ValueError: a bundle is named twice, or none is.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weights = part.partition("=")
        bundle = find_bundle(name)
        found.append(ServedModel(bundle.resolve().name, bundle, find_weights(bundle, weights or None)))
    if not found:
        raise ValueError("--bundles is empty: `medseg list` shows what there is")
    if twice := [name for name, count in Counter(model.name for model in found).items() if count > 1]:
        raise ValueError(f"--bundles names {twice[0]} twice: a model has one set of weights")
    return found


def build_app(folder: Path, models: Sequence[ServedModel]) -> list[DatasetSpec]:
    """Make the app's folder, or bring it up to date, and return what its models are for.

    Weights are copied: what the server trains stays in ``folder/model/<name>/models`` and never touches the bundle's own. If weights
    are there from an earlier run of the server they are kept, with what they learnt.

    Raises:
        ValueError: weights from an earlier run are for other classes or another network than those now asked for.
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
                f"{models} holds weights for {', '.join(kept.dataset.classes)} from an earlier run, which differ in classes or "
                f"network from {model.weights}: name another folder with --app, or remove this one"
            )
        logger.info("%s: weights of an earlier run are kept: %s", model.name, models / WEIGHTS_FILE)
        return kept
    write_weights(models, model.weights.read_bytes(), asked)
    return Trained.read(models)


def _remove_others(models: Path, names: set[str]) -> None:
    """Put models that are not asked for out of the server's sight, with what they learnt."""
    for root in models.iterdir():
        if root.is_dir() and root.name not in names and not root.name.startswith("."):
            hidden = _hidden(root)
            logger.info("%s is not served now; what it learnt is kept in %s", root.name, hidden)
            if hidden.exists():  # of a time when it was served anew beside it
                hidden.replace(_free(hidden))
            root.replace(hidden)


def _bring_back(root: Path) -> None:
    """Let a model that was out of the server's sight go on with what it had learnt."""
    if _hidden(root).is_dir() and not root.exists():
        logger.info("%s goes on with what it had learnt", root.name)
        _hidden(root).replace(root)


def _hidden(root: Path) -> Path:
    return root.with_name(f".{root.name}")


def _free(folder: Path) -> Path:
    """``folder.1``, or the next number that is not taken."""
    return next(path for n in count(1) if not (path := folder.with_name(f"{folder.name}.{n}")).exists())


def server_environment(specs: Sequence[DatasetSpec], given: Mapping[str, str]) -> dict[str, str]:
    """Environment variables for the server: which files are images, and nothing fetched from elsewhere. Those `given` win."""
    suffixes = dict.fromkeys(suffix for spec in specs for suffix in kind_of(spec).suffixes)
    ours = {
        # MONAI Label compares names letter by letter
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{form}" for suffix in suffixes for form in spellings(suffix)]),
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        # it would start a process that scores every image after each question for the next one; ours scores what is new
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "HF_HUB_OFFLINE": "1",
    }
    return {**ours, **given}


def spellings(suffix: str) -> list[str]:
    """As cameras and people write it.

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
    """The Python that MONAI Label is installed for: this one, or that of ``make label-env``.

    Raises:
        FileNotFoundError: it is nowhere; says how to install it.
    """
    if importlib.util.find_spec("monailabel"):
        return Path(sys.executable)
    own = ENVIRONMENT / "bin" / "python"
    if own.is_file():
        return own.absolute()
    raise FileNotFoundError(
        "MONAI Label is not installed: `make label-env` makes an environment for it in .venv-label (docs/monailabel.md)"
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
    """Become the server: this process is replaced by it, so that signals reach it.

    Args:
        models: what is served.
        studies: a folder of images, or the address of a DICOMweb server.
        app: folder for the models, with what they learn.
        host: address to listen on.
        port: port to listen on.
        max_upload_mb: larger requests are refused, in MB (2**20 bytes).

    Raises:
        FileNotFoundError: MONAI Label is not installed, or there is no such folder of studies.
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
        raise FileNotFoundError(f"no folder of studies: {studies}")
    suffixes = tuple(suffix for kind in KINDS.values() for suffix in kind.suffixes)
    if clashes := same_stem(folder, suffixes):
        raise ValueError(f"{clashes[0]} have one name in MONAI Label, which leaves the suffix away: rename one")
    return str(folder.resolve())
