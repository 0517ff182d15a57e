"""What to train on this data and machine in the time there is: a plan, with the reason for each value.

``in_config.py`` is what ``train.json`` asks; it needs MONAI, and ``plan.py``, the plan file, does not.
"""
