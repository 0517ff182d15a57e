"""Corrections that would make a label likelier, each by the name of the error that it undoes.

The likelihood of a label under the probabilities of a network that has not seen it is a sum over pixels, so what a correction gains is
the sum of the log-odds of the pixels that it changes. Pixels of one part are right or wrong together, though: a part is one decision, not
a thousand. Therefore **the evidence for a correction is what it gains per pixel that it changes**, in nats, however large it is, but for
changes of a few pixels, which say little (`SMALL_SHARE`). If a network disagrees with a label because it is unsure, its pixels are worth
little; if a label is wrong, most of them are worth all that a network can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from medseg_monai.audit.evidence import MOST_NATS, Evidence
from medseg_monai.evaluation.surfaces import Mask

Kind = Literal[
    "shifted",
    "mirrored or turned",
    "swapped classes",
    "missing part",
    "extra part",
    "empty by mistake",
    "another picture's mask",
    "jagged outline",
    "soft outline",
    "twin of another patient",
]
SMALL_SHARE = 0.03
"""A change of this share of the structure is worth half of its evidence, a smaller one less."""
SMALL_COUNT = 4.0
"""The same in pixels of the grid, for structures of a few pixels."""
SMOOTHING = 0.025
"""Standard deviation that an outline is smoothed with, as a share of the structure's diameter."""
LEAST_GAIN = 1e-3
"""Nats, over all pixels: less is rounding."""
LEAST_SMOOTHING = 0.8
"""The same, in pixels of the grid."""


WEIGHTS: Mapping[Kind, float] = {"shifted": 1.5, "jagged outline": 2.5}
"""Of evidence: what these change lies along the outline, where the network is never sure, so that right labels show little of it too."""


@dataclass(frozen=True)
class Correction:
    """A change of a label that makes it likelier.

    Args:
        kind: the error that it undoes.
        classes: numbers of the classes that it concerns.
        gain: nats, over all pixels.
        changed: pixels that it changes.
        size: of the structures, in pixels.
        words: what is wrong, as the end of a sentence about the label.
        whole: size of all structures of the label; that of these by default.
        share: of the gain that is of this kind; a region may also hold others.
    """

    kind: Kind
    classes: tuple[int, ...]
    gain: float
    changed: float
    size: float
    words: str = ""
    whole: float | None = None
    share: float = 1.0

    @property
    def evidence(self) -> float:
        """Nats per changed pixel, less for changes of a few pixels, times the kind's weight; at most `MOST_NATS`."""
        if self.gain <= 0 or self.changed <= 0:
            return 0.0
        discount = self.changed / (self.changed + SMALL_SHARE * self.size + SMALL_COUNT)
        return min(MOST_NATS, WEIGHTS.get(self.kind, 1.0) * self.gain / self.changed * discount)

    @property
    def explained(self) -> float:
        """Nats, over all pixels, per pixel of the whole label: how much of what is wrong it puts right, the same on every grid."""
        return self.share * max(0.0, self.gain) / max(self.whole or self.size, 1.0)


def corrections_of(evidence: Evidence, classes: Sequence[str]) -> list[Correction]:
    """The best correction of each kind, and of each class for parts; those that gain nothing are left out.

    Args:
        evidence: on the label.
        classes: their names.
    """
    found = [*_shifts(evidence), *_swaps(evidence, classes), *_parts(evidence, classes), *_outlines(evidence)]
    whole = evidence.size()
    return [replace(one, whole=whole) for one in found if one.gain > LEAST_GAIN]


def _shifts(evidence: Evidence) -> Iterator[Correction]:
    """All classes moved together; of classes that may overlap also each on its own, as they come from a file each."""
    everything = tuple(range(len(evidence.masks)))
    yield from _shift(evidence, everything)
    if not evidence.exclusive and len(everything) > 1:
        for number in everything:
            yield from _shift(evidence, (number,))


