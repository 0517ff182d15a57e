"""A check before the first step: whether there is anything to learn from the training masks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.workflow import Workflow
from torch import Tensor

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.program.messages import listed
from medseg_monai.training.cache import CachedDataset

logger = logging.getLogger(__name__)


class RefuseNothingToLearn:
    """Ignite handler: end a training before its first step if its masks are all empty, or if a class occurs in none of them.

    Masks are examined as the network sees them, in random order, until every class has been found: for most data sets a few, which
    stay in the cache. If the validation masks lack a class, no epoch is chosen by it: a warning says so. Attach to the trainer before
    all other handlers that read data.

    Args:
        spec: the data set.
        evaluator: the validation engine, whose masks decide which epoch is best.
        every_class: False if a class may be missing, as in a training that continues from weights that know it.
    """

    def __init__(self, spec: DatasetSpec, evaluator: Workflow | None = None, *, every_class: bool = True) -> None:
        self.spec = spec
        self.evaluator = evaluator
        self.every_class = every_class

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Examine the masks of the trainer's data.

        Raises:
            ValueError: says how many masks were examined, and which classes are missing.
        """
        training, validation = (
            getattr(getattr(each, "data_loader", None), "dataset", None) for each in (engine, self.evaluator)
        )
        if engine.state.epoch > 0 or not isinstance(training, CachedDataset):
            return
        missing, looked_at = missing_classes(training, self.spec, enough=not self.every_class)
        absent: list[str] = []
        if isinstance(validation, CachedDataset):
            absent, of = missing_classes(validation, self.spec)
            if absent and len(missing) < len(self.spec.classes) and engine.state.rank == 0:
                warn_of_absent(absent, of, self.spec)
        shown = [name for name in missing if isinstance(validation, CachedDataset) and name not in absent]
        refuse_missing(missing, looked_at, self.spec, in_validation=shown)


def missing_classes(dataset: CachedDataset, spec: DatasetSpec, *, enough: bool = False) -> tuple[list[str], int]:
    """The classes that no mask shows, and the number of masks examined.

    Args:
        dataset: cases with labels.
        spec: the spec with the classes.
        enough: stop at the first class found.
    """
    # a case from which several patches are drawn occurs several times
    cases = {str(case.get("label")): index for index, case in enumerate(dataset.data)}
    unseen = set(range(len(spec.classes)))
    looked_at = 0
    for index in np.random.default_rng(0).permutation(list(cases.values())):
        label = dataset.loaded(int(index)).get("label")
        looked_at += 1
        if isinstance(label, Tensor):
            unseen -= set(_classes_in(label, spec))
        if not unseen or (enough and len(unseen) < len(spec.classes)):
            return [], looked_at
    return [spec.classes[number] for number in sorted(unseen)], looked_at


def _classes_in(label: Tensor, spec: DatasetSpec) -> Iterable[int]:
    """Numbers of the classes that a label (C, *S) shows, from 0."""
    if spec.task == "multilabel":
        shown = ((label != 0) & (label != IGNORED)).flatten(1).any(1)
        return torch.nonzero(shown).flatten().tolist()
    return [int(value) - 1 for value in torch.unique(label) if value not in (0, IGNORED)]


def warn_of_absent(absent: list[str], looked_at: int, spec: DatasetSpec) -> None:
    """Say that the best epoch is chosen without some classes, or by nothing at all."""
    if len(absent) == len(spec.classes):
        logger.warning(
            "all %d validation masks are empty: the best epoch is the one that finds least, whatever it has learnt. "
            "Put cases that show something into validation",
            looked_at,
        )
        return
    logger.warning(
        "in none of the %d validation masks: %s. The best epoch is chosen without regard to how well this is found",
        looked_at,
        listed(absent),
    )


def refuse_missing(missing: list[str], looked_at: int, spec: DatasetSpec, *, in_validation: Sequence[str] = ()) -> None:
    """Raise a ValueError if classes are missing; without any class there is nothing to learn at all.

    Args:
        missing: classes that no training mask shows.
        looked_at: number of training masks.
        spec: the data set.
        in_validation: those of the missing ones that validation shows.
    """
    size = "" if spec.size is None else f" at the network's size of {'x'.join(map(str, spec.size))}"
    if len(missing) == len(spec.classes):
        raise ValueError(
            f"data set {spec.name}: all {looked_at} training masks are empty{size}, so there is nothing to learn: "
            "check the masks, and their values if they are class numbers"
        )
    if missing:
        several = "these classes are" if len(missing) > 1 else "this class is"
        raise ValueError(
            f"data set {spec.name}: {several} in none of the {looked_at} training masks{size}: {listed(missing)}"
            f"{f' (only in validation: {listed(in_validation)})' if in_validation else ''}. Remove it from "
            "'classes', add cases that show it, or set every_class=false to train anyway"
        )
