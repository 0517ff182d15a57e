"""Reports opened in Chromium: what a reader sees and does. ``make test-browser``."""

import re
from pathlib import Path
from typing import Any

import pytest
from evaluations import HOSTILE, write_made_up
from explanations import write_made_up_explanations
from predictions import TRAINED, predicted

from medseg_monai.explain.files import Explanation, write_explanations
from medseg_monai.report.evaluation import write_evaluation_report
from medseg_monai.report.explanation import write_explanation_report
from medseg_monai.report.prediction import write_prediction_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [*HOSTILE, *(f"long/{'very' * 30}/case_{number:03d}" for number in range(40))]
    return write_evaluation_report(write_made_up(tmp_path_factory.mktemp("report"), names=names))


@pytest.fixture(scope="module")
def explanations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explanations")
    return write_explanation_report(write_made_up_explanations(folder, ["<script>x", f"{'long' * 50}", "a/b"]))


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predictions") / "masks"
    names = ["<script>x", "long" * 50, "a/b", *map(str, range(9))]
    predicted(folder, {name: (number % 3 * 40, number / 12) for number, name in enumerate(names)})
    (folder / "failures.csv").write_text(f"path,reason\n/a/{'long' * 60}.png,is not a picture in a supported format\n")
    return write_prediction_report(folder, trained=TRAINED)


class Opened:
    """A page, with what it logged and asked the network for."""

    def __init__(self, browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def column(self, number: int) -> list[str]:
        """The shown cells of a column of the table of cases."""
        rows = self.page.locator("#case-table tbody tr:visible")
        return rows.evaluate_all(f"rows => rows.map(row => row.cells[{number}].textContent.trim())")

    def sorting(self, number: int) -> str:
        return self.page.locator("#case-table thead th").nth(number).get_attribute("aria-sort")

    def close(self) -> None:
        self.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["report", "explanations", "predictions"])
