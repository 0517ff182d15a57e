"""`medseg package`: a bundle with its weights as one zip that runs from any folder and that MONAI's model zoo would accept."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

import medseg_monai
from medseg_monai.bundle.paths import folder_to_write
from medseg_monai.bundle.trained import ENSEMBLE, Trained, write_weights
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.tables import TABLE_FILE, Evaluation, read_evaluation
from medseg_monai.export.check import Rule, check_bundle
from medseg_monai.export.export import export, parity_file, trained_network
from medseg_monai.export.metadata import METADATA, metadata_for
from medseg_monai.export.wheel import wheel_of_this
from medseg_monai.files.markdown import escaped
from medseg_monai.files.writing import write_whole
from medseg_monai.training.recorded import FIRST_FOLD

COPIED = ("configs", "docs", "LICENSE")
WHEELS = "wheel"
# the zoo's limit is only advice here: the zip runs anyway
ADVICE = ("no file over 25 MB",)


def package(
    bundle: Path,
    weights: Path,
    out: Path,
    *,
    options: Mapping[str, Any] | None = None,
    wheel: Path | None = None,
) -> list[Rule]:
    """Write the zip and return the results of the zoo's rules for its bundle.

    The zip contains one folder, named like the bundle: configs, model card, licences, ``models/`` (weights, spec.json, TorchScript), the
    wheel of this package and a requirements.txt that pins it.

    Args:
        bundle: the bundle's folder.
        weights: ``model.pt`` with ``spec.json`` beside it; the scores of the evaluations beside it go into the model card.
        out: the zip to write.
        options: arguments of the network for inference (``inference_depth``), to be built in.
        wheel: of this package; by default it is made from the source or the installation that is running.

    Raises:
        ValueError: ``out`` does not end in .zip, the weights are an ensemble's, or the result breaks a rule (other than that on size).
        FileNotFoundError: there is neither a wheel nor a source to build it from.
    """
    if out.suffix != ".zip":
        raise ValueError(f"{out}: a package must be a .zip file")
    _refuse_ensemble(weights)
    trained, network = trained_network(weights, options)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / bundle.resolve().name
        _copy_bundle(bundle, root)
        evaluations = _evaluations(weights.parent) | _evaluations(folder_to_write(bundle, weights))
        _write_models(root, trained, network)
        _write_texts(root, bundle, trained, evaluations)
        (root / WHEELS).mkdir()
        built = wheel or wheel_of_this(Path(folder))
        shutil.copy(built, root / WHEELS)
        rules = check_bundle(root)
        if failed := [rule for rule in rules if not rule.ok and rule.name not in ADVICE]:
            raise ValueError(f"{out} was not written: {'; '.join(f'{rule.name}: {rule.problem}' for rule in failed)}")
        write_whole(out, _zipped(root))
    return rules


def _refuse_ensemble(weights: Path) -> None:
    """The zoo wants TorchScript to script the network, and that of an ensemble it cannot."""
    if Trained.read(weights.parent).architecture["_target_"] == ENSEMBLE:
        fold = weights.parent / FIRST_FOLD
        one = f" ({fold})" if fold.is_dir() else ""
        raise ValueError(
            f"{weights} holds an ensemble, which the model zoo's rules do not take: package one of its networks{one}, "
            "or write the ensemble as one file with `medseg export`"
        )


def _copy_bundle(bundle: Path, root: Path) -> None:
    for name in COPIED:
        source = bundle / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        elif source.is_file():
            root.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / name)


def _write_models(root: Path, trained: Trained, network: nn.Module) -> None:
    models = root / "models"
    # saved again: a checkpoint may contain more than this network needs
    write_weights(models, network.state_dict(), trained)
    scripted = models / "model.ts"
    export(trained, network, scripted, "torchscript")
    parity_file(scripted).unlink()


def _evaluations(folder: Path) -> dict[str, Evaluation]:
    """The evaluations beside the weights, by split."""
    return {
        path.name.removeprefix("evaluation_"): read_evaluation(path)
        for path in sorted(folder.glob("evaluation_*"))
        if (path / "summary.json").is_file()
    }


def _write_texts(root: Path, bundle: Path, trained: Trained, evaluations: Mapping[str, Evaluation]) -> None:
    """metadata.json, the model card, the data's licence and the requirement, for these weights."""
    spec = trained.dataset
    measured = evaluations.get("test") or next(iter(evaluations.values()), None)
    metadata = metadata_for(bundle, trained, measured)
    # texts of the data set may hold what is not UTF-8, which JSON writes as \udc80 …
    (root / METADATA).write_bytes(
        (json.dumps(metadata, indent=4, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    )
    docs = root / "docs"
    docs.mkdir(exist_ok=True)
    card = docs / "README.md"
    general = card.read_text(encoding="utf-8") if card.is_file() else f"# {metadata['name']}\n"
    general = re.sub(
        r"^## Training data\n.*?(?=^## |\Z)", "", general, flags=re.MULTILINE | re.DOTALL
    )  # that of a bundle without weights
    write_whole(card, general.rstrip() + "\n\n" + weights_card(trained, evaluations, root.name))
    write_whole(docs / "data_license.txt", data_licence(spec))
    (root / "requirements.txt").write_text(
        f"# pip install --find-links {WHEELS} -r requirements.txt\nmedseg-monai=={medseg_monai.__version__}\n",
        encoding="utf-8",
    )


def weights_card(trained: Trained, evaluations: Mapping[str, Evaluation], name: str) -> str:
    """The model card's section on these weights: what they are for, how they were trained and measured, how to run them."""
    spec, training = trained.dataset, trained.training
    size = " x ".join(map(str, spec.size)) if spec.size else f"{spec.spacing_mm} mm voxels"
    licence = escaped(spec.licence or "not stated")
    epochs = f"{training['epochs']} epochs" if "epochs" in training else "epochs unknown"
    lines = [
        "## These weights",
        f"{escaped(name)}, trained on **{spec.name}** ({escaped(spec.description or 'no description')}) for {epochs}.",
        "",
        f"- Classes ({spec.task}): {escaped(', '.join(spec.classes))}",
        f"- Channels: {escaped(', '.join(spec.channels))}; the network saw {size}",
        f"- Made with medseg-monai {medseg_monai.__version__}; licence of the data: {licence} (data_license.txt)",
        "",
        "From this folder, in a fresh environment:",
        "",
        "```sh",
        f"pip install {WHEELS}/*.whl",
        "python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir IMAGES --output_dir masks",
        "```",
        "",
        "## Measured",
    ]
    if not evaluations:
        lines.append("These weights have not been evaluated.")
    for split, evaluation in evaluations.items():
        table = (evaluation.folder / TABLE_FILE).read_text(encoding="utf-8")
        lines += ["", f"### Split {split}", "", _scores_of(table)]
    return "\n".join(lines) + "\n"


def _scores_of(table: str) -> str:
    """An evaluation's summary.md without its title, and without the cases and paths of the person who ran it."""
    body = table.split("## Lowest Dice")[0]
    return "\n".join(line for line in body.splitlines() if not line.startswith("# ")).strip()


def data_licence(spec: DatasetSpec) -> str:
    """The text of data_license.txt about the data that the weights were trained on."""
    lines = [
        "These weights were trained on the data set below and are subject to its terms. The package contains none of the data.",
        "",
        f"Data set: {spec.name}",
        f"Description: {spec.description or 'not stated'}",
        f"Licence: {spec.licence or 'not stated: ask whoever made the data set before passing the weights on'}",
        f"Citation: {spec.citation or 'not stated'}",
    ]
    return "\n".join(lines) + "\n"


def _zipped(root: Path) -> bytes:
    """The folder as a zip with itself on top; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(root.parent).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()
