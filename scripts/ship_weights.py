"""Put trained weights into the bundle that ships them, and their scores into its metadata and model card.

    medseg train unetpp -d data/isic2017 --overlay bundles/unetpp/configs/shipped.json --output-dir weights/unetpp
    medseg evaluate unetpp -d data/isic2017 --weights weights/unetpp --out weights/unetpp/evaluation_test
    medseg evaluate unetpp -d data/isic2017 --weights weights/unetpp --set tta=flips --out weights/unetpp/evaluation_test_flips
    python scripts/ship_weights.py unetpp weights/unetpp --inference-depth 4

`python scripts/ship_weights.py unetpp`, without a folder, writes what `medseg review` has learnt of the shipped weights into the card, and
with `--evaluation FOLDER`, a later evaluation of them, also how far that holds on its cases, into the card and the metadata:

    medseg evaluate unetpp -d data/isic2017 --weights bundles/unetpp/models --out evaluations/unetpp
    python scripts/ship_weights.py unetpp --evaluation evaluations/unetpp

`--beside NAME` ships further weights of a bundle in models/NAME, with a card of their own, docs/NAME.md, and leaves the bundle's metadata
alone; `--command` is then what trains them again:

    python scripts/ship_weights.py unet weights/fast --beside fast --command "medseg distill unet -t unetpp …"
    python scripts/ship_weights.py unet --beside fast --evaluation evaluations/fast

The weights are stored in half precision, except vectors (biases, batch norm), for which float32 costs nothing. `spec.json` includes
cleaning and review, if `medseg tune` and `medseg review` learnt any. Without evaluations beside the weights nothing is written.
U-Net++ may be shipped in a fast mode (`--inference-depth`; evaluate it with `--set "network_options#inference_depth=4"`): all heads
stay in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sync_bundles import BUNDLES, OWN_FILE, dump
from sync_bundles import main as sync_bundles
from torch import Tensor

from medseg_monai.bundle.paths import PLAIN
from medseg_monai.bundle.trained import (
    WEIGHTS_FILE,
    Trained,
    load_weights,
    write_weights,
)
from medseg_monai.evaluation.tables import Evaluation, read_evaluation
from medseg_monai.evaluation.trust import read_trust
from medseg_monai.export.metadata import TRUST_METRICS, metadata_for, trust_metrics
from medseg_monai.export.package import data_licence
from medseg_monai.files.writing import sha256_of

LARGEST = 12_000_000
"""Largest size of a weights file, in bytes: the repository keeps every version forever."""
BEGIN, END = "<!-- written by scripts/ship_weights.py -->", "<!-- end of what is written -->"
TRUST, END_TRUST = "<!-- learnt by medseg review -->", "<!-- end of what was learnt -->"
VIEWS = {"evaluation_test": "one view", "evaluation_test_flips": "mean of mirrored views (`--tta flips`)"}
SCORES = {"dice": "Dice", "jaccard": "Jaccard", "hd95": "HD95"}
METADATA_OF_WEIGHTS = (
    *("data_source", "data_type", "image_classes", "label_classes", "pred_classes"),
    *("eval_metrics", "network_data_format"),
)
"""Keys of metadata.json that say what the weights are for, and how good they are."""


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in half precision, vectors as they are.

    >>> import torch
    >>> {name: tensor.dtype for name, tensor in halved({"kernel": torch.ones(2, 2), "bias": torch.ones(2)}).items()}
    {'kernel': torch.float16, 'bias': torch.float32}
    """
    return {
        name: tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
        for name, tensor in state.items()
    }


@dataclass(frozen=True)
class Shipped:
    """Where the files of weights that a bundle ships are.

    Args:
        bundle: its folder.
        name: of weights beside the bundle's own ones; "" for these.
    """

    bundle: Path
    name: str = ""

    @property
    def models(self) -> Path:
        """The folder of the weights."""
        return self.bundle / "models" / self.name

    @property
    def card(self) -> Path:
        """The model card."""
        return self.bundle / "docs" / f"{self.name or 'README'}.md"


def encoder_words(architecture: Mapping[str, Any]) -> str:
    """Which encoder weights have, since it may not be that of the paper; "" for a network's own.

    >>> encoder_words({"encoder": "resnet34", "pretrained": True})
    ' with the encoder `resnet34`, which started from ImageNet weights'
    """
    encoder = architecture.get("encoder", PLAIN)
    start = ", which started from ImageNet weights" if architecture.get("pretrained") else ""
    return "" if encoder == PLAIN else f" with the encoder `{encoder}`{start}"


