"""A fingerprint as a record."""

import json

import pytest
from drawn_facts import facts

from medseg_monai.planning.fingerprint import Fingerprint


@pytest.mark.parametrize("volumes", [False, True], ids=["pictures", "volumes"])
def test_it_survives_json(volumes: bool) -> None:
    made = facts(volumes=volumes)
    read = Fingerprint.from_dict(json.loads(json.dumps(made.to_dict())))
    assert read == made
    assert (type(read.sizes), type(read.spacing_mm)) == (type(made.sizes), type(made.spacing_mm))


def test_the_median_size_is_the_middle_of_each_axis() -> None:
    assert facts(volumes=True).median_size == (200, 200, 90)
