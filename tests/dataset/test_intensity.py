"""How stored values become the network's input: its settings, and what is wrong with them."""

import pytest

from medseg_monai.dataset.intensity import Intensity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "window"}, "lower and upper: expected numbers"),
        ({"kind": "window", "lower": 200, "upper": -100}, "lower must be below upper, got 200 and -100"),
        ({"kind": "percentile", "upper": 101}, "percentiles must be in 0 to 100"),
        ({"kind": "uint8", "lower": 0}, "'uint8' has no 'lower' or 'upper'"),
        ({"kind": "zscore", "mean": [0.1]}, "'zscore' uses each image's own"),
        ({"std": [0.0]}, "std: must be above 0"),
        ({"mean": float("nan")}, "intensity.mean: expected numbers"),
    ],
)
def test_intensity_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Intensity(**arguments)


def test_intensity_bounds():
    assert Intensity("percentile").bounds == (0.5, 99.5)
    assert Intensity("percentile", lower=2).bounds == (2, 99.5)
    assert Intensity("window", lower=-160, upper=240).bounds == (-160, 240)
    with pytest.raises(ValueError, match="has no bounds"):
        _ = Intensity().bounds


@pytest.mark.parametrize("content", ["uint8", {"kind": "window", "lower": -160, "upper": 240}, {"kind": "zscore"}])
def test_what_is_written_is_read_back(content):
    intensity = Intensity.from_dict(content)
    assert Intensity.from_dict(intensity.to_dict()) == intensity
    assert None not in intensity.to_dict().values()


def test_a_content_that_is_not_one_is_refused():
    with pytest.raises(ValueError, match="expected a kind or a mapping, got 3"):
        Intensity.from_dict(3)
    with pytest.raises(ValueError, match="unknown key 'lowest'"):
        Intensity.from_dict({"kind": "window", "lowest": 3})
