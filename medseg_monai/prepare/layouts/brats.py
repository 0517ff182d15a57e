"""BraTS, 2012 to 2024: a folder for each case, with a file for each MR sequence and one for the labels.

``BraTS20_Training_001/BraTS20_Training_001_{flair,t1,t1ce,t2,seg}.nii.gz``, since 2023 ``BraTS-GLI-00000-000-{t1n,t1c,t2w,t2f,seg}``.
Menze et al., IEEE TMI 34(10), 1993-2024 (2015); https://www.synapse.org/brats.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from medseg_monai.dataset.cases import stem
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing
from medseg_monai.prepare.pairs import LeftOut, Pair
from medseg_monai.program.messages import listed

SEQUENCES = {
    "t1": "T1",
    "t1n": "T1",
    "t1ce": "T1Gd",
    "t1c": "T1Gd",
    "t1gd": "T1Gd",
    "t2": "T2",
    "t2w": "T2",
    "flair": "FLAIR",
    "t2f": "FLAIR",
}
"""The names of the four sequences in all years."""
ORDER = ("T1", "T1Gd", "T2", "FLAIR")
NAMED = re.compile(rf"(?:^|.*[_-])({'|'.join(SEQUENCES)})", re.IGNORECASE)
LABEL = re.compile(r".*[_-](?:segm?|glistrboost.*)|segm?", re.IGNORECASE)
"""``W39_1998.09.19_Segm.nii`` is the name of one label of 2020."""


def read_brats(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """A case for each folder with two sequences or more and a label."""
    cases = {folder: _sequences(files) for folder, files in listing.by_folder.items()}
    cases = {folder: found for folder, found in cases.items() if len(found) > 1}
    labels = {folder: [file for file in listing.by_folder[folder] if LABEL.fullmatch(stem(file))] for folder in cases}
    if not any(labels.values()):
        return None
    usual = Counter(tuple(name for name in ORDER if name in found) for found in cases.values()).most_common(1)[0][0]
    pairs: list[Pair] = []
    gone: list[LeftOut] = []
    for folder, found in sorted(cases.items()):
        stack = tuple(found[name] for name in usual if name in found)
        if not labels[folder]:
            gone.append((folder, "no label (_seg): for prediction only"))
        elif len(labels[folder]) > 1:
            gone.append((folder, f"has {len(labels[folder])} labels: {listed(path.name for path in labels[folder])}"))
        elif len(stack) < len(usual):
            gone.append((folder, f"has no {listed(name for name in usual if name not in found)}"))
        else:
            pairs.append(
                Pair(
                    stack[len(usual) // 2],
                    (labels[folder][0],),
                    id=folder.name,
                    group=_patient(folder.name),
                    stack=stack,
                )
            )
    return FolderContents(tuple(pairs), tuple(gone), channels=usual, classes_of=tumour_classes)


BRATS = Layout("brats", "BraTS (CASE/CASE_{t1,t1ce,t2,flair,seg}.nii.gz)", read_brats)


def _sequences(files: tuple[Path, ...]) -> dict[str, Path]:
    """{sequence: file} of one folder."""
    named = [(NAMED.fullmatch(stem(file)), file) for file in files]
    return {SEQUENCES[match[1].lower()]: file for match, file in named if match}


def _patient(case: str) -> str:
    """``BraTS-GLI-00000`` from ``BraTS-GLI-00000-001``, the second visit of that patient; "" for the names of other years."""
    found = re.fullmatch(r"(BraTS-[A-Za-z]+-\d+)-\d+", case)
    return found[1] if found else ""


def tumour_classes(levels: Collection[int]) -> Mapping[str, tuple[int, ...]]:
    """The labels' names: enhancing tumour is 4 until 2022 and 3 from 2023 on, where 4 is a cavity after surgery.

    >>> tumour_classes({0, 1, 2, 4})
    {'necrotic core': (1,), 'edema': (2,), 'enhancing tumour': (4,)}
    """
    if 4 in levels and 3 not in levels:
        return {"necrotic core": (1,), "edema": (2,), "enhancing tumour": (4,)}
    names = {"necrotic core": (1,), "edema": (2,), "enhancing tumour": (3,)}
    return {**names, "resection cavity": (4,)} if 4 in levels else names
