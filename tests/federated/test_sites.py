"""A data set divided among pretended sites: every case once, no patient twice."""

from collections import Counter
from pathlib import Path

import pytest

from medseg_monai.dataset import Dataset, check_dataset, read_dataset
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.federated.sites import divide, write_sites

SPEC = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))


def cases(name: str, patients: list[str]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"image": f"{name}{number}.png", "label": f"{name}{number}_mask.png", "group": patient}
        for number, patient in enumerate(patients)
    )


DATA = Dataset(
    SPEC, Path("/data"), training=cases("t", [*"aaaa", *"bb", *"cc", "d", "e"]), validation=cases("v", [*"xxyz"]),
    test=cases("s", ["q"]),
)  # fmt: skip


@pytest.mark.parametrize(("count", "sizes"), [(2, [5, 5]), (3, [4, 3, 3])])
def test_no_patient_is_at_two_sites_and_shares_are_as_equal_as_patients_allow(count: int, sizes: list[int]) -> None:
    parts = divide(DATA, count)
    assert sorted((len(part.training) for part in parts), reverse=True) == sizes
    everywhere = Counter(case["group"] for part in parts for case in {c["group"]: c for c in part.training}.values())
    assert everywhere == Counter("abcde")
    assert sorted(case["image"] for part in parts for case in part.validation) == [f"/data/v{n}.png" for n in range(4)]
    assert all(not part.test and part.validation for part in parts)


def test_the_seed_decides() -> None:
    assert divide(DATA, 2, seed=1) == divide(DATA, 2, seed=1)
    assert len({str(divide(DATA, 2, seed=seed)[0].training) for seed in range(9)}) > 1


@pytest.mark.parametrize(
    ("count", "said"), [(1, "2 sites or more"), (4, "3 patients among the validation cases cannot be divided among 4")]
)
def test_what_cannot_be_divided(count: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        divide(DATA, count)


def test_the_sites_folders_are_data_sets_of_the_same_images(demo_data: Path, tmp_path: Path) -> None:
    whole = read_dataset(demo_data)
    folders = write_sites(whole, tmp_path, 2)
    sites = [read_dataset(folder) for folder in folders]
    for dataset in (*sites, test := read_dataset(tmp_path / "test")):
        check_dataset(dataset)
        assert dataset.spec == whole.spec
    ids = [case["id"] for site in sites for case in site.cases("training")]
    assert sorted(ids) == sorted(case["id"] for case in whole.cases("training"))
    assert [case["image"] for case in test.cases("test")] == [case["image"] for case in whole.cases("test")]
