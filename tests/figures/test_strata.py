"""The dot plot of strata: a row for each, the worst marked."""

import numpy as np
from evaluations import scores_of

from medseg_monai.evaluation.strata import stratify
from medseg_monai.figures.strata import MOST_ROWS, strata_plot


def strata(kinds, cases=60):
    scores = [scores_of(f"c{i}", dice=0.5 + 0.4 * ((i * 7) % cases) / cases, truth_size=1.0) for i in range(cases)]
    columns = {f"c{i}": {f"column {k}": f"{i % 2}" for k in range(kinds)} for i in range(cases)}
    return stratify(scores, columns, size_unit="ml")


def test_a_row_for_each_stratum_with_its_number_of_cases():
    found = strata(2)
    (axes,) = strata_plot(found).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"{one.title}: 30 cases" for one in found]
    points = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    assert [float(line.get_xdata()[0]) for line in points] == [one.score.mean for one in found]
    worst = min(range(len(found)), key=lambda n: found[n].score.mean)
    assert [line.get_marker() == "D" for line in points] == [n == worst for n in range(len(found))]
    ends = [line.get_xdata() for line in axes.lines if line.get_marker() == "None"]
    assert np.allclose(ends, [[one.score.low, one.score.high] for one in found])


def test_of_very_many_the_lowest_are_shown():
    found = strata(MOST_ROWS)
    (axes,) = strata_plot(found).axes
    assert len(axes.get_yticklabels()) == MOST_ROWS