def section(trained: Trained, evaluations: Mapping[str, Evaluation], command: str, size: int) -> str:
    """The model card's section on the shipped weights."""
    spec, training = trained.dataset, trained.training
    about = (spec.description, spec.licence, spec.citation)
    wide = " x ".join(map(str, spec.size or ()))
    cases = next(iter(evaluations.values())).summary.n_cases
    lines = [
        BEGIN,
        f"Trained on **{spec.name}** ({'; '.join(filter(None, about))}), {training['epochs']} epochs at {wide}, "
        f"{training['parameters']:,} parameters{encoder_words(trained.architecture)}, {size / 1e6:.1f} MB in half precision. "
        "To train it again:",
        "",
        "```sh",
        command,
        "```",
        "",
        f"| {cases} test cases | {' | '.join(SCORES.values())} |",
        f"| --- |{' --- |' * len(SCORES)}",
    ]
    for name, evaluation in evaluations.items():
        scores = evaluation.summary.overall.scores
        lines.append(f"| {VIEWS[name]} | {' | '.join(str(scores[key]) for key in SCORES)} |")
    return "\n".join(
        [
            *lines,
            "",
            "Mean and 95 % bootstrap interval over cases; HD95 in pixels of the image, or mm.",
            *trust(trained, evaluations["evaluation_test"]),
            END,
        ]
    )


def trust(trained: Trained, evaluation: Evaluation | None = None) -> list[str]:
    """What `medseg review` has learnt of the weights, for the card, between markers of its own; nothing if it has not run.

    Args:
        trained: what was learnt.
        evaluation: which found how far it holds.
    """
    learnt = trained.quality
    parts = [] if learnt is None else [learnt.calibration, learnt.dice, learnt.promise, learnt.margins]
    said = _points(map(str, filter(None, parts)))
    if not said:
        return []
    lines = ["", TRUST, "How far its masks can be trusted, as learnt by `medseg review`:", "", *said]
    held = [] if evaluation is None else _points(_measured(evaluation))
    if evaluation is not None and held:
        run = evaluation.run
        lines += [
            "",
            f"What of it holds on {evaluation.summary.n_cases} {run['split']} cases of {run['dataset']}:",
            "",
            *held,
        ]
    return [*lines, END_TRUST]


def _points(texts: Iterable[str]) -> list[str]:
    return [f"- {text[:1].upper()}{text[1:]}." for text in texts]


def _measured(evaluation: Evaluation) -> Iterator[str]:
    """What an evaluation found of probabilities and of what is said of masks."""
    numbers, found = trust_metrics(evaluation.folder), read_trust(evaluation.folder)
    if "ece_calibrated" in numbers:
        ece, brier = ([numbers[f"{key}_{word}calibrated"] for word in ("un", "")] for key in ("ece", "brier"))
        yield f"calibration error {ece[0]:.4f} before, {ece[1]:.4f} after; Brier score {brier[0]:.4f} and {brier[1]:.4f}"
    if found is not None:
        yield str(found)


def refresh(shipped: Shipped, folder: Path | None = None) -> None:
    """Write what was learnt since the weights were shipped into the card; weights and scores stay as they are.

    Args:
        shipped: the weights.
        folder: an evaluation of the shipped weights; how far what was learnt holds there goes into card and metadata.

    Raises:
        FileNotFoundError: there is no such evaluation.
        ValueError: the card has no part on the weights, or the evaluation is of others.
    """
    trained, evaluation = Trained.read(shipped.models), None if folder is None else read_evaluation(folder)
    if evaluation is not None:
        _check_shipped(shipped, evaluation)
    card, bundle = shipped.card, shipped.bundle
    before, begin, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    section, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{card} has no part on the weights: ship them first")
    kept = section.partition(TRUST)[0].rstrip("\n")
    lines = "\n".join([kept, *trust(trained, evaluation), END])
    card.write_text(f"{before}{begin}{lines}{after}", encoding="utf-8")
    if shipped.name:
        return
    own = json.loads((bundle / OWN_FILE).read_text(encoding="utf-8"))
    scores = {name: value for name, value in own["metadata"]["eval_metrics"].items() if name not in TRUST_METRICS}
    own["metadata"]["eval_metrics"] = {**scores, **(trust_metrics(folder) if folder is not None else {})}
    (bundle / OWN_FILE).write_text(dump(own), encoding="utf-8")
    sync_bundles([])


