"""How well `medseg audit` finds errors that are made on purpose in 5 % of the labels, beside a ranking by Dice and cleanlab's method.

    python benchmarks/audit.py DATASET_DIR (BUNDLE | --probabilities FOLDER) [--seeds 10] [--first-seed 100]

prints a table in Markdown: for each kind of error the average precision of the one ranking that a user sees, mean over draws of the labels
and of the errors, with 95 % intervals of that mean. Needs cleanlab (Northcutt et al., JAIR 2021; for masks Lad and Mueller, 2023,
arXiv:2307.05080), which is no dependency of this project.
"""

from __future__ import annotations

import argparse
import io
import logging
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from audit_errors import Error, Mask, blurred, empty, extra, fitted, jagged, missing, shifted, swapped
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from medseg_monai.audit.answers import Answer, Answers, asked_answers, kept_answers
from medseg_monai.audit.examine import Examined, Looked, examine, findings_of, look_at
from medseg_monai.audit.findings import LISTED_FROM, TWIN
from medseg_monai.audit.run import learn_temperature
from medseg_monai.audit.twins import Detail, detail_of
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.dataset import SPLITS, Dataset, DatasetSpec, read_dataset
from medseg_monai.dataset.cases import Case
from medseg_monai.grids.truth import read_shown

SHARE = 0.05
ANOTHER = "another picture's mask"
ERRORS: Mapping[str, tuple[Error | None, str]] = {
    "shifted": (shifted, "shifted"),
    "missing part": (missing, "missing part"),
    "extra part": (extra, "extra part"),
    "empty by mistake": (empty, "empty by mistake"),
    "swapped classes": (swapped, "swapped classes"),
    ANOTHER: (None, ANOTHER),
    "jagged outline": (jagged, "jagged outline"),
    "rounded outline": (blurred, "jagged outline"),
    TWIN: (None, TWIN),
}
"""The errors, and the name that the audit should give to each."""


@dataclass(frozen=True)
class Entry:
    """A case, what is examined in it, and what the rivals say: the higher, the more doubtful."""

    case: Case
    looked: Looked
    examined: Examined
    cleanlab: float

    @property
    def by_dice(self) -> float:
        """Of several classes the lowest Dice."""
        return 1 - min(self.examined.dices)


class Bench:
    """A data set's cases in memory, and how to examine one with another label; without `rivals` cleanlab is not needed."""

    def __init__(self, dataset: Dataset, answers: Answers, *, rivals: bool = True) -> None:
        self.spec: DatasetSpec = dataset.spec
        self.rivals = rivals
        cases = [case for split in SPLITS for case in dataset.cases(split) if case["id"] in answers]
        self.temperature = learn_temperature(dataset.spec, cases, answers)
        looked = [look_at(case, answers, dataset.spec) for case in cases]
        start = time.process_time()
        details = [detail_of(read_shown(case, dataset.spec).image) for case in cases]
        self.entries = [self.entry(*one) for one in zip(cases, looked, details, strict=True)]
        self.seconds = (time.process_time() - start) / len(cases)

    def entry(self, case: Case, looked: Looked, detail: Detail) -> Entry:
        examined = examine(case, looked, detail, self.spec, temperature=self.temperature)
        return Entry(case, looked, examined, 1 - cleanlab_score(looked) if self.rivals else 0.0)

    def with_masks(self, entry: Entry, masks: Mask) -> Entry:
        return self.entry(entry.case, replace(entry.looked, masks=masks), entry.examined.detail)

    def twin(self, entry: Entry) -> Entry:
        case = {**entry.case, "id": f"{entry.case['id']} again", "group": f"{entry.case['group']} again"}
        return self.entry(case, entry.looked, detail_of(saved_again(read_shown(entry.case, self.spec).image)))


def once(answers: Answers) -> dict[str, Answer]:
    """The answers, each kept once it was given."""
    kept: dict[str, NDArray[np.float32]] = {}

    def read(case: Case) -> NDArray[np.float32]:
        if case["id"] not in kept:
            kept[case["id"]] = answers[case["id"]].read(case)
        return kept[case["id"]]

    return {case: Answer(answer.origin, read) for case, answer in answers.items()}


def cleanlab_score(looked: Looked) -> float:
    """Cleanlab's quality of a mask: the softmin over pixels of the probability of the given label."""
    from cleanlab.segmentation.rank import get_label_quality_scores

    label = np.where(looked.masks.any(axis=0), looked.masks.argmax(axis=0) + 1, 0)
    none = (1 - looked.probabilities.sum(axis=0, keepdims=True)).clip(0, 1)
    probabilities = np.concatenate([none, looked.probabilities]).reshape(len(looked.masks) + 1, len(label), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, _ = get_label_quality_scores(label.reshape(1, len(label), -1), probabilities[None], verbose=False)
    return float(image[0])


def saved_again(image: NDArray[Any]) -> NDArray[Any]:
    """A picture at nine tenths of its size, a tenth brighter, as JPEG of quality 70; a volume resampled likewise, with noise."""
    if image.ndim == 4:
        small = ndimage.zoom(image.astype(np.float32), (1, 0.9, 0.9, 0.9), order=1)
        return np.asarray(1.1 * small + np.random.default_rng(0).normal(0, 0.03 * image.std(), small.shape))
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(2, 1, 0)))
    picture = picture.resize((round(0.9 * picture.width), round(0.9 * picture.height)))
    content = io.BytesIO()
    picture.point(lambda level: min(255, 1.1 * level)).save(content, format="JPEG", quality=70)
    return np.asarray(Image.open(content)).transpose(2, 1, 0)


