"""TotalSegmentator: a folder for each case, with the scan and a file for each organ.

``s0001/ct.nii.gz`` (or mri.nii.gz), ``s0001/segmentations/liver.nii.gz`` …; meta.csv, separated by semicolons, states the splits.
Wasserthal et al., Radiology: Artificial Intelligence 5(5), e230024 (2023); https://zenodo.org/records/10047292.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from medseg_monai.dataset.cases import stem
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, stated
from medseg_monai.prepare.pairs import LeftOut, Pair
from medseg_monai.prepare.splits import read_rows, split_named
from medseg_monai.program.messages import listed

SCANS = ("ct", "mri", "mr", "image")


def read_totalsegmentator(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """A case for each folder with a scan beside ``segmentations/``; the organs are those found in any case."""
    folders = [folder.parent for folder in listing.folders_named("segmentations") if listing.by_folder.get(folder)]
    scans = {folder: _scan(listing, folder) for folder in folders}
    if not any(scans.values()):
        return None
    organs = {folder: _organs(listing, folder) for folder in folders}
    counts = Counter(organ for found in organs.values() for organ in found)
    splits = _splits(listing.root / "meta.csv")
    pairs: list[Pair] = []
    gone: list[LeftOut] = []
    for folder, scan in scans.items():
        lacking = [organ for organ in sorted(counts) if organ not in organs[folder]]
        if scan is None:
            gone.append((folder, f"no scan ({', '.join(SCANS)}) beside segmentations"))
        elif lacking:
            gone.append((scan, f"has no file for {listed(lacking)}; an empty mask says that a class is absent"))
        else:
            masks = tuple(organs[folder][organ] for organ in sorted(counts))
            pairs.append(Pair(scan, masks, id=folder.name, split=splits.get(folder.name, "")))
    gone += [
        (path, "no segmentations beside it") for path in listing.files if path.parent not in folders and _is_scan(path)
    ]
    channels = {name_of for pair in pairs for name_of in [stem(pair.image).lower()]}
    return FolderContents(
        stated(pairs),
        tuple(gone),
        classes=tuple(sorted(counts)),
        class_files=len(counts) > 1,
        exclusive=True,
        channels=tuple(channels) if len(channels) == 1 else (),
    )


TOTALSEGMENTATOR = Layout(
    "totalsegmentator", "TotalSegmentator (CASE/ct.nii.gz with CASE/segmentations/ORGAN.nii.gz)", read_totalsegmentator
)


def _is_scan(path: Path) -> bool:
    return stem(path).lower() in SCANS


def _scan(listing: Listing, folder: Path) -> Path | None:
    return next((path for path in listing.by_folder.get(folder, ()) if _is_scan(path)), None)


def _organs(listing: Listing, folder: Path) -> dict[str, Path]:
    parts = next(
        child for child in listing.by_folder if child.parent == folder and child.name.lower() == "segmentations"
    )
    return {stem(path): path for path in listing.by_folder[parts]}


def _splits(table: Path) -> dict[str, str]:
    """{case: split} from meta.csv; empty without that file or its column ``split``."""
    rows = read_rows(table)[1] if table.is_file() else []
    return {row.get("image_id", ""): split_named(row.get("split", "")) for _, row in rows}
