from medseg_monai.program.messages import did_you_mean, listed, nearest_path


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
