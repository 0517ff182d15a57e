"""The planners of both kinds keep one contract."""

import inspect

import pytest
from drawn_facts import PHOTOS, VOLUMES, facts

from medseg_monai.planning.kinds import PLANNERS, Planner, planner_of
from medseg_monai.planning.photos import PhotoPlanner
from medseg_monai.planning.volumes import VolumePlanner


@pytest.mark.parametrize(
    ("about", "kind"),
    [(PHOTOS, PhotoPlanner), (VOLUMES, VolumePlanner), (facts(), PhotoPlanner), (facts(volumes=True), VolumePlanner)],
)
def test_a_data_set_and_its_fingerprint_have_the_same_planner(about: object, kind: type) -> None:
    assert isinstance(planner_of(about), kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("planner", PLANNERS.values(), ids=lambda planner: planner.elements)
def test_methods_have_the_arguments_of_the_contract(planner: Planner) -> None:
    for name, method in inspect.getmembers(Planner, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(type(planner), name)).parameters) == list(
                inspect.signature(method).parameters
            ), name
