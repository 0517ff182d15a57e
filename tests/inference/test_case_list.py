"""Cases in little memory are those that were found, and memory for each stays small."""

import os
import subprocess
import sys
from pathlib import Path, PurePath

import numpy as np
import pytest
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.inference.case_list import CaseList, FoundImages, Texts, checksum, checksums, chosen, repeated
from medseg_monai.inference.cases import find_cases
from medseg_monai.inference.folders import FoundImage
from medseg_monai.inference.shards import Shard

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(st.text(max_size=20) | st.just("caf\udce9.png")))
def test_texts_are_those_that_were_put_in(texts: list[str]) -> None:
    kept = Texts()
    for text in texts:
        kept.append(text)
    assert [kept[number] for number in range(len(kept))] == texts


@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES, st.sampled_from([".png", ".nii.gz", ".JPG", ""]))))
def test_images_are_those_that_were_found(parts: list[tuple[list[str], str, str]]) -> None:
    images = [
        FoundImage(str(PurePath("/data", *folders, f"{stem}{ending}")), PurePath(*folders, stem), ending)
        for folders, stem, ending in parts
    ]
    found = FoundImages(images)
    assert list(found) == images
    assert [found.path(number) for number in range(len(found))] == [image.path for image in images]
    assert [found.name(number) for number in range(len(found))] == [image.name.as_posix() for image in images]


@pytest.mark.parametrize(
    "image",
    [
        FoundImage("/d/scan#1.2.3", PurePath("scan_1"), ""),  # a series of a DICOM folder
        FoundImage("/d/scan", PurePath("scan"), ""),
        FoundImage("/d/.nii.gz", PurePath(".nii.gz"), ".nii.gz"),
        FoundImage("/d/" + "x" * 70000, PurePath("x" * 70000), ""),
        FoundImage("alone.png", PurePath("alone"), ".png"),
    ],
)
def test_names_of_other_forms(image: FoundImage) -> None:
    other = FoundImage("/d/a.png", PurePath("a"), ".png")
    assert list(FoundImages([other, image, other])) == [other, image, other]


FOUND = FoundImages(FoundImage(f"/d/{name}.png", PurePath(name), ".png") for name in "abcde")
CASES = CaseList(FOUND, {1: "other"})
ALL = [{"image": f"/d/{name}.png", "id": "other" if name == "b" else name} for name in "abcde"]


def test_a_list_of_cases_is_like_a_list() -> None:
    assert (list(CASES), len(CASES), CASES[1], CASES[-1], CASES[1:3]) == (ALL, 5, ALL[1], ALL[4], ALL[1:3])
    assert CASES == ALL
    assert ALL[:4] != CASES
    assert [*ALL[:4], {}] != CASES
    assert ALL[3] in CASES
    with pytest.raises(IndexError):
        CASES[5]


def test_some_of_some() -> None:
    some = CASES.at([4, 1, 2])
    assert chosen(some, [2, 0]) == [ALL[2], ALL[4]]
    assert chosen(ALL, [2, 0]) == [ALL[2], ALL[0]]
    assert Shard(2, 2).select(CASES) == Shard(2, 2).select(ALL) == [ALL[1], ALL[3]]


def test_checksums_are_the_same_in_every_process() -> None:
    """Shards choose their cases by names that all of them must number alike."""
    assert checksum("a.png") == int(checksums(["a.png"], 1)[0])
    assert repeated(checksums(["x", "y", "x", "z", "y"], 5)).tolist() == sorted([checksum("x"), checksum("y")])
    assert checksums([], 0).dtype == np.uint64


MEASURE = """
import sys, tracemalloc
from medseg_monai.inference.cases import find_cases
from medseg_monai.inference.shards import Shard
find_cases(sys.argv[1])  # what is imported and cached at the first call
tracemalloc.start()
cases = find_cases(sys.argv[1])
share = Shard(1, 2).select(cases)
print(len(cases), len(share), *tracemalloc.get_traced_memory())
"""


def test_a_name_costs_little_memory(tmp_path: Path) -> None:
    """Bytes for each of 5,000 names of about 40 characters; a case as a dictionary alone takes more than twice as much.

    In a process of its own, in which nothing else asks for memory meanwhile.
    """
    for number in range(5000):
        file = tmp_path / f"clinic{number % 100:03d}" / f"photograph_of_a_lesion_number_{number:06d}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(tmp_path)]
    found = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    cases, share, kept, peak = map(int, found.stdout.split())
    assert (cases, share) == (5000, 2500)
    assert kept / 5000 < 100
    assert peak / 5000 < 200


def test_files_cost_no_request_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network or object store each would take a millisecond or more."""
    for number in range(50):
        (tmp_path / f"{number}.png").touch()
    asked: list[object] = []
    for name in ("stat", "lstat"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *a, real=real, **k: (asked.append(path), real(path, *a, **k))[1])
    assert len(find_cases(tmp_path)) == 50
    assert not [path for path in asked if str(path).endswith(".png")]
