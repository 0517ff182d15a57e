"""ISIC challenge data: dermoscopic photographs with lesion outlines.

Source: https://challenge.isic-archive.com/data/ (unpack the archives side by side into one folder).

- ISIC 2017, Part 1: 2000 + 150 + 600 pairs. CC-0. Codella et al., Skin Lesion Analysis Toward Melanoma Detection: A
  Challenge at the 2017 International Symposium on Biomedical Imaging (ISBI), arXiv:1710.05006.
- ISIC 2018, Task 1: 2594 + 100 + 1000 pairs. CC BY-NC 4.0. Codella et al., Skin Lesion Analysis Toward Melanoma
  Detection 2018, arXiv:1902.03368; Tschandl et al., The HAM10000 dataset, Sci. Data 5, 180161 (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medseg_monai.dataset import DatasetSpec
from medseg_monai.prepare.layouts.contents import innermost
from medseg_monai.prepare.mask_contents import look_into_masks
from medseg_monai.prepare.pairs import LeftOut, Pair, Progress, find_files, match_masks, usable
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.splits import table_of_splits

SIZE = (256, 256)


@dataclass(frozen=True)
class Layout:
    """One challenge: its folders by split, as (images, masks), and its texts for dataset.json."""

    name: str
    folders: Mapping[str, tuple[str, str]]
    description: str
    licence: str
    citation: str


ISIC2017 = Layout(
    name="isic2017",
    folders={
        "training": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        "validation": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        "test": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    },
    description="Dermoscopic photographs with lesion outlines, ISIC 2017 challenge, part 1",
    licence="CC-0",
    citation="Codella et al., arXiv:1710.05006",
)
ISIC2018 = Layout(
    name="isic2018",
    folders={
        split.lower(): (f"ISIC2018_Task1-2_{split}_Input", f"ISIC2018_Task1_{split}_GroundTruth")
        for split in ("Training", "Validation", "Test")
    },
    description="Dermoscopic photographs with lesion outlines, ISIC 2018 challenge, task 1",
    licence="CC BY-NC 4.0",
    citation="Codella et al., arXiv:1902.03368; Tschandl et al., Sci. Data 5, 180161 (2018)",
)


def prepare_isic(
    raw: Path,
    out: Path,
    *,
    layout: Layout,
    splits: Path | None = None,
    groups: Path | None = None,
    leave_out: Path | None = None,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    progress: Progress = iter,
) -> Prepared:
    """Pair the photographs of a challenge with their masks, in place: no pixel is copied.

    A case's split is decided by `splits`; else by ``splits.csv`` in `raw` if there is one; else by the official
    folders, if `raw` contains those of more than one split; else by the seed, 70 / 15 / 15.

    Args:
        raw: the folder that contains the challenge's folders.
        out: folder for dataset.json.
        layout: which challenge.
        splits: CSV with the columns image_id,split.
        groups: CSV with the columns image_id,group (patient or lesion), not to be divided between splits.
        leave_out: CSV with the column image_id: images to leave out.
        seed: for a drawn split.
        size: (width, height) of the network's input.
        progress: wraps the pass over all pairs.

    Raises:
        FileNotFoundError: `raw` or its folders are missing or empty.
        ValueError: names match in more than one way, or nothing usable is left.
    """
    raw, out = _holder(Path(raw), layout), Path(out)
    pairs: list[Pair] = []
    gone: list[LeftOut] = []
    present = _present(raw, layout)
    for split in present:
        found, missing = _pairs(raw, layout.folders[split], split if len(present) > 1 else "")
        pairs += found
        gone += missing
    gone += _absent(raw, layout, present)
    good, bad = usable(pairs, progress=progress)
    spec = isic_spec(layout, size)
    contents = look_into_masks(list(good), spec, progress=progress)
    gone += [*bad, *contents.left_out]
    return finish(
        contents.pairs,
        spec,
        out,
        left_out=gone,
        notes=contents.notes,
        splits=table_of_splits(splits, raw),
        groups=groups,
        leave_out=leave_out,
        seed=seed,
    )


prepare_isic2017 = partial(prepare_isic, layout=ISIC2017)
prepare_isic2018 = partial(prepare_isic, layout=ISIC2018)


def isic_spec(layout: Layout, size: tuple[int, int] = SIZE) -> DatasetSpec:
    """Binary, colour, stretched to `size` (width, height)."""
    return DatasetSpec(
        name=layout.name,
        task="binary",
        classes=("lesion",),
        channels=("red", "green", "blue"),
        size=size,
        description=layout.description,
        licence=layout.licence,
        citation=layout.citation,
        modality="dermoscopy",
    )


def _holder(raw: Path, layout: Layout) -> Path:
    """The folder itself, or the only one in it if that contains the challenge's folders: an archive unpacked into its own name."""
    inner = innermost(raw)
    return inner if any((inner / images).is_dir() for images, _ in layout.folders.values()) else raw


def _present(raw: Path, layout: Layout) -> list[str]:
    """The splits whose folder of images exists."""
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder")
    present = [split for split, (images, _) in layout.folders.items() if (raw / images).is_dir()]
    if not present:
        wanted = ", ".join(images for images, _ in layout.folders.values())
        here = "it is empty" if not any(raw.iterdir()) else "unpack the archives side by side into it"
        raise FileNotFoundError(f"{raw}: contains none of {wanted}; {here}")
    return present


def _absent(raw: Path, layout: Layout, present: list[str]) -> list[LeftOut]:
    """Reports of splits whose images are missing although other splits, or their own masks, exist."""
    gone = []
    for split in [name for name in layout.folders if name not in present]:
        images, masks = (raw / name for name in layout.folders[split])
        if masks.is_dir():
            gone.append((masks, f"masks without images: {images} is missing"))
        elif len(present) > 1:
            gone.append((images, f"missing, so the data set has no {split} split"))
    return gone


def _pairs(raw: Path, folders: tuple[str, str], split: str) -> tuple[list[Pair], list[LeftOut]]:
    """The pairs of one split, and files without a partner."""
    image_root, mask_root = (innermost(raw / folder) for folder in folders)
    images = [path for path in find_files(image_root)[0] if not path.stem.endswith("_superpixels")]
    if not mask_root.is_dir():
        return [], [(image, f"no mask: {mask_root} is missing") for image in images]
    masks = find_files(mask_root)[0]
    mask_of, orphans = match_masks(images, masks, image_root=image_root, mask_root=mask_root)
    gone = [(image, f"no mask in {mask_root}") for image in images if image not in mask_of]
    gone += [(mask, f"no image in {image_root}") for mask in orphans]
    return [Pair(image, masks, split=split) for image, masks in sorted(mask_of.items())], gone
