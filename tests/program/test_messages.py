from medseg_monai.program.messages import did_you_mean, listed


def test_nothing_near_lists_the_known_names():
    assert did_you_mean("zzz", ["one", "two"]) == " (known: one, two)"


def test_listed_counts_what_it_does_not_show():
    assert listed([]) == ""
    assert listed(range(5)) == "0, 1, 2, 3, 4"
    assert listed(range(8), limit=2) == "0, 1 and 6 more"
