"""Several answers as one: the mean of their probabilities, over mirror images (test-time augmentation) or over networks (an ensemble).

The mean is passed on as logits whose sigmoid or softmax it is, so everything that follows a network works unchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from medseg_monai.bundle.paths import find_named_weights
from medseg_monai.bundle.trained import ENSEMBLE, Trained, check_trusted, load_weights, network_of
from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.engines.agreement import Agreement, agreement
from medseg_monai.program.messages import did_you_mean
from medseg_monai.transforms.decision import to_probabilities

logger = logging.getLogger(__name__)

Views = Literal["none", "flips", "dihedral"]
SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1, where their logits would be infinite."""
STRANGE = 0.5
"""Below this Dice with the image's own answer, a warning says that the network does not know mirrored or rotated images."""
COMPARED = 3
"""Number of images with foreground for this comparison, at most `COMPARED_SIDE` points along an axis of each."""
COMPARED_SIDE = 64


def to_logits(probabilities: Tensor, task: Task) -> Tensor:
    """(B, C, *S) logits that `to_probabilities` turns into these."""
    if task == "multiclass":
        return probabilities.clamp(min=SMALLEST).log()
    inside = probabilities.clamp(SMALLEST, 1 - SMALLEST)
    return inside.log() - (1 - inside).log()


def mean_logits(answers: Iterable[Tensor], task: Task) -> Tensor:
    """Logits of the mean probabilities of several answers; a single answer is returned unchanged."""
    total: Tensor | None = None
    first: Tensor | None = None
    count = 0
    for logits in answers:
        first = logits if first is None else first
        # infinite logits are not certainty: such an answer must not be hidden by the others
        probabilities = torch.where(logits.isfinite(), to_probabilities(logits, task), torch.nan)
        total = probabilities if total is None else total + probabilities
        count += 1
    if total is None or first is None:
        raise ValueError("there is nothing to average")
    return first if count == 1 else to_logits(total / count, task)


@dataclass(frozen=True)
class View:
    """A mirrored or rotated image that the network may see instead of the original.

    Attributes:
        flipped: spatial axes that are mirrored.
        swapped: whether the first two spatial axes are exchanged afterwards.
    """

    flipped: tuple[int, ...] = ()
    swapped: bool = False

    def of(self, images: Tensor) -> Tensor:
        """The view of (B, C, *S) images."""
        seen = images.flip([axis + 2 for axis in self.flipped]) if self.flipped else images
        return seen.transpose(2, 3) if self.swapped else seen

    def back(self, maps: Tensor) -> Tensor:
        """Maps of the view on the image's own grid: the exact inverse of `of`."""
        turned = maps.transpose(2, 3) if self.swapped else maps
        return turned.flip([axis + 2 for axis in self.flipped]) if self.flipped else turned


def views(kind: Views, spatial_dims: int) -> list[View]:
    """The views of a kind, the image itself first.

    ``flips``: mirrored along every choice of axes, 4 views in 2D and 8 in 3D. ``dihedral``: these, and each of them with the first two
    axes exchanged, which adds the quarter turns.

    Raises:
        ValueError: the kind is unknown.

    >>> [len(views(kind, 2)) for kind in ("none", "flips", "dihedral")]
    [1, 4, 8]
    """
    if kind not in get_args(Views):
        raise ValueError(f"tta: got {kind!r}{did_you_mean(kind, get_args(Views))}")
    if kind == "none":
        return [View()]
    axes = range(spatial_dims)
    flips = [View(chosen) for count in range(spatial_dims + 1) for chosen in combinations(axes, count)]
    return flips if kind == "flips" else flips + [View(view.flipped, swapped=True) for view in flips]


