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
