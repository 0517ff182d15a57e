"""A data set: a folder with one dataset.json that contains the spec and the cases of each split.

The file is a superset of the Medical Segmentation Decathlon's data list, so
`monai.data.load_decathlon_datalist` reads it too. YAML is also read, for those who write one by hand.
docs/datasets.md shows both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import (
    FILE_KEYS,
    MAPPING_KEYS,
    Case,
    absolute_path,
    as_list,
    case_names,
    check_case,
    label_coding,
    main_file,
    map_paths,
    rebased,
)
from medseg_monai.dataset.leaks import same_content, shared_keys
from medseg_monai.dataset.spec import (
    SPEC_KEYS,
    DatasetSpec,
)
from medseg_monai.files.handwritten import read_handwritten
from medseg_monai.files.writing import write_whole
from medseg_monai.program.messages import did_you_mean, listed, refuse_unknown_keys

SPLITS = ("training", "validation", "test")
TRAINED_ON = SPLITS[:2]
"""What a training reads."""
FILE_NAMES = ("dataset.json", "dataset.yaml", "dataset.yml")


@dataclass(frozen=True)
class Dataset:
    """The spec, and the cases of each split as in the file.

    Args:
        spec: what a network must know.
        root: the folder that relative paths start from.
        training, validation, test: cases, see `medseg_monai.dataset.cases.Case`.

    Raises:
        ValueError: a case lacks a key, has an unknown one, or its number of files does not fit the spec.
    """

    spec: DatasetSpec
    root: Path
    training: tuple[Case, ...] = ()
    validation: tuple[Case, ...] = ()
    test: tuple[Case, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", absolute_path(self.root))
        for split in SPLITS:
            object.__setattr__(self, split, tuple(getattr(self, split)))
            for number, case in enumerate(getattr(self, split)):
                check_case(case, self.spec, f"{split}[{number}]")

    def cases(self, split: str) -> list[Case]:
        """The cases of ``training``, ``validation`` or ``test``, with absolute paths, ``id`` and ``group``.

        The id is the image's file name without suffix, or its path below the images' common folder if
        names repeat. A case without a group forms its own group. ``coding`` says how to read the data set's labels, if
        they are not class numbers: see `medseg_monai.dataset.cases.label_spec`.
        """
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}{did_you_mean(split, SPLITS)}")
        before = sum(len(getattr(self, name)) for name in SPLITS[: SPLITS.index(split)])
        names = case_names([self._main_file(case) for name in SPLITS for case in getattr(self, name)])
        return [
            self._resolved(case, str(case.get("id", name)))
            for case, name in zip(getattr(self, split), names[before:], strict=False)
        ]

    def _main_file(self, case: Case) -> Path:
        return absolute_path(self.root / main_file(case["image"]))

    def _files(self, case: Case, key: str) -> list[Path]:
        return [absolute_path(self.root / path) for path in as_list(case[key])]

    def _resolved(self, case: Case, case_id: str) -> Case:
        def resolve(path: str) -> str:
            return str(absolute_path(self.root / path))

        paths = {key: map_paths(case[key], resolve) for key in FILE_KEYS if key in case}
        pairs = {key: tuple(case[key].items()) for key in MAPPING_KEYS if key in case}
        if "annotators" in case:
            pairs["annotators"] = tuple((name, map_paths(files, resolve)) for name, files in pairs["annotators"])
        return {
            **case,
            **paths,
            **pairs,
            **label_coding(self.spec),
            "id": case_id,
            "group": str(case.get("group", case_id)),
        }


def read_dataset(path: str | Path) -> Dataset:
    """Read dataset.json (or .yaml, .yml) from a folder, or the named file. `check_dataset` looks at the files it names.

    Raises:
        FileNotFoundError: the folder or file does not exist, or the folder has no dataset.json.
        ValueError: the file is not JSON or YAML, has an unknown or missing key, an invalid value, or no case.
    """
    file = dataset_file(path)
    try:
        content = _parse(file)
        refuse_unknown_keys(content, (*SPEC_KEYS, *SPLITS))
        spec = DatasetSpec.from_dict({key: value for key, value in content.items() if key not in SPLITS})
        splits = {split: _case_list(content.get(split, []), split) for split in SPLITS}
        if not any(splits.values()):
            raise ValueError("has no case in training, validation or test")
        return Dataset(spec=spec, root=file.parent, **splits)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: {error}") from None


def write_dataset(dataset: Dataset, path: str | Path) -> Path:
    """Write dataset.json into a folder (created if needed), or to the named .json file; whole or not at all.

    Paths are written relative to the file (absolute if that is impossible, as across drives).

    Returns:
        The file written.
    """
    file = Path(path) if Path(path).suffix == ".json" else Path(path) / FILE_NAMES[0]
    content: dict[str, Any] = dataset.spec.to_dict()
    for split in SPLITS:
        cases = [rebased(case, dataset.root, absolute_path(file.parent)) for case in getattr(dataset, split)]
        if cases or split == "training":
            content[split] = cases
    # bytes of a file name that are not UTF-8 become escapes that JSON allows: \udc80 …
    write_whole(file, _json_lines(content).encode("utf-8", "backslashreplace"))
    return file


def check_dataset(dataset: Dataset, *, contents: bool = True) -> None:
    """`check_files` of all splits, and `check_splits`."""
    check_files(dataset)
    check_splits(dataset, contents=contents)


def check_files(dataset: Dataset, splits: Sequence[str] = SPLITS) -> None:
    """Check that all files of these splits exist.

    Raises:
        FileNotFoundError: files are missing.
        ValueError: a case names a folder.
    """
    everything = [case for split in splits for case in getattr(dataset, split)]
    files = [file for case in everything for key in FILE_KEYS if key in case for file in dataset._files(case, key)]
    files += [
        file
        for case in everything
        for name in case.get("annotators", {})
        for file in dataset._files(case["annotators"], name)
    ]
    if folders := [file for file in files if file.is_dir()]:
        raise ValueError(
            f"{dataset.root}: {len(folders)} cases name folders, but a data set lists files: {listed(folders)}; convert DICOM "
            "folders to NIfTI first, e.g. with dcm2niix"
        )
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"{dataset.root}: {len(missing)} of {len(files)} files are missing: {listed(missing)}")


def check_splits(dataset: Dataset, *, contents: bool = True) -> None:
    """Check that ids differ, and that no split leaks into another.

    Args:
        dataset: the data set; files of it may be missing.
        contents: also compare the bytes of images of equal file size between splits, those that can be read.

    Raises:
        ValueError: two cases have the same id, or a group or an identical image is in two splits.
    """
    cases = {split: dataset.cases(split) for split in SPLITS}
    ids = Counter(case["id"] for split in SPLITS for case in cases[split])
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ValueError(f"{dataset.root}: {len(twice)} ids belong to more than one case: {listed(twice)}")
    if groups := shared_keys({split: [case["group"] for case in cases[split]] for split in SPLITS}):
        where = [f"{group} ({', '.join(splits)})" for group, splits in groups.items()]
        raise ValueError(f"{dataset.root}: {len(groups)} groups are in more than one split: {listed(where)}")
    if contents:
        _check_contents(dataset)


def _check_contents(dataset: Dataset) -> None:
    images = {split: [dataset._files(case, "image") for case in getattr(dataset, split)] for split in SPLITS}
    if same := same_content(images):
        where = [" = ".join(f"{split}: {files[0]}" for split, files in by_split.items()) for by_split in same]
        raise ValueError(
            f"{dataset.root}: {len(same)} images with identical content are in more than one split; "
            f"leave one of each out: {listed(where)}"
        )


def dataset_file(path: str | Path) -> Path:
    """The data set's file, given by itself or by its folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the folder has several.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder or file; expected a folder with dataset.json")
    found = [path / name for name in FILE_NAMES if (path / name).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{path}: has no dataset.json; make one with `medseg prepare`, or by hand (docs/datasets.md)"
        )
    if len(found) > 1:
        raise ValueError(f"{path}: contains {' and '.join(file.name for file in found)}; name one of the files")
    return found[0]


def _parse(file: Path) -> Mapping[str, Any]:
    content = read_handwritten(file)
    if not isinstance(content, Mapping):
        raise ValueError(f"expected a mapping of keys, got {type(content).__name__}")
    return content


def _case_list(value: object, split: str) -> tuple[Case, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"{split}: expected a list of cases, got {type(value).__name__}")
    return tuple(value)


def _json_lines(content: Mapping[str, Any]) -> str:
    """JSON with one line for each key, and one for each case."""
    parts = []
    for key, value in content.items():
        text = json.dumps(value, ensure_ascii=False)
        if key in SPLITS and value:
            text = "[\n    " + ",\n    ".join(json.dumps(case, ensure_ascii=False) for case in value) + "\n  ]"
        parts.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