class AveragedViews(Inferer):
    """Test-time augmentation: the mean of the probabilities of several views, each mapped back first.

    A network that was trained without mirroring does not know mirrored images, and the mean is worse. On the first images the
    views are therefore compared with the image itself, and a warning says so if they have little in common.

    Args:
        inferer: runs the network on each view.
        kind: see `views`.
        task: of the data set.
        spatial_dims: 2 or 3.
    """

    def __init__(self, inferer: Inferer, kind: Views, *, task: Task, spatial_dims: int = 2) -> None:
        self.inferer = inferer
        self.views = views(kind, spatial_dims)
        self.task = task
        self.agreed: Agreement | None = None

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits of the mean probabilities, (B, C, *S)."""
        return mean_logits(self._answers(inputs, network, *args, **kwargs), self.task)

    def _answers(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Iterator[Tensor]:
        """The answer to each view, mapped back."""
        compared = self.agreed is not None and self.agreed.images >= COMPARED
        own: Tensor | None = None
        seen: list[Agreement] = []
        for view in self.views:
            answer = view.back(self.inferer(view.of(inputs), network, *args, **kwargs))
            yield answer
            if compared:
                continue
            if own is None:
                own = _thinned(answer)
            else:
                seen.append(agreement(own, _thinned(answer), task=self.task))
        if seen and seen[0].says_something:
            self._note(seen, len(inputs))

    def _note(self, seen: Sequence[Agreement], images: int) -> None:
        """Add the views of one batch, and warn once enough images have been seen."""
        total = seen[0] if self.agreed is None else self.agreed
        for one in seen if self.agreed is not None else seen[1:]:
            total = total + one
        self.agreed = replace(total, images=images + (0 if self.agreed is None else self.agreed.images))
        if self.agreed.images >= COMPARED and self.agreed.dice < STRANGE:
            logger.warning(
                "test-time augmentation: on mirrored or rotated images the network finds something else (Dice %.2f with the image "
                "itself, %d images): weights trained without mirroring should be used without it (tta=none)",
                self.agreed.dice,
                self.agreed.images,
            )


def _thinned(logits: Tensor) -> Tensor:
    """(B, C, *S) subsampled evenly, on the CPU."""
    steps = tuple(slice(None, None, -(-side // COMPARED_SIDE)) for side in logits.shape[2:])
    thinned = (slice(None), slice(None), *steps)
    return logits[thinned].detach().float().cpu()


class Ensemble(nn.Module):
    """Several networks as one, whose logits are those of their mean probabilities. Shape: that of its members.

    Args:
        members: networks for the same images and classes.
        task: of the data set.
    """

    def __init__(self, members: Sequence[nn.Module], *, task: Task) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.task = task

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the size of `x`."""
        return mean_logits([member(x) for member in self.members], self.task)


class NetworkEnsemble(Ensemble):
    """An `Ensemble` of networks of one kind, as ``spec.json`` describes it: its weights lie in one file.

    Args:
        member: ``_target_`` of its networks and their arguments.
        count: of networks.
        task: of the data set.

    Raises:
        ValueError: the members are not networks of medseg_monai or MONAI, or there are none.
    """

    def __init__(self, *, member: Mapping[str, Any], count: int, task: Task) -> None:
        check_trusted(str(member.get("_target_", "")), "an ensemble's spec.json")
        if count < 1:
            raise ValueError(f"an ensemble has at least one member, not {count}")
        super().__init__([network_of(member) for _ in range(count)], task=task)

    @staticmethod
    def described(trained: Trained, count: int) -> dict[str, Any]:
        """What the ``architecture`` of a spec.json says for so many networks like those of `trained`."""
        return {
            "_target_": ENSEMBLE,
            "member": dict(trained.architecture),
            "count": count,
            "task": trained.dataset.task,
        }


MUST_AGREE = ("task", "classes", "channels", "spatial_dims", "size", "spacing_mm", "aspect", "intensity")
"""What the members of an ensemble must have in common: the same input and the same classes."""


def with_members(
    network: nn.Module, trained: Trained, others: Sequence[str | Path], *, bundle_root: str | Path
) -> nn.Module:
    """An `Ensemble` of a network and others; the network itself if there are no others.

    Args:
        network: the first member, with its weights.
        trained: what its weights are for.
        others: weights of each further member (a file, a folder, a data set's name) or a bundle's name.
        bundle_root: the bundle to which a data set's name refers.

    Raises:
        FileNotFoundError: weights do not exist.
        ValueError: weights are for another input or other classes.
    """
    members = [network]
    for other in [others] if isinstance(others, (str, Path)) else others:
        file = find_named_weights(bundle_root, other)
        theirs = Trained.read(file.parent)
        check_alike(trained.dataset, theirs.dataset, file)
        members.append(load_weights(theirs.build_network(), file))
    return Ensemble(members, task=trained.dataset.task) if len(members) > 1 else network


def check_alike(first: DatasetSpec, other: DatasetSpec, name: object) -> None:
    """Refuse a member with another input or other classes.

    Raises:
        ValueError: it differs; the message names the first difference.
    """
    for key in MUST_AGREE:
        ours, theirs = getattr(first, key), getattr(other, key)
        if ours != theirs:
            raise ValueError(
                f"not an ensemble: {name} was trained with {key} {theirs}, but the first weights with {ours}; "
                "all members must have the same input and the same classes"
            )
