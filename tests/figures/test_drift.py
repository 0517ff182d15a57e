"""The picture of what has changed: its bars are the numbers, coloured if they changed, and unreadable pictures are passed over."""

from pathlib import Path

import matplotlib.colors
import pytest
from PIL import Image

from medseg_monai.figures.drawing import VERMILLION
from medseg_monai.figures.drift import LONGEST, MOST_BARS, draw_drift
from medseg_monai.quality.drift import Change, Drift


def drift(count: int, *, changed: int = 0) -> Drift:
    """So many numbers, of which the first have changed; each is half a standard deviation below the one before."""
    changes = [Change(f"number {n}", 0.0, 0.0, 2.0 - n / 2, 0.5, changed=n < changed) for n in range(count)]
    return Drift(12, None, tuple(changes), 0.01)


@pytest.mark.parametrize(("changed", "verdict"), [(0, "no change"), (2, "changed")])
def test_bars_are_the_numbers_and_those_that_changed_are_coloured(changed: int, verdict: str) -> None:
    figure = draw_drift(drift(3, changed=changed), [], name="isic")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 1.5, 1.0]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["number 0", "number 1", "number 2"]
    assert axes.yaxis_inverted(), "the furthest on top"
    red = tuple(part / 255 for part in VERMILLION)
    coloured = [matplotlib.colors.to_rgb(bar.get_facecolor()) == pytest.approx(red) for bar in axes.patches]
    assert coloured == [True] * changed + [False] * (3 - changed)
    assert figure.subfigs[0]._suptitle.get_text() == f"12 images against isic: {verdict}"  # type: ignore[attr-defined]


def test_as_many_bars_as_can_be_read() -> None:
    (axes,) = draw_drift(drift(MOST_BARS + 5), [], name="isic").axes
    assert len(axes.patches) == MOST_BARS


def test_the_strangest_pictures_are_shown_small_and_a_torn_one_is_passed_over(tmp_path: Path) -> None:
    Image.new("RGB", (600, 300), (200, 10, 10)).save(tmp_path / "wide.png")
    Image.new("L", (30, 40), 90).save(tmp_path / "small.png")
    (tmp_path / "torn.png").write_bytes(b"PNG")
    files = [tmp_path / name for name in ("wide.png", "torn.png", "small.png")]
    _, *places = draw_drift(drift(2), files, name="isic").axes
    shown = [axes.images[0].get_array().shape[:2] for axes in places if axes.images]
    assert shown == [(LONGEST // 2, LONGEST), (40, 30)]
