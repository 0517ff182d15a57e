"""An evaluation's files: what is written is read back, and what is not an evaluation is named."""

import csv
import json

import pytest
from evaluations import scores_of

from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import read_evaluation, summary_markdown, write_evaluation
from medseg_monai.files.markdown import markdown_table

RUN = {"bundle": "unetpp", "parameters": 9_160_000, "train_seconds": 61.5}
SCORES = [
    scores_of(
        "a/1", dice=0.1 + 0.2, jaccard=1 / 3, hd95=7.0, mean_surface_distance=2.5, truth_pixels=40, predicted_pixels=60
    ),
    scores_of("b, c", hd95=11.3, mean_surface_distance=11.3, truth_pixels=40, predicted_pixels=0, outcome="missed"),
]


@pytest.fixture
def folder(tmp_path):
    return write_evaluation(tmp_path / "new" / "eval", SCORES, summarise(SCORES), run=RUN)


def test_read_gives_back_what_was_written(folder):
    evaluation = read_evaluation(folder)
    assert list(evaluation.scores) == SCORES  # to the last digit
    assert str(evaluation.summary) == str(
        summarise(SCORES)
    )  # so few cases have no intervals, and NaN is not equal to itself
    assert evaluation.run == RUN


def test_three_files_and_no_leftovers(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["cases.csv", "summary.json", "summary.md"]


def test_other_programs_can_read_the_files(folder):
    with (folder / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["outcome"], row["truth_pixels"]) for row in rows] == [
        ("a/1", "ok", "40"),
        ("b, c", "missed", "40"),
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["overall"]["scores"]["dice"]["mean"] == pytest.approx(0.15)
    assert summary["overall"]["outcomes"]["missed"] == 1
    assert summary["run"]["bundle"] == "unetpp"


def test_an_interrupted_rewrite_is_no_finished_evaluation(folder, monkeypatch):
    def full_disk(path, content):
        raise OSError("No space left on device")

    monkeypatch.setattr("medseg_monai.evaluation.tables.write_whole", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_evaluation(folder, SCORES[:1], summarise(SCORES[:1]), run=RUN)
    with pytest.raises(FileNotFoundError, match=r"summary\.json is missing"):
        read_evaluation(folder)


def test_markdown_shows_scores_counts_worst_cases_and_run():
    text = summary_markdown(summarise(SCORES), SCORES, run=RUN)
    assert "# Evaluation of 2 cases" in text
    assert "| Dice | 0.150 |" in text
    assert "Fewer than 5 cases have no interval." in text
    assert "| missed | 1 |" in text
    assert text.index("| b, c | lesion | 0.000 | 11.3 | missed |") < text.index("| a/1 | lesion | 0.300 |")
    assert "| parameters | 9,160,000 |" in text


def test_markdown_of_several_classes_has_a_column_for_all():
    scores = [scores_of("a", name, dice=0.5, jaccard=0.4) for name in ("liver", "spleen")]
    assert "|  | **all** | liver | spleen |" in summary_markdown(summarise(scores), scores, run={})


def test_bars_in_cells_do_not_break_a_table():
    assert markdown_table(["a|b"], [["c"]])[0] == r"| a\|b |"


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere contains no finished evaluation"):
        read_evaluation(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "not json"),
        ("summary.json", "[]"),
        ("summary.json", "{}"),
        ("cases.csv", "case,dice\na,1\n"),
        ("cases.csv", None),
    ],
)
def test_files_that_are_no_evaluation_are_named(folder, name, content):
    broken = content if content is not None else (folder / name).read_text().replace("40", "forty")
    (folder / name).write_text(broken)
    with pytest.raises(ValueError, match="not a readable evaluation"):
        read_evaluation(folder)
