"""Which cases are shown, and their pictures."""

import dataclasses

import numpy as np
import pytest
from evaluations import scores_of
from PIL import Image

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import CaseView
from medseg_monai.report.case_pictures import (
    BEST,
    FAILED,
    LIST_FILE,
    MEDIAN,
    PICTURES_FOLDER,
    WORST,
    CasePictures,
    case_tiles,
    choose_cases,
    read_case_pictures,
    write_case_pictures,
)


def score(case, dice, outcome="ok", *, name="a", pixels=10):
    return scores_of(case, name, dice=dice, jaccard=dice, outcome=outcome, truth_pixels=pixels, predicted_pixels=pixels)


def case():
    image = np.full((3, 60, 40), 120, np.uint8)
    pred, truth = np.zeros((2, 60, 40), bool)
    pred[10:30, 10:30] = truth[20:40, 10:30] = True
    return CaseView(image, pred, truth)


def test_each_case_is_chosen_once_in_the_order_of_interest():
    scores = [score(f"c{i:02d}", i / 20) for i in range(1, 20)]
    scores += [score("small", 0.0, "missed", pixels=3), score("large", 0.0, "spurious", pixels=99)]
    chosen = choose_cases(scores, failed=2, worst=2, median=1, best=1)
    assert chosen == [
        ("large", FAILED), ("small", FAILED), ("c01", WORST), ("c02", WORST), ("c09", MEDIAN), ("c19", BEST),
    ]  # fmt: skip


def test_one_failed_class_makes_a_failed_case():
    scores = [
        score("x", 1.0),
        score("x", 0.0, "missed", name="b"),
        score("y", 0.4),
        score("y", 1.0, "absent", name="b"),
    ]
    assert choose_cases(scores) == [("x", FAILED), ("y", WORST)]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_no_case_twice_however_few_there_are(count):
    chosen = choose_cases([score(f"c{i}", 0.5) for i in range(count)])
    assert len({name for name, _ in chosen}) == len(chosen) == min(count, 12)


def test_pictures_are_drawn_listed_and_read(tmp_path):
    asked = []

    def view(name):
        asked.append(name)
        return case()

    written = write_case_pictures(tmp_path, [score("a/b", 0.5), score('x"<', 0.7)], view)
    assert asked == ["a/b", 'x"<']
    assert read_case_pictures(tmp_path) == written
    assert [entry.case for entry in written] == asked
    with Image.open(tmp_path / PICTURES_FOLDER / written[1].outlines) as picture:
        assert picture.size == (360, 240)  # enlarged by a whole factor, the sides' ratio kept


def test_earlier_pictures_go(tmp_path):
    write_case_pictures(tmp_path, [score(f"c{i}", 0.5) for i in range(4)], lambda name: case())
    write_case_pictures(tmp_path, [score("c", 0.5)], lambda name: case())
    assert len(list((tmp_path / PICTURES_FOLDER).glob("*.jpg"))) == 3


def test_tiles_show_image_outlines_and_errors():
    image, outlines, errors = case_tiles(case(), longest=60)
    assert (image == 120).all()
    assert outlines[20, 10].tolist() == list(drawing.SKY_BLUE)  # the prediction's left border, where no truth is
    assert outlines[20, 39].tolist() == list(drawing.TRUTH_COLOUR)
    assert errors[20, 14].argmax() == 0  # spurious: vermillion
    assert errors[20, 35].argmax() == 2  # missed: blue


def test_list_that_leads_out_of_its_folder_is_refused(tmp_path):
    place = tmp_path / PICTURES_FOLDER
    place.mkdir()
    names = [field.name for field in dataclasses.fields(CasePictures)]
    (place / LIST_FILE).write_text(",".join(names) + "\na,b,../../secret.jpg,o.jpg,e.jpg\n")
    with pytest.raises(ValueError, match="not in its folder"):
        read_case_pictures(tmp_path)
    assert read_case_pictures(place) == []
