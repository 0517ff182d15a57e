"""AMOS 2022: abdominal CT and MR with 15 organs.

Source: https://amos22.grand-challenge.org, https://zenodo.org/records/7262581. CC BY 4.0. Ji et al., AMOS: A Large-Scale Abdominal
Multi-Organ Benchmark for Versatile Medical Image Segmentation, NeurIPS 2022 (Datasets and Benchmarks), arXiv:2206.08023.

``imagesTr/``, ``labelsTr/``, ``imagesVa/``, ``labelsVa/`` and ``imagesTs/`` (without labels) contain ``amos_NNNN.nii.gz``; numbers
below 500 are CT, the others MR.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.dataset.cases import stem
from medseg_monai.prepare.folder import images_below, pairs_of
from medseg_monai.prepare.pairs import VOLUMES, LeftOut, Pair, Progress
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.splits import draw_splits
from medseg_monai.prepare.volume_pairs import (
    VOLUME_FRACTIONS,
    VolumeOverrides,
    intensity_of,
    of_channels,
    of_classes,
    spec_of,
    unlabelled,
    usable_volumes,
    with_present,
)
from medseg_monai.program.messages import listed

ORGANS = (
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
    "duodenum",
    "bladder",
    "prostate or uterus",
)
"""Labels 1 to 15."""
FIRST_MR = 500
"""Cases from this number on are MR."""
VALIDATION_SHARE = 0.2
"""Share of imagesTr, if imagesVa is the test split."""


def prepare_amos(
    raw: Path,
    out: Path,
    *,
    modality: Literal["ct", "mr", "all"] = "ct",
    splits: Path | None = None,
    groups: Path | None = None,
    leave_out: Path | None = None,
    seed: int = 0,
    overrides: VolumeOverrides | None = None,
    progress: Progress = iter,
) -> Prepared:
    """Pair AMOS volumes with their labels, in place.

    The challenge's test labels are not public, so its validation set (imagesVa, if it has labels) is the test split;
    a fifth of imagesTr, drawn by the seed, is the validation split. Without imagesVa all splits are drawn, 60 / 20 / 20.

    Args:
        raw: the unpacked folder (``amos22``).
        out: where dataset.json goes.
        modality: ``ct`` (a window of Hounsfield units), ``mr`` or ``all`` (each image's own percentiles, as no window fits MR).
        splits: CSV with the columns image_id,split.
        groups: CSV with the columns image_id,group.
        leave_out: CSV with the column image_id: images to leave out.
        seed: for drawn splits.
        overrides: spacing, patch and window that override those derived from the data.
        progress: wraps the pass over all pairs.

    Raises:
        FileNotFoundError: imagesTr or labelsTr is missing or empty.
        ValueError: a name has no number, or nothing usable is left.
    """
    raw, out, overrides = Path(raw), Path(out), overrides or VolumeOverrides()
    pairs, gone = _pairs(raw, "Tr", modality)
    tests: list[Pair] = []
    if (raw / "imagesVa").is_dir() and (raw / "labelsVa").is_dir():
        tests, more = _pairs(raw, "Va", modality)
        gone += more
    looks, bad = usable_volumes([*pairs, *(replace(pair, split="test") for pair in tests)], progress=progress)
    looks, wrong_channels = of_channels(looks, 1)
    looks, wrong_labels = of_classes(looks, ORGANS)
    gone += [*bad, *wrong_channels, *wrong_labels]
    if not looks:
        raise ValueError(f"{raw}: no usable {modality} volume: {listed(f'{path}: {why}' for path, why in gone)}")
    draft = DatasetSpec(
        f"amos_{modality}",
        "multiclass",
        classes=ORGANS,
        channels=(modality if modality != "all" else "ct or mr",),
        spatial_dims=3,
        spacing_mm=(1, 1, 1),
        intensity=Intensity("zscore") if modality == "all" else intensity_of(modality, overrides.window),
        description=f"Abdominal organs, AMOS 2022 ({modality})",
        licence="CC BY 4.0",
        citation="Ji et al., NeurIPS 2022, arXiv:2206.08023",
        modality="CT, MR" if modality == "all" else modality.upper(),
    )
    return finish(
        _with_validation(with_present(looks, draft), seed),
        spec_of(draft, looks, overrides),
        out,
        left_out=gone + unlabelled(raw / "imagesTs"),
        splits=splits,
        groups=groups,
        leave_out=leave_out,
        seed=seed,
        fractions=VOLUME_FRACTIONS,
    )


def _pairs(raw: Path, part: str, modality: str) -> tuple[list[Pair], list[LeftOut]]:
    """The pairs of imagesTr or imagesVa with this modality, and the files without a partner."""
    images, labels = raw / f"images{part}", raw / f"labels{part}"
    files, gone = images_below(raw, images, labels, VOLUMES)
    files = [file for file in files if _is_of(file, modality)]
    if not files:
        return [], gone
    pairs, unpaired = pairs_of(files, images, {"": labels}, VOLUMES)
    return pairs, gone + [(path, why) for path, why in unpaired if not VOLUMES.fits(path) or _is_of(path, modality)]


def _is_of(path: Path, modality: str) -> bool:
    return modality == "all" or modality == ("ct" if case_number(path) < FIRST_MR else "mr")


def case_number(path: Path) -> int:
    """The number in ``amos_0507.nii.gz``.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"(\d+)$", stem(path))
    if not found:
        raise ValueError(f"{path}: has no case number; AMOS files are named amos_NNNN.nii.gz")
    return int(found[1])


def _with_validation(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """A fifth of the other cases as validation if there is a test split; else nothing, and all splits are drawn later."""
    rest = {stem(pair.image): stem(pair.image) for pair in pairs if not pair.split}
    if len(rest) == len(pairs) or len(rest) < 2:
        return list(pairs)
    drawn = draw_splits(rest, seed=seed, fractions=(1 - VALIDATION_SHARE, VALIDATION_SHARE, 0))
    return [pair if pair.split else replace(pair, split=drawn[stem(pair.image)]) for pair in pairs]
