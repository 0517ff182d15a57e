import pytest

from medseg_monai.program.messages import did_you_mean, facts_as_text, listed, nearest_path


def test_nothing_near_lists_the_known_names():
    assert did_you_mean("zzz", ["one", "two"]) == " (known: one, two)"


def test_listed_counts_what_it_does_not_show():
    assert listed([]) == ""
    assert listed(range(5)) == "0, 1, 2, 3, 4"
    assert listed(range(8), limit=2) == "0, 1 and 6 more"


def test_the_nearest_path_is_that_of_the_first_wrong_part(tmp_path, monkeypatch):
    (tmp_path / "models" / "unet" / "demo").mkdir(parents=True)
    (tmp_path / "masks.csv").touch()
    assert nearest_path(tmp_path / "models" / "unet" / "dem") == f" (did you mean '{tmp_path}/models/unet/demo'?)"
    assert nearest_path(tmp_path / "modles" / "unet" / "demo") == f" (did you mean '{tmp_path}/models'?)"
    assert nearest_path(tmp_path / "masks.csv" / "x") == ""
    assert nearest_path(tmp_path / "models" / "nothing like it") == ""
    monkeypatch.chdir(tmp_path)
    assert nearest_path("mask.csv") == " (did you mean 'masks.csv'?)"
    assert nearest_path("") == nearest_path("/") == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        (12345, "12,345"),
        (0.123456789, "0.123457"),
        ([1, 2.5, "x"], "1, 2.5, x"),
        ({"test": 3, "sizes": (1, 2)}, "test: 3; sizes: 1, 2"),
        ("text", "text"),
    ],
)
def test_facts_are_shown_as_a_person_writes_them(value: object, shown: str) -> None:
    assert facts_as_text({"a_fact": value}) == [("a fact", shown)]


def test_empty_facts_are_not_shown_and_zero_is_a_fact() -> None:
    assert facts_as_text({"a": None, "b": "", "c": [], "d": {}, "e": 0, "_f": False}) == [("e", "0"), ("f", "no")]
