"""The page of a run of predictions: what is shown first, what is counted, and that every text is only text."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from predictions import SPEC, TRAINED, predicted

from medseg_monai.outputs.naming import output_files
from medseg_monai.outputs.pictures import picture_file
from medseg_monai.outputs.tables import predictions_table
from medseg_monai.quality.conformal import Margins, Promise
from medseg_monai.quality.learnt import Quality
from medseg_monai.report import prediction
from medseg_monai.report.prediction import EMPTY, FLAGGED, read_predictions, write_prediction_report

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "masks"


def test_doubtful_cases_stand_first_then_empty_ones_then_the_least_certain(folder: Path) -> None:
    predicted(folder, {"sure": (50, 0.1), "unsure": (50, 0.3), "empty": (0, 0.0), "flagged": (50, 0.5)})
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    order = [
        page.index(f"<strong>{place}. {case}</strong>")
        for place, case in enumerate(("flagged", "empty", "unsure", "sure"), 1)
    ]
    assert order == sorted(order)
    assert (page.count(f'<span class="mark">{FLAGGED}</span>'), page.count(f'<span class="mark">{EMPTY}</span>')) == (
        1,
        1,
    )
    assert "4 images, segmented by weights trained on" in page
    assert "an uncertainty of 0.400 or more." in page


def test_the_page_says_what_kind_of_pictures_the_weights_are_for(folder: Path) -> None:
    predicted(folder, {"a": (50, 0.1)})
    described = replace(TRAINED, dataset=replace(SPEC, description=f"Photographs of skin {HOSTILE}"))
    page = write_prediction_report(folder, trained=described).read_text()
    assert f"weights trained on {SPEC.name} (Photographs of skin &lt;img" in page
    assert HOSTILE not in page


def test_areas_are_shares_of_the_image(folder: Path) -> None:
    predicted(folder, {"a": (50, 0.1)})
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    assert "25.00 % of the image" in page  # 50 of 20 x 10
    assert f"<td>{SPEC.classes[0]}</td><td></td><td>1</td><td>50</td><td>25.00</td><td>–</td><td>0.100</td>" in page
    for file in output_files("a", SPEC, folder):  # other formats leave no file that tells the size
        file.unlink()
    assert "50 pixels</span>" in write_prediction_report(folder, trained=TRAINED).read_text()


def test_every_text_is_text_and_nothing_is_fetched(folder: Path) -> None:
    predicted(folder, {HOSTILE: (50, 0.1)})
    (folder / "failures.csv").write_text(f"path,reason\n{HOSTILE}.jpg,{HOSTILE}\n")
    trained = replace(TRAINED, bundle=HOSTILE, dataset=replace(SPEC, description=HOSTILE))
    page = write_prediction_report(folder, trained=trained, run={"weights": HOSTILE}).read_text()
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 7
    assert "http" not in page.split("</style>")[1]
    assert "1 file could not be used" in page


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_not_utf8_is_shown_and_linked_by_its_bytes(folder: Path) -> None:
    predicted(folder, {os.fsdecode(b"caf\xe9 1"): (50, 0.1)})
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    assert f'href="caf%E9%201_mask_{SPEC.classes[0]}.png"' in page
    assert r"<strong>1. caf\xe9 1</strong>" in page


def test_without_a_threshold_it_says_that_nothing_is_known(folder: Path) -> None:
    predicted(folder, {"a": (50, 0.9)}, review=None)
    page = write_prediction_report(folder, trained=replace(TRAINED, review=None)).read_text()
    assert "is not known for these weights" in page
    assert FLAGGED not in page


def test_the_page_stays_small_and_says_what_it_leaves_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted(folder, {f"case{n}": (50, 0.1) for n in range(4)})
    size = picture_file(folder, "case0").stat().st_size
    monkeypatch.setattr(prediction, "MOST_PICTURE_BYTES", 2 * size)
    monkeypatch.setattr(prediction, "MOST_ROWS", 2 * len(SPEC.classes))
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    assert page.count('<img src="data:') == 2
    assert "2 cases have no picture here" in page
    assert f"The first {2 * len(SPEC.classes)} rows; predictions.csv" in page


def test_a_run_in_which_nothing_could_be_done_has_a_page_too(folder: Path) -> None:
    folder.mkdir()
    (folder / "failures.csv").write_text("path,reason\nx.jpg,is empty\n")
    assert "is empty" in write_prediction_report(folder, trained=TRAINED).read_text()


def test_another_table_of_that_name_is_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "predictions.csv").write_text("case,score\na,1\n")
    with pytest.raises(ValueError, match=r"predictions.csv is not a table of predictions"):
        read_predictions(folder)


def test_predicted_dice_reasons_and_the_promise_are_shown(folder: Path) -> None:
    predicted(folder, {"good": (50, 0.3), "poor": (50, 0.1)})
    table = predictions_table(folder)
    for case, dice, reason in (("good", "0.9500", ""), ("poor", "0.4200", "its mask may be poor: predicted Dice 0.42")):
        flagged = "yes" if reason else "no"
        table.entries[case] = [[*row[:4], flagged, reason, dice] for row in table.entries[case]]
    table.save()
    promise = Promise(0.8, dice=0.7, risk=0.02, confidence=None, cases=100, failures=5, passed=90, failures_passed=0)
    page = write_prediction_report(folder, trained=replace(TRAINED, quality=Quality(promise=promise))).read_text()
    assert page.index("<strong>1. poor</strong>") < page.index("<strong>2. good</strong>"), (
        "though it is the more certain one"
    )
    assert "predicted Dice 0.42</span>" in page
    assert "its mask may be poor: predicted Dice 0.42" in page
    assert "a predicted Dice of 0.80 or less. Then at most 2.0% of the masks that are not flagged lie below" in page
    assert "an uncertainty of 0.400" not in page, "the promise takes its place"


def test_three_cases_are_named_at_the_top_with_the_reason(folder: Path) -> None:
    predicted(folder, {"sure": (50, 0.1), "unsure": (50, 0.3), "empty": (0, 0.0), "flagged": (50, 0.5)})
    (picture_file(folder, "empty")).unlink()
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    first = page.split('<ol class="first">')[1].split("</ol>")[0]
    reasons = (
        "flagged</a>: uncertain outline",
        "empty</strong>: nothing found",
        "unsure</a>: not flagged, uncertainty",
    )
    places = [first.index(text) for text in reasons]
    assert places == sorted(places)
    assert first.count("<li>") == 3
    assert 'href="#case-2">unsure' in first, "its own picture, which is the second, for one has none"


def test_the_thin_lines_are_explained_only_if_there_are_any(folder: Path) -> None:
    predicted(folder, {"a": (50, 0.1)})
    count = len(SPEC.classes)
    known = Margins((0.1,) * count, (0.9,) * count, rate=0.9, cover=0.95, cases=30)
    unknown = Margins((None,) * count, (None,) * count, rate=0.9, cover=0.95, cases=3)
    for margins, there in ((known, True), (unknown, False), (None, False)):
        page = write_prediction_report(folder, trained=replace(TRAINED, quality=Quality(margins=margins))).read_text()
        assert ("the outer mask contains 95% of the true one" in page) == there
        assert ("thin lines: outer and inner mask" in page) == there


def test_each_of_several_classes_has_its_own_predicted_dice(folder: Path) -> None:
    predicted(folder, {"a": (50, 0.1)})
    table = predictions_table(folder)
    rows = zip(table.entries["a"], ("0.9100", "0.4200", "0.8000"), strict=False)
    table.entries["a"] = [[*row[:4], "no", "", dice] for row, dice in rows]
    table.save()
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    assert "25.00 % of the image, predicted Dice 0.91</span>" in page
    assert "lowest predicted Dice 0.42</span>" in page


def test_a_flagged_case_in_which_nothing_was_found_counts_as_both(folder: Path) -> None:
    predicted(folder, {"gone": (0, 0.5), "there": (50, 0.1)})
    page = write_prediction_report(folder, trained=TRAINED).read_text()
    for name, number in (("to review", 1), ("nothing found", 1)):
        assert f'<span class="name">{name}</span><span class="number">{number}</span>' in page
    assert f'<span class="mark">{FLAGGED}</span> <span class="range">nothing found</span>' in page
