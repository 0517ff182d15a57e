import numpy as np
import pytest
from tuned_cases import EXCLUSIVE, ONE, TWO, stored

from medseg_monai.evaluation.metrics import class_masks, score_case
from medseg_monai.evaluation.scan_scores import competition_score, score_scan
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, clean
from medseg_monai.tuning.cases import network_channels, score_of


@pytest.mark.parametrize("metric", ["dice", "jaccard"])
@pytest.mark.parametrize("spec", [TWO, EXCLUSIVE], ids=["multilabel", "multiclass"])
def test_scores_are_those_of_the_metrics(metric, spec):
    generator = np.random.default_rng(3)
    probabilities = generator.random((5, spec.out_channels, 9, 8)).astype(np.float16)
    truths = generator.integers(0, 2 if spec is TWO else 3, (5, spec.label_channels, 9, 8))
    truths[0] = 0
    setting = Cleaning(min_size=4, fill_holes=True)
    terms = stored(probabilities, truths, spec, metric, group=lambda n: str(n % 2)).measure(setting)
    assert terms[:, :, 0, 1].tolist() == [[3, 2]] * 2  # cases by group
    expected = [
        [getattr(row, metric) for row in score_case(class_masks(mask, 2), class_masks(truth, 2), case="", classes="ab")]
        for values, truth in zip(probabilities, truths, strict=True)
        for mask in [clean(values, setting, spec.task)]
    ]
    assert score_of(terms, metric) == pytest.approx(
        np.mean(expected, axis=0), abs=0.01
    )  # sigmoids are kept in 200 steps


def test_the_competition_score_is_that_of_the_scans():
    pred, truth = np.random.default_rng(5).random((2, 12, 2, 6, 7)) < 0.3
    truth[:6, 1] = pred[:6, 1] = False  # absent from the first scan
    cases = stored(
        pred.astype(float),
        truth,
        TWO,
        "competition",
        ids=lambda n: f"s{n // 6}_slice_{n % 6}",
        group=lambda n: str(n // 6),
    )
    rows = [r for n in (0, 6) for r in score_scan(pred[n : n + 6], truth[n : n + 6], scan=str(n), classes=TWO.classes)]
    expected = [competition_score(r for r in rows if r.class_name == name).score for name in TWO.classes]
    assert score_of(cases.measure(PLAIN), "competition") == pytest.approx(expected)


@pytest.mark.parametrize("spec", [ONE, TWO, EXCLUSIVE], ids=["binary", "multilabel", "multiclass"])
def test_ignored_pixels_tune_nothing(spec):
    """Wrong answers at ignored pixels cost nothing; the same ones where pixels count cost Dice."""
    truth = np.zeros((spec.label_channels, 4, 4), np.uint8)
    truth[:, :2] = 1
    sure = np.zeros((spec.out_channels, 4, 4), np.float32)
    sure[-1 if spec.task != "multiclass" else 1] = 1  # everywhere, although half is background
    sure[:1] = 1 if spec.task != "multiclass" else 0
    scores = []
    for value in (0, 255):
        truth[:, 2:] = value
        scores.append(score_of(stored([sure], [truth], spec).measure(PLAIN), "dice")[0])
    assert scores == [pytest.approx(2 / 3), 1]


def test_the_background_is_what_exclusive_classes_leave():
    classes = np.array([[[0.25]], [[0.5]]], np.float32)
    assert network_channels(classes, EXCLUSIVE)[:, 0, 0].tolist() == [0.25, 0.25, 0.5]
    assert network_channels(classes, TWO) is classes
