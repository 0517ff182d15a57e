"""A data set to look at: cases by number, slice, id and split, with images and masks as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from medseg_monai.api.arguments import FilePath
from medseg_monai.dataset import FILE_NAMES, SPLITS, DatasetSpec, check_dataset, read_dataset
from medseg_monai.dataset.cases import as_list
from medseg_monai.dataset.dataset_file import dataset_file
from medseg_monai.program.messages import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.dataset import Case
    from medseg_monai.figures.cases import CaseView
    from medseg_monai.report.notebook import Shown

SHOWN = 8
"""Cases in a gallery, unless more are asked for."""
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError)


@dataclass(frozen=True)
class LabelledCase:
    """An image with its true mask. Both are read when they are asked for.

    Attributes:
        id: its name in the data set.
        split: training, validation or test.
        spec: of the data set.
        case: as `medseg_monai.dataset.Dataset.cases` has it.
    """

    id: str
    split: str
    spec: DatasetSpec = field(repr=False)
    case: Case = field(repr=False)

    @property
    def image_files(self) -> list[Path]:
        """The image's file, or one for each channel."""
        return [Path(file) for file in as_list(self.case["image"])]

    @property
    def label_files(self) -> list[Path]:
        """The mask's file, or one for each class."""
        return [Path(file) for file in as_list(self.case["label"])]

    @property
    def group(self) -> str:
        """The patient or lesion."""
        return str(self.case["group"])

    @property
    def image(self) -> NDArray[Any]:
        """The image: (H, W) or (H, W, channels), upright; of a volume (I, J, K) or (channels, I, J, K).

        Raises:
            OSError, ValueError: it cannot be read.
        """
        from medseg_monai.grids.kinds import kind_of
        from medseg_monai.grids.truth import read_shown

        return kind_of(self.spec).as_image(read_shown(self.case, self.spec).image)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The true mask on the image's grid, as `Prediction.mask`: (H, W) of class numbers, with several overlapping classes
        (classes, H, W), of volumes (I, J, K) or (classes, I, J, K); 255 at pixels that do not count.

        Raises:
            OSError, ValueError: it cannot be read, or does not fit the image.
        """
        from medseg_monai.grids.kinds import kind_of

        shown = kind_of(self.spec).as_shown(self._label())
        return shown if self.spec.task == "multilabel" else shown[0]

    def plot(self) -> Figure:
        """A matplotlib figure of the image and the image with its mask; of a volume axial slices with the mask.

        Raises:
            OSError, ValueError: the image or the mask cannot be read.
        """
        from medseg_monai.figures.cases import image_and_mask

        return image_and_mask(self.view(), classes=self.spec.classes)

    def view(self) -> CaseView:
        """For figures: the true mask, tinted like a prediction.

        Raises:
            OSError, ValueError: the image or the mask cannot be read.
        """
        from medseg_monai.evaluation.metrics import class_masks, split_ignored
        from medseg_monai.figures.cases import CaseView
        from medseg_monai.grids.truth import read_shown

        label, _ = split_ignored(self._label())
        masks, shown = class_masks(label, len(self.spec.classes)), read_shown(self.case, self.spec)
        return CaseView(shown.image, masks, masks[:0], title=self.id, affine=shown.affine, colour=shown.colour)

    def _label(self) -> NDArray[np.uint8]:
        """As `medseg_monai.grids.truth.read_truth` reads it."""
        from medseg_monai.grids.truth import read_truth

        return read_truth(self.case, None, self.spec)

    def _repr_html_(self) -> str:
        """The picture and the size of each class, for a notebook."""
        from medseg_monai.grids.kinds import kind_of
        from medseg_monai.report.notebook import Shown, Table, card, case_uri

        view = self.view()
        pixels = [f"{int(np.count_nonzero(plane)):,}" for plane in np.asarray(view.pred)]
        rows = [list(row) for row in zip(self.spec.classes, pixels, strict=True)]
        return card(
            self.id,
            subtitle=f"{self.split} case of {self.spec.name}",
            pictures=[Shown(case_uri(view))],
            tables=[Table(["", kind_of(self.spec).elements], rows)],
            facts={"group": self.group if self.group != self.id else ""},
        )


@dataclass(frozen=True)
class ImageDataset(Sequence[LabelledCase]):
    """A data set, or a part of one: ``data[3]``, ``data[:5]``, ``data["ISIC_0000001"]``, ``data["test"]``, ``for case in data``.

    Attributes:
        file: its dataset.json.
        spec: what a network must know of it.
        cases: in the order training, validation, test.
        part: which part it is; "" for all of it.
        left_out: files that are not in it, with the reasons, if it was prepared just now.
        notes: what else a person should know of them.
        layout: how the raw folder was read, if several ways are possible.
    """

    file: Path
    spec: DatasetSpec
    cases: tuple[LabelledCase, ...]
    part: str = ""
    left_out: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = ()
    layout: str = ""

    @classmethod
    def read(cls, path: FilePath) -> ImageDataset:
        """Read it, as `medseg_monai.dataset.read_dataset` does."""
        dataset = read_dataset(Path(path))
        cases = [
            LabelledCase(str(case["id"]), split, dataset.spec, case)
            for split in SPLITS
            for case in dataset.cases(split)
        ]
        return cls(dataset_file(path), dataset.spec, tuple(cases))

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.spec.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.spec.classes

    @property
    def folder(self) -> Path:
        """Where dataset.json is."""
        return self.file.parent

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the data set."""
        return not self.part

    @property
    def training(self) -> ImageDataset:
        """The training cases."""
        return self.split("training")

    @property
    def validation(self) -> ImageDataset:
        """The validation cases."""
        return self.split("validation")

    @property
    def test(self) -> ImageDataset:
        """The test cases."""
        return self.split("test")

    def split(self, name: str) -> ImageDataset:
        """The cases of training, validation or test.

        Raises:
            ValueError: it is none of these.
        """
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}{did_you_mean(name, SPLITS)}")
        return self._part([case for case in self.cases if case.split == name], name)

    def case(self, case_id: str) -> LabelledCase:
        """The case of this id.

        Raises:
            KeyError: there is none.
        """
        try:
            return self._by_id[case_id]
        except KeyError:
            raise KeyError(f"no case {case_id!r} in {self.name}{did_you_mean(case_id, self._by_id)}") from None

    @cached_property
    def _by_id(self) -> dict[str, LabelledCase]:
        return {case.id: case for case in self.cases}

    def __len__(self) -> int:
        return len(self.cases)

    @overload
    def __getitem__(self, which: int) -> LabelledCase: ...
    @overload
    def __getitem__(self, which: slice) -> ImageDataset: ...
    @overload
    def __getitem__(self, which: str) -> Any: ...
    def __getitem__(self, which: int | slice | str) -> LabelledCase | ImageDataset:
        """A case by number or id, a part by slice or split; an id that is a split's name: `case`."""
        if isinstance(which, str):
            return self.split(which) if which in SPLITS else self.case(which)
        if isinstance(which, slice):
            numbers = ":".join("" if n is None else str(n) for n in (which.start, which.stop, which.step))
            return self._part(
                self.cases[which], f"[{numbers.removesuffix(':')}]" if which.step is None else f"[{numbers}]"
            )
        return self.cases[which]

    def __iter__(self) -> Iterator[LabelledCase]:
        return iter(self.cases)

    def __contains__(self, item: object) -> bool:
        """Whether a case, or a case of this id, is in it."""
        return item in self._by_id if isinstance(item, str) else item in self.cases

    def _part(self, cases: Sequence[LabelledCase], name: str) -> ImageDataset:
        return ImageDataset(self.file, self.spec, tuple(cases), part=" ".join(filter(None, (self.part, name))))

    def counts(self) -> dict[str, int]:
        """The number of cases in each split."""
        return {split: sum(case.split == split for case in self.cases) for split in SPLITS}

    def check(self) -> None:
        """Check that all files are there and no split leaks into another, as training does first.

        Raises:
            FileNotFoundError, ValueError: as `medseg_monai.dataset.check_dataset`.
        """
        check_dataset(read_dataset(self.file))

    def plot(self, count: int = SHOWN) -> Figure:
        """A matplotlib figure of some cases with their masks, evenly spread; a case that cannot be read is left out.

        Args:
            count: most cases to show.

        Raises:
            ValueError: none of them can be read.
        """
        from medseg_monai.figures.cases import masked_pictures, show_texts_as_they_are

        views, problems = self._views(count)
        if not views:
            raise ValueError(f"nothing to draw of {self!r}: {problems[0] if problems else 'it has no cases'}")
        figure = masked_pictures(views, classes=self.classes)
        if problems:
            figure.suptitle(f"{len(problems)} of {len(views) + len(problems)} could not be read")
        show_texts_as_they_are(figure)
        return figure

    def _views(self, count: int) -> tuple[list[CaseView], list[str]]:
        """Cases to draw, and why others cannot be."""
        step = max(1, -(-len(self.cases) // max(1, count)))
        views, problems = [], []
        for case in self.cases[::step]:
            try:
                views.append(case.view())
            except UNREADABLE as error:
                problems.append(f"{case.id}: {error}".splitlines()[0])
        return views, problems

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {split}" for split, count in self.counts().items() if count)
        part = f" {self.part}" if self.part else ""
        return f"ImageDataset({self.name}{part}: {counts or 'no'} cases of {', '.join(self.classes)})"

    def _repr_html_(self) -> str:
        """Counts, facts and a few cases, for a notebook."""
        from medseg_monai.report.notebook import card, facts_of_spec

        pictures, problems = self._pictures()
        counts = {f"{split} cases": count for split, count in self.counts().items() if count}
        left_out = [f"left out: {file}: {reason}" for file, reason in self.left_out[:SHOWN]]
        more = [f"{len(self.left_out) - SHOWN} more were left out"] if len(self.left_out) > SHOWN else []
        return card(
            f"{self.name} {self.part}".strip(),
            subtitle=self.spec.description,
            alarms=problems,
            pictures=pictures,
            facts={**counts, "read as": self.layout, **facts_of_spec(self.spec), "file": str(self.file)},
            notes=[*self.notes, *left_out, *more],
        )

    def _pictures(self) -> tuple[list[Shown], list[str]]:
        from medseg_monai.report.notebook import Shown, case_uri

        views, problems = self._views(SHOWN // 2)
        return [Shown(case_uri(view, longest=280), caption=view.title) for view in views], problems


def load_dataset(dataset: FilePath) -> ImageDataset:
    """A data set to look at and to train on.

    Args:
        dataset: the folder with dataset.json, the file itself, or the name of a folder in ``data/``, where `prepare` puts them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: dataset.json is not valid; the message says where.
    """
    path = Path(dataset)
    by_name = Path("data") / path
    is_one = path.is_file() or any((path / name).is_file() for name in FILE_NAMES)
    return ImageDataset.read(by_name if not is_one and by_name.is_dir() else path)