def _check_shipped(shipped: Shipped, evaluation: Evaluation) -> None:
    """Raise a ValueError unless the evaluation is of the shipped weights."""
    evaluated = Path(str(evaluation.run.get("weights")))
    file = shipped.models / WEIGHTS_FILE
    if not evaluated.is_file() or sha256_of([evaluated]) != sha256_of([file]):
        raise ValueError(f"{evaluation.folder} is an evaluation of {evaluated}, not of {file}")


def with_section(card: str, text: str) -> str:
    """The card with the section between the markers replaced.

    Raises:
        ValueError: the markers are missing.
    """
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the card has no lines {BEGIN} and {END}")
    return f"{before}{text}{after}"


def ship(shipped: Shipped, folder: Path, *, inference_depth: int | None = None, command: str = "") -> None:
    """Write model.pt, spec.json and the card, and of a bundle's own weights the licence of the data and metadata.

    Args:
        shipped: where to.
        folder: the weights, with their evaluations.
        inference_depth: of U-Net++.
        command: that trains them again; default: `medseg train` with the bundle's shipped.json.

    Raises:
        FileNotFoundError: the weights or their evaluation on test cases are missing.
        ValueError: the file would be too large.
    """
    trained = Trained.read(folder)
    evaluations = {name: read_evaluation(folder / name) for name in VIEWS if (folder / name).is_dir()}
    if "evaluation_test" not in evaluations:
        raise FileNotFoundError(f"{folder}: no evaluation_test; run `medseg evaluate` first")
    whole = {"inference_depth": None} if "inference_depth" in trained.architecture else {}
    state = halved(load_weights(trained.build_network(**whole), folder / WEIGHTS_FILE).state_dict())
    if inference_depth is not None:
        trained = replace(trained, architecture={**trained.architecture, "inference_depth": inference_depth})
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > LARGEST:
        raise ValueError(f"{folder}: {size / 1e6:.1f} MB in half precision, more than {LARGEST / 1e6:.0f}")
    write_weights(shipped.models, state, trained)
    bundle, name = shipped.bundle, trained.dataset.name
    plain = f"medseg train {bundle.name} -d data/{name} --overlay bundles/{bundle.name}/configs/shipped.json"
    text = section(trained, evaluations, command or plain, (shipped.models / WEIGHTS_FILE).stat().st_size)
    shipped.card.write_text(with_section(shipped.card.read_text(encoding="utf-8"), text), encoding="utf-8")
    if shipped.name:
        return
    metadata = metadata_for(bundle, trained, evaluations["evaluation_test"])
    own = json.loads((bundle / OWN_FILE).read_text(encoding="utf-8"))
    own["metadata"] |= {key: metadata[key] for key in METADATA_OF_WEIGHTS}
    (bundle / OWN_FILE).write_text(dump(own), encoding="utf-8")
    sync_bundles([])
    (bundle / "docs" / "data_license.txt").write_text(data_licence(trained.dataset), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Ship one bundle's weights; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle", help="name of a bundle in bundles/")
    parser.add_argument(
        "weights",
        type=Path,
        nargs="?",
        help="folder with model.pt, spec.json, evaluation_test; none to refresh the card",
    )
    parser.add_argument(
        "--evaluation", type=Path, help="of the shipped weights: what was learnt of them is compared with it"
    )
    parser.add_argument("--inference-depth", type=int, help="of U-Net++: the fast mode that is used by default")
    parser.add_argument("--beside", default="", help="name of further weights, shipped beside the bundle's own ones")
    parser.add_argument("--command", default="", help="that trains the weights again")
    chosen = parser.parse_args(arguments)
    shipped = Shipped(BUNDLES / chosen.bundle, chosen.beside)
    try:
        if chosen.weights is None:
            refresh(shipped, chosen.evaluation)
        else:
            ship(shipped, chosen.weights, inference_depth=chosen.inference_depth, command=chosen.command)
    except (OSError, ValueError) as error:
        print(f"ship_weights: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
