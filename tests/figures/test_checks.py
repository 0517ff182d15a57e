import numpy as np

from medseg_monai.figures.checks import check_curves


def test_curves_of_checks():
    curves = {
        (check, order): [[1.0, 0.5, 0.0]] for check in ("deletion", "insertion")
        for order in ("CAM at last_stage", "region first", "random")
    }  # fmt: skip
    figure = check_curves(curves, {"CAM at last_stage": {"head": [0.1, 0.3], "encoder": [0.0, 0.1]}})
    left, _, right = figure.axes
    assert sorted(line.get_label() for line in left.lines) == [
        "CAM at last_stage", "random order (band: ±1 sd)", "region first",
    ]  # fmt: skip
    assert [text.get_text() for text in right.get_xticklabels()] == ["trained", "head", "+ encoder"]
    means = [np.array(line.get_ydata(), float) for line in right.lines if len(line.get_ydata()) == 3]
    np.testing.assert_allclose(means[0], [1, 0.2, 0.05])