def average_precision(scores: Sequence[float], wrong: Sequence[bool]) -> float:
    """The mean, over the wrong labels, of the precision at their ranks; ties are in random order, the same each time."""
    values = np.array(scores) + np.random.default_rng(0).uniform(0, 1e-9, len(scores))
    ranked = np.array(wrong)[np.argsort(-values)]
    return float((np.cumsum(ranked) / np.arange(1, len(ranked) + 1))[ranked].mean())


def draw(bench: Bench, error: str, seed: int) -> tuple[list[Entry], set[str]]:
    """The cases with errors in `SHARE` of them, and which these are."""
    chance = np.random.default_rng(seed)
    entries, count = list(bench.entries), len(bench.entries)
    chosen = chance.choice(count, max(2, round(SHARE * count)), replace=False)
    wrong = {entries[number].examined.case for number in chosen}
    for number in chosen:
        entry, function = bench.entries[number], ERRORS[error][0]
        if error == TWIN:
            entries.append(bench.twin(entry))
            wrong.add(entries[-1].examined.case)
        elif function is not None:
            entries[number] = bench.with_masks(entry, function(entry.looked.masks, chance))
        else:
            other = bench.entries[chance.choice([n for n in range(count) if n != number])]
            entries[number] = bench.with_masks(entry, fitted(other.looked.masks, entry.looked.masks.shape[1:]))
    return entries, wrong


def measure(bench: Bench, error: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """By name the values of each draw."""
    values: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        entries, wrong = draw(bench, error, seed)
        are_wrong = [entry.examined.case in wrong for entry in entries]
        findings = {one.case: one for one in findings_of([e.examined for e in entries], bench.spec.classes)}
        ours = [findings[entry.examined.case] for entry in entries]
        listed = [one for one in ours if one.evidence >= LISTED_FROM]
        values["audit"].append(average_precision([one.evidence for one in ours], are_wrong))
        values["cleanlab"].append(average_precision([entry.cleanlab for entry in entries], are_wrong))
        values["Dice"].append(average_precision([entry.by_dice for entry in entries], are_wrong))
        values["named"].append(float(np.mean([findings[case].kind == ERRORS[error][1] for case in wrong])))
        values["found"].append(sum(one.case in wrong for one in listed) / len(wrong))
        values["others"].append(float(sum(one.case not in wrong for one in listed)))
    return values


def interval(values: Sequence[float]) -> str:
    """Mean, and its 95 % interval by Student's t, within 0 and 1."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return f"{mean:.2f} ({max(0.0, mean - half):.2f} to {min(1.0, mean + half):.2f})"


def report(bench: Bench, seeds: Sequence[int], errors: Sequence[str]) -> None:
    """Print the table."""
    clean = findings_of([entry.examined for entry in bench.entries], bench.spec.classes)
    listed = sum(one.evidence >= LISTED_FROM for one in clean)
    print(f"### {bench.spec.name}, {len(bench.entries)} cases, {len(seeds)} draws\n")
    print(
        f"Temperature {bench.temperature}; listed of the labels as they are: {listed}; {bench.seconds:.3f} s per label.\n"
    )
    print("| error in 5 % | audit | cleanlab | lowest Dice | named so | found among listed | others listed |")
    print("|---|---|---|---|---|---|---|")
    for error in errors:
        if error == "swapped classes" and len(bench.spec.classes) < 2:
            continue
        values = measure(bench, error, seeds)
        cells = [interval(values[name]) for name in ("audit", "cleanlab", "Dice")]
        cells += [f"{np.mean(values[name]):.0%}" for name in ("named", "found")] + [f"{np.mean(values['others']):.1f}"]
        print(f"| {error} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Parse the arguments."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--probabilities", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=100, help="the constants were chosen on 0 to 3")
    parser.add_argument("--error", action="append", choices=list(ERRORS), help="default: all")
    chosen = parser.parse_args()
    dataset = read_dataset(chosen.dataset_dir)
    if chosen.probabilities:
        answers: Answers = kept_answers(chosen.probabilities, dataset)
    else:
        answers = asked_answers(find_bundle(chosen.bundle), None, dataset)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    report(Bench(dataset, once(answers)), seeds, chosen.error or list(ERRORS))


if __name__ == "__main__":
    main()
