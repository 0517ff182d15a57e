from medseg_monai.label.choice import most_uncertain


def test_the_least_sure_comes_first_then_the_one_offered_longest_ago():
    known = {
        "sure": {"uncertainty_m": 0.1},
        "unsure": {"uncertainty_m": 0.7, "strategy": {"uncertainty": {"ts": 20}}},
        "unsure, offered before": {"uncertainty_m": 0.7, "strategy": {"uncertainty": {"ts": 10}}},
        "of another model": {"uncertainty_n": 0.9},
        "broken": {"uncertainty_m": -1.0},
    }
    assert most_uncertain(known, "m", "uncertainty") == "unsure, offered before"
    assert most_uncertain(known, "n", "uncertainty") == "of another model"


def test_an_image_without_a_number_comes_as_late_as_one_that_cannot_be_read():
    offered = {"strategy": {"uncertainty": {"ts": 10}}}
    assert most_uncertain({"broken": {"uncertainty_m": -1.0, **offered}, "new": {}}, "m", "uncertainty") == "new"
    assert most_uncertain({"broken": {"uncertainty_m": -1.0}, "new": offered}, "m", "uncertainty") == "broken"
    assert most_uncertain({"new": {}, "sure": {"uncertainty_m": 0.0, **offered}}, "m", "uncertainty") == "sure"
