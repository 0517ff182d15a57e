"""Medical Segmentation Decathlon: ten tasks of CT and MR volumes, and any folder in its layout.

Source: http://medicaldecathlon.com (one archive per task). CC BY-SA 4.0. Antonelli et al., The Medical Segmentation Decathlon,
Nat. Commun. 13, 4128 (2022); Simpson et al., arXiv:1902.09063.

``imagesTr/``, ``labelsTr/`` and, without labels, ``imagesTs/``; dataset.json gives names, labels and modality. If it is missing,
the ten tasks are recognised by the names of their folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.dataset import DatasetSpec
from medseg_monai.prepare.folder import images_below, pairs_of
from medseg_monai.prepare.pairs import VOLUMES, LeftOut, Progress
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.volume_pairs import (
    VOLUME_FRACTIONS,
    VolumeOverrides,
    guessed_modality,
    intensity_of,
    named_modality,
    of_channels,
    of_classes,
    spec_of,
    unlabelled,
    usable_volumes,
    with_present,
)
from medseg_monai.program.messages import listed

LICENCE = "CC BY-SA 4.0"
CITATION = "Antonelli et al., Nat. Commun. 13, 4128 (2022)"


@dataclass(frozen=True)
class Task:
    """A task as dataset.json describes it."""

    name: str
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    licence: str = LICENCE
    citation: str = CITATION
    description: str = ""


TASKS: Mapping[str, Task] = {
    "Task01_BrainTumour": Task(
        "BRATS", ("FLAIR", "T1w", "T1gd", "T2w"), ("edema", "non-enhancing tumor", "enhancing tumour")
    ),
    "Task02_Heart": Task("LeftAtrium", ("MRI",), ("left atrium",)),
    "Task03_Liver": Task("LIVER", ("CT",), ("liver", "cancer")),
    "Task04_Hippocampus": Task("Hippocampus", ("MRI",), ("Anterior", "Posterior")),
    "Task05_Prostate": Task("PROSTATE", ("T2", "ADC"), ("PZ", "TZ")),
    "Task06_Lung": Task("LUNG", ("CT",), ("cancer",)),
    "Task07_Pancreas": Task("Pancreas", ("CT",), ("pancreas", "cancer")),
    "Task08_HepaticVessel": Task("HepaticVessel", ("CT",), ("Vessel", "Tumour")),
    "Task09_Spleen": Task("Spleen", ("CT",), ("spleen",)),
    "Task10_Colon": Task("Colon", ("CT",), ("colon cancer primaries",)),
}
"""By the archive's folder, if its dataset.json is missing."""
WINDOWS = {"LUNG": (-1000.0, 400.0)}
"""Hounsfield units for tasks outside soft tissue."""


def prepare_msd(
    raw: Path,
    out: Path,
    *,
    splits: Path | None = None,
    groups: Path | None = None,
    leave_out: Path | None = None,
    seed: int = 0,
    fractions: Sequence[float] = VOLUME_FRACTIONS,
    overrides: VolumeOverrides | None = None,
    progress: Progress = iter,
) -> Prepared:
    """Pair the volumes of a Decathlon task with their labels, in place.

    The splits are drawn from the labelled volumes, 60 / 20 / 20, unless `splits` names them. Every pair is read in full; a broken
    one is left out and reported.

    Args:
        raw: the task's folder, with imagesTr and labelsTr.
        out: folder for dataset.json.
        splits: CSV with the columns image_id,split.
        groups: CSV with the columns image_id,group.
        leave_out: CSV with the column image_id: images to leave out.
        seed, fractions: for a drawn split.
        overrides: spacing, patch, modality and window that override those derived from the data.
        progress: wraps the pass over all pairs.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: dataset.json is invalid, or the task is unknown without it, or nothing usable is left.
    """
    raw, out, overrides = Path(raw), Path(out), overrides or VolumeOverrides()
    images, labels = raw / "imagesTr", raw / "labelsTr"
    files, gone = images_below(raw, images, labels, VOLUMES)
    task, listed_files = _task(raw)
    gone += _differences(raw, listed_files, files)
    pairs, unpaired = pairs_of(files, images, {"": labels}, VOLUMES)
    looks, bad = usable_volumes(pairs, progress=progress)
    looks, wrong_channels = of_channels(looks, len(task.channels))
    looks, wrong_labels = of_classes(looks, task.classes)
    gone += [*unpaired, *bad, *wrong_channels, *wrong_labels]
    if not looks:
        raise ValueError(f"{raw}: no usable volume: {listed(f'{path}: {why}' for path, why in gone)}")
    modality = overrides.modality or named_modality(task.channels) or guessed_modality(looks.values())
    draft = DatasetSpec(
        re.sub(r"[^a-z0-9_.-]+", "_", task.name.lower()).strip("._-") or "msd",
        "binary" if len(task.classes) == 1 else "multiclass",
        classes=task.classes,
        channels=tuple(name.lower() for name in task.channels),
        spatial_dims=3,
        spacing_mm=(1, 1, 1),
        intensity=intensity_of(modality, overrides.window or WINDOWS.get(task.name)),
        description=task.description,
        licence=task.licence,
        citation=task.citation,
        modality=modality.upper(),
    )
    return finish(
        with_present(looks, draft),
        spec_of(draft, looks, overrides),
        out,
        left_out=gone + unlabelled(raw / "imagesTs"),
        splits=splits,
        groups=groups,
        leave_out=leave_out,
        seed=seed,
        fractions=fractions,
    )


def _task(raw: Path) -> tuple[Task, list[str]]:
    """The task, and the images that its dataset.json lists; without one, the task that the folder's name identifies."""
    file = raw / "dataset.json"
    if not file.is_file():
        known = {name.lower(): task for name, task in TASKS.items()}
        task = known.get(raw.resolve().name.lower())
        if task is None:
            raise ValueError(
                f"{raw}: has no dataset.json, and its name is not one of {', '.join(TASKS)}; use `medseg prepare nifti` for other folders"
            )
        return task, []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return _task_of(content), [str(_image_of(case)) for case in content.get("training", [])]
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{file}: is not a Decathlon description ({error})") from None


def _task_of(content: Mapping[str, Any]) -> Task:
    channels = content.get("modality") or content.get("channel_names")  # the second is nnU-Net's name for it
    labels = content["labels"]
    if not isinstance(channels, Mapping) or not isinstance(labels, Mapping):
        raise ValueError('\'modality\' and \'labels\' must be mappings, {"0": "CT"} and {"0": "background", "1": …}')
    numbered = dict(labels) if all(str(key).isdecimal() for key in labels) else {n: name for name, n in labels.items()}
    names = {int(number): str(name) for number, name in numbered.items()}
    names.pop(0, None)
    if not names or sorted(names) != list(range(1, len(names) + 1)):
        raise ValueError(f"the labels are numbered {sorted(names)}; they must be 1, 2, … without gaps")
    return Task(
        name=str(content.get("name", "msd")),
        channels=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        classes=tuple(names[number] for number in sorted(names)),
        licence=str(content.get("licence", content.get("license", ""))),
        citation=str(content.get("reference", "")),
        description=str(content.get("description", "")),
    )


def _image_of(case: Any) -> str:
    return str(case["image"] if isinstance(case, Mapping) else case)


def _differences(raw: Path, named: Sequence[str], files: Sequence[Path]) -> list[LeftOut]:
    """Images that dataset.json lists but that do not exist."""
    there = {file.name for file in files}
    return [(raw / name, "listed in dataset.json, but missing") for name in named if Path(name).name not in there]