def test_page_is_quiet_complete_and_not_cut_off(browser, request, kind, width, scheme):
    path = request.getfixturevalue(kind)
    opened = Opened(browser, path, width=width, scheme=scheme)
    page = opened.page
    assert opened.said == []  # no script of a file's name ran, nothing was refused by the page's own policy
    assert [url for url in opened.asked if not url.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    inside = "element => element.closest('.scroll') ? 0 : element.getBoundingClientRect().right"
    assert max(page.locator("body *").evaluate_all(f"all => all.map({inside})")) <= width
    assert page.locator("img").evaluate_all("all => all.every(picture => picture.naturalWidth > 50)")
    opened.close()


def test_hostile_names_are_shown_as_they_are(browser, report):
    opened = Opened(browser, report)
    for name in HOSTILE:
        assert opened.page.get_by_text(name, exact=True).count() >= 1
    opened.close()


@pytest.mark.parametrize("width", [1280, 400])
def test_texts_stand_out_in_light_and_dark(browser, report, width):
    for scheme in ("light", "dark"):
        opened = Opened(browser, report, width=width, scheme=scheme)
        for selector in ("h1", ".note", ".range", ".outcome.missed", "a", ".warning", "dt", "button"):
            ratio = opened.page.locator(selector).first.evaluate(CONTRAST)
            assert ratio >= 4.5, (scheme, selector, ratio)  # WCAG 2.1, AA
        opened.close()


# contrast of an element's text to the first background below it that is not see-through
CONTRAST = """element => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const text = light(numbers(getComputedStyle(element).color));
  let node = element, below = [255, 255, 255];
  for (; node; node = node.parentElement) {
    const colour = numbers(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) { below = colour; break; }
  }
  const ground = light(below);
  return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_of_doubtful_cases_stand_out(browser, predictions, scheme):
    opened = Opened(browser, predictions, scheme=scheme)
    for selector in (".mark", ".found .range", ".doubt a"):
        assert opened.page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector
    opened.close()


def test_headings_sort_by_mouse(browser, report):
    opened = Opened(browser, report)
    dice = [float(text) for text in opened.column(3)]
    assert dice == sorted(dice)
    assert opened.sorting(3) == "ascending"
    opened.page.locator("th button", has_text=re.compile("^Dice$")).click()
    assert [float(text) for text in opened.column(3)] == sorted(dice, reverse=True)
    assert opened.sorting(3) == "descending"
    opened.page.get_by_role("button", name="HD95").click()
    distances = [float(text) for text in opened.column(5)]
    assert distances == sorted(distances)  # as numbers: 9.0 before 80.0
    assert (opened.sorting(3), opened.sorting(5)) == ("none", "ascending")
    opened.close()


def test_scores_below_zero_sort_as_numbers_beside_missing_ones(browser, tmp_path):
    scores = (-1.25, None, 2.5, -3.5, 10.25)
    rows = [
        Explanation(f"case {number}", "lesion", "bottleneck", "gradcam", "truth", score, "", 9, 0.5, "a.png")
        for number, score in enumerate(scores)
    ]
    write_explanations(tmp_path, rows)
    opened = Opened(browser, write_explanation_report(tmp_path))
    heading = opened.page.get_by_role("button", name="score")
    shown = opened.page.locator("#map-table tbody tr td:nth-child(6)")
    heading.click()
    assert shown.all_text_contents() == ["-3.500", "-1.250", "2.500", "10.250", "–"]
    heading.click()
    assert shown.all_text_contents() == ["10.250", "2.500", "-1.250", "-3.500", "–"]
    opened.close()


def test_headings_sort_by_keyboard(browser, report):
    opened = Opened(browser, report)
    keyboard = opened.page.keyboard
    opened.page.get_by_label("Dice at most").focus()
    keyboard.press("Tab")  # Show all
    keyboard.press("Tab")  # the table's window, so that arrow keys scroll it
    assert opened.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Scores by case"
    keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "case"
    keyboard.press("Enter")
    names = opened.column(0)
    assert names[-1].endswith("case_039")
    assert opened.sorting(0) == "ascending"
    keyboard.press("Space")
    assert opened.column(0)[0].endswith("case_039")
    opened.close()


def test_filters_hide_rows_and_say_how_many(browser, report):
    opened = Opened(browser, report)
    everything, page = len(opened.column(0)), opened.page
    said = page.locator(".filters output")
    assert said.text_content() == f"{everything} of {everything} rows"
    page.get_by_label("Case", exact=True).fill("SCRIPT")
    assert set(opened.column(0)) == {HOSTILE[0]}
    assert said.text_content() == f"2 of {everything} rows"
    page.get_by_role("button", name="Show all").click()
    page.locator(
        ".filters output", has_text=f"{everything} of"
    ).wait_for()  # the page's policy lets no script be evaluated
    page.get_by_label("Outcome").select_option("missed")
    assert set(opened.column(2)) == {"missed"}
    page.locator("select[data-column='1']").select_option("stomach")
    assert set(opened.column(1)) == {"stomach"}
    page.get_by_label("Outcome").select_option("")
    page.get_by_label("Dice at most").fill("0.5")
    assert max(map(float, opened.column(3))) <= 0.5
    opened.close()


def test_filters_work_by_keyboard_alone(browser, report):
    opened = Opened(browser, report)
    opened.page.get_by_label("Case", exact=True).focus()
    opened.page.keyboard.type("case_00")
    assert len(opened.column(0)) == 20  # ten cases of two classes
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("ArrowDown")  # class: the first
    assert set(opened.column(1)) == {"large bowel"}
    opened.close()


def test_a_case_in_the_table_leads_to_its_pictures(browser, report):
    opened = Opened(browser, report)
    link = opened.page.locator("#case-table a").first
    name = link.text_content()
    link.click()
    assert opened.page.locator(":target strong").text_content() == name
    opened.close()


def test_printed_page_shows_every_row(browser, report):
    opened = Opened(browser, report)
    opened.page.emulate_media(media="print")
    window = opened.page.get_by_role("region", name="Scores by case")
    assert window.evaluate("element => element.scrollHeight - element.clientHeight") <= 1
    assert not opened.page.locator(".filters").is_visible()
    opened.close()
