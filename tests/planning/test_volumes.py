"""What a plan decides for volumes."""

import math
from dataclasses import replace

import pytest
from drawn_facts import PHOTOS, VOLUMES, facts

from medseg_monai.planning.volumes import VolumePlanner, coarser_grids, patch_sizes


def test_small_volumes_are_seen_whole() -> None:
    small = replace(facts(volumes=True), sizes=((32, 35, 38), (46, 51, 57), (30, 32, 38)))
    assert patch_sizes(small, 1.0)[-1] == (36, 52, 32)
    assert VolumePlanner().windows(small, (36, 52, 32), 1.0) == 1


def test_large_volumes_are_cut_into_patches_and_may_get_a_coarser_grid() -> None:
    large = facts(volumes=True, thickness=0.4, smallest=0.2)  # 20 voxels
    assert all(math.prod(size) <= 1.1 * 128**3 for size in patch_sizes(large, 1.0))
    assert coarser_grids(replace(large, sizes=((300, 300, 300),) * 3))[:2] == [1.0, 1.25]
    thin = facts(volumes=True, thickness=0.05, smallest=0.02)  # 2 voxels
    assert coarser_grids(replace(thin, sizes=((300, 300, 300),) * 3)) == [1.0]


def test_windows_are_counted_as_they_overlap() -> None:
    cube = replace(facts(volumes=True), sizes=((64, 64, 64),) * 3)
    assert VolumePlanner().windows(cube, (64, 64, 64), 1.0) == 1
    assert VolumePlanner().windows(cube, (32, 32, 32), 1.0) == 27  # starts 0, 16 and 32 along each side
    # voxels twice as long: the median volume is as large as the patch
    assert VolumePlanner().windows(cube, (32, 32, 32), 2.0) == 1


def test_a_short_time_may_be_spent_on_seeing_more_of_the_body_at_once() -> None:
    """The smallest structures of 9 voxels may shrink to 2, not less; a volume that a patch nearly holds stays as it is."""
    body = replace(facts(volumes=True, thickness=0.3, smallest=0.09), sizes=((405, 330, 200),) * 3)
    assert max(coarser_grids(body)) == 4.0
    thinner = replace(facts(volumes=True, thickness=0.3, smallest=0.05), sizes=body.sizes)
    assert max(coarser_grids(thinner)) == 2.5
    assert coarser_grids(replace(body, sizes=((96, 96, 90),) * 3)) == [1.0]


def test_a_coarser_grid_is_tried_only_if_the_data_set_has_one_and_the_user_none() -> None:
    large = replace(facts(volumes=True), sizes=((300, 300, 300),) * 3)
    tried = {coarser for _, coarser in VolumePlanner().sizes(large, VOLUMES, coarsen=True)}
    assert {1.0, 1.25} <= tried == set(coarser_grids(large))
    assert {coarser for _, coarser in VolumePlanner().sizes(large, VOLUMES, coarsen=False)} == {1.0}
    as_stored = replace(VOLUMES, spacing_mm=None, size=(64, 64, 64))
    assert {coarser for _, coarser in VolumePlanner().sizes(large, as_stored, coarsen=True)} == {1.0}


def test_a_trial_is_of_a_small_patch() -> None:
    small = VolumePlanner().probe_size(facts(volumes=True), VOLUMES)
    assert small in patch_sizes(facts(volumes=True), 1.0)
    tiny = replace(facts(volumes=True), sizes=((40, 40, 40),) * 3)
    assert VolumePlanner().probe_size(tiny, VOLUMES) == (32, 32, 32)


@pytest.mark.parametrize(("cases", "patches"), [(1, 60), (20, 3), (25, 3), (60, 1), (1000, 1)])
def test_few_volumes_are_cut_into_more_patches(cases: int, patches: int) -> None:
    assert VolumePlanner().patches_per_case(cases) == patches


def test_batches_are_of_two_patches_at_most() -> None:
    assert [VolumePlanner().first_batch(1000, most=most) for most in (1, 2, 16)] == [1, 2, 2]


def test_a_patch_shows_its_part_of_the_median_volume() -> None:
    seen = replace(facts(volumes=True), sizes=((100, 100, 100), (50, 50, 50), (20, 20, 20)))
    assert VolumePlanner().share_seen(seen, (50, 25, 20), 1.0) == pytest.approx(1 / 4)
    assert VolumePlanner().share_seen(seen, (50, 25, 20), 2.0) == 1.0  # 50 x 25 x 10 there


@pytest.mark.parametrize(("share", "foreground"), [(0.0009, 0.8), (0.001, None)])
def test_patches_are_centred_on_a_tiny_class_more_often(share: float, foreground: float | None) -> None:
    assert VolumePlanner().foreground(facts(share=share, volumes=True)) == foreground
    assert VolumePlanner().class_balance(facts(share=share, volumes=True)) == (0.7 if foreground else None)
    hidden = replace(facts(share=share, volumes=True).classes["lesion"], cases=0.0)
    assert VolumePlanner().foreground(replace(facts(volumes=True), classes={"lesion": hidden})) is None
    assert VolumePlanner().class_balance(replace(facts(volumes=True), classes={"lesion": hidden})) is None


def test_sides_mean_something_and_thickness_is_in_voxels() -> None:
    planner = VolumePlanner()
    assert planner.augmentation(VOLUMES, 1000) == "upright"
    assert planner.thickness(facts(volumes=True).classes["lesion"]) == "30.0 voxels thick, the smallest 10.0"
    assert planner.cells((64, 64, 64), 2.0) * 30 == 15
    assert planner.loading(8.0) == 1.0  # the volume is read whole, whatever is cut from it
    assert not planner.missing_encoders("UNet", PHOTOS)