def _shift(evidence: Evidence, classes: tuple[int, ...]) -> Iterator[Correction]:
    masks, odds = evidence.masks[list(classes)], evidence.odds[list(classes)]
    if not masks.any():
        return
    by, _ = best_shift(masks, odds)
    moved = shifted(masks, by)
    lost = np.count_nonzero(masks) - np.count_nonzero(moved)  # what is moved off the picture changes too
    # the sum again, without the rounding of the search
    gain = float(odds.sum(where=moved, dtype=np.float64) - odds.sum(where=masks, dtype=np.float64)) - lost * MOST_NATS
    far = float(np.linalg.norm(by)) * evidence.step
    unit = "voxels" if masks.ndim == 4 else "pixels"
    words = f"fits better when moved by {far:.0f} {unit}"
    changed = float((masks != moved).any(axis=0).sum()) + lost
    yield Correction("shifted", classes, gain, changed, evidence.size(classes), words)


def best_shift(masks: Mask, odds: NDArray[np.float32]) -> tuple[tuple[int, ...], float]:
    """The shift of (K, *S) masks of the greatest likelihood, up to half of their extent, and that likelihood.

    Beyond the grid all pixels are background for certain, so that nothing gains by being moved out.
    """
    places = [np.flatnonzero(masks.any(axis=_others(masks.ndim, axis))) for axis in range(1, masks.ndim)]
    first, last = [int(p[0]) for p in places], [int(p[-1]) + 1 for p in places]
    reach = [-(-(b - a) // 2) for a, b in zip(first, last, strict=True)]
    around = tuple(slice(a, b + 2 * far) for a, b, far in zip(first, last, reach, strict=True))
    own = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    total: NDArray[np.float64] | float = 0.0
    for mask, odd in zip(masks, odds, strict=True):
        if mask.any():
            padded = np.pad(odd, [(far, far) for far in reach], constant_values=-MOST_NATS)[around]
            total = total + signal.correlate(padded, mask[own].astype(np.float32), mode="valid", method="fft")
    likelihoods = np.asarray(total)
    best = np.unravel_index(int(likelihoods.argmax()), likelihoods.shape)
    return tuple(int(place) - far for place, far in zip(best, reach, strict=True)), float(likelihoods[best])


def shifted(masks: Mask, by: Sequence[int]) -> Mask:
    """Masks (K, *S) moved by whole pixels; what leaves the grid is lost.

    >>> shifted(np.array([[True, True, False]]), [1]).astype(int).tolist()
    [[0, 1, 1]]
    """
    moved = np.zeros_like(masks)
    target = tuple(slice(max(0, b), max(0, side + min(0, b))) for b, side in zip(by, masks.shape[1:], strict=True))
    source = tuple(slice(max(0, -b), max(0, side - max(0, b))) for b, side in zip(by, masks.shape[1:], strict=True))
    everything = (slice(None),)
    moved[everything + target] = masks[everything + source]
    return moved


def _swaps(evidence: Evidence, classes: Sequence[str]) -> Iterator[Correction]:
    """Two classes exchanged."""
    for pair in combinations(range(len(evidence.masks)), 2):
        one, other = (evidence.masks[number] for number in pair)
        difference = evidence.odds[pair[1]] - evidence.odds[pair[0]]
        gain = float(
            np.sum(difference, where=one, dtype=np.float64) - np.sum(difference, where=other, dtype=np.float64)
        )
        words = f"fits better with {classes[pair[0]]} and {classes[pair[1]]} exchanged"
        yield Correction(
            "swapped classes", pair, gain, float(np.count_nonzero(one != other)), evidence.size(pair), words
        )


def _parts(evidence: Evidence, classes: Sequence[str]) -> Iterator[Correction]:
    """The connected regions where label and likeliest label differ: of those that are mainly one error the one of most evidence."""
    if evidence.exclusive:
        best = np.maximum(evidence.odds.max(axis=0), 0)
        own = np.sum(evidence.odds, axis=0, where=evidence.masks)
        yield from _regions(evidence, best - own, range(len(classes)), classes)
        return
    for number, (mask, expected, odds) in enumerate(zip(evidence.masks, evidence.expected, evidence.odds, strict=True)):
        yield from _regions(evidence, np.abs(odds) * (mask != expected), [number], classes)


def _regions(
    evidence: Evidence, nats: NDArray[np.float32], among: Sequence[int], classes: Sequence[str]
) -> Iterator[Correction]:
    """The regions in which correcting the label gains nats, (*S)."""
    labels, count = ndimage.label(nats > 0)
    if not count:
        return
    changed = np.bincount(labels.ravel())[1:]
    gains = _sums(labels, nats, count)
    errors = list(_errors(evidence, among, classes))
    shares = np.stack([_sums(labels, nats * region, count) for _, _, region, _ in errors])
    found: dict[Kind, Correction] = {}
    for place, main in enumerate(shares.argmax(axis=0)):
        kind, numbers, _, words = errors[main]
        size = evidence.size(numbers[:1])
        if kind != "empty by mistake":
            words = f"{words} ({100 * min(1.0, changed[place] / max(size, 1)):.0f} % of its size)"
        share = float(shares[main, place] / gains[place])
        one = Correction(kind, numbers, float(gains[place]), float(changed[place]), size, words, share=share)
        if kind not in found or one.evidence > found[kind].evidence:
            found[kind] = one
    yield from found.values()


def _sums(labels: NDArray[np.int32], weights: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Sums over the regions 1 to `count`."""
    sums = np.bincount(labels.ravel(), weights=weights.ravel(), minlength=count + 1)[1:]
    return sums.astype(np.float64)


def _errors(
    evidence: Evidence, among: Sequence[int], classes: Sequence[str]
) -> Iterator[tuple[Kind, tuple[int, ...], Mask, str]]:
    """What can be wrong with a pixel: kind, classes, where it is so, in words."""
    masks, expected = evidence.masks, evidence.expected
    nothing, unexpected = ~masks[list(among)].any(axis=0), ~expected[list(among)].any(axis=0)
    for number in among:
        name = classes[number]
        if masks[number].any():
            yield "missing part", (number,), expected[number] & nothing, f"lacks a part of {name}"
        else:
            words = f"has no {name}, and the network sees some"
            yield "empty by mistake", (number,), expected[number] & nothing, words
        words = f"has a part of {name} where the network sees none"
        yield "extra part", (number,), masks[number] & unexpected, words
        for other in among:
            if other != number:
                words = f"names a part {name} where the network sees {classes[other]}"
                yield "swapped classes", (number, other), masks[number] & expected[other], words


def _outlines(evidence: Evidence) -> Iterator[Correction]:
    """The outlines smoothed."""
    if not evidence.masks.any():
        return
    smooth = smoothed(evidence.masks)
    changed = (smooth != evidence.masks).any(axis=0)
    gain = evidence.likelihood_of(smooth) - evidence.likelihood
    words = "fits better with its outline smoothed"
    everything = tuple(range(len(evidence.masks)))
    yield Correction("jagged outline", everything, gain, float(changed.sum()), evidence.size(), words)


def smoothed(masks: Mask) -> Mask:
    """Masks (K, *S) with smooth outlines: blurred by a share of their diameter, then the strongest; those that overlap may do so still."""
    spatial = masks.ndim - 1
    diameter = max(float(np.count_nonzero(mask)) ** (1 / spatial) for mask in masks)
    sigma = max(LEAST_SMOOTHING, SMOOTHING * diameter)
    soft = np.stack([ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest") for mask in masks])
    return soft > 0.5


def _others(axes: int, axis: int) -> tuple[int, ...]:
    """All axes but this one."""
    return tuple(other for other in range(axes) if other != axis)
