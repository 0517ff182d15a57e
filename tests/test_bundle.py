"""Bundles and their weights are found by name; processes share cases."""

from collections import Counter
from pathlib import Path

import pytest

from medseg_monai.bundle import evaluation_folder, find_bundle, find_weights, share, training_spec
from medseg_monai.prepare.demo import demo_spec


def test_a_misspelt_bundle_names_the_right_one() -> None:
    with pytest.raises(FileNotFoundError, match=r"no bundle 'unetp' .did you mean 'unetpp'"):
        find_bundle("unetp")


def test_a_bundle_is_found_by_name_and_by_folder() -> None:
    assert find_bundle(find_bundle("unetpp")).name == "unetpp"


def test_every_process_has_a_case() -> None:
    cases = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert [share(cases, rank, 2) for rank in range(2)] == [[cases[0], cases[2]], [cases[1]]]


@pytest.mark.parametrize("world_size", range(1, 6))
@pytest.mark.parametrize("count", range(1, 8))
def test_every_case_counts_the_same_whatever_the_number_of_processes(count: int, world_size: int) -> None:
    cases = [{"id": number} for number in range(count)]
    shares = [share(cases, rank, world_size) for rank in range(world_size)]
    assert all(shares)
    counted = Counter(case["id"] for part in shares for case in part)
    assert counted.keys() == set(range(count))
    assert len(set(counted.values())) == 1


@pytest.mark.parametrize("size", [(1, 1), (64, 4), (7, 64)])
def test_a_size_that_shows_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="leaves nothing to see; 8 pixels a side are the least"):
        training_spec(demo_spec(), size)
    assert training_spec(demo_spec(), (8, 8)).size == (8, 8)


@pytest.mark.parametrize("size", [128, "128"])
def test_size_must_be_a_list(size: object) -> None:
    with pytest.raises(ValueError, match=r"size is a list, \[width, height\]"):
        training_spec(demo_spec(), size)


def weights(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "models" / name).mkdir(parents=True, exist_ok=True)
        (folder / "models" / name / "model.pt").touch()


def test_weights_shipped_come_first_then_the_only_training(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained weights yet"):
        find_weights(tmp_path)
    weights(tmp_path, "isic2017")
    assert find_weights(tmp_path) == tmp_path / "models" / "isic2017" / "model.pt"
    weights(tmp_path, "demo")
    with pytest.raises(FileNotFoundError, match=r"several trained weights .demo, isic2017."):
        find_weights(tmp_path)
    assert find_weights(tmp_path, "demo") == tmp_path / "models" / "demo" / "model.pt"
    weights(tmp_path, ".")
    assert find_weights(tmp_path) == tmp_path / "models" / "model.pt"


def test_weights_trained_on_the_data_set_at_hand_come_first(tmp_path: Path) -> None:
    weights(tmp_path, "", "isic2017", "demo")
    assert find_weights(tmp_path, dataset="demo") == tmp_path / "models" / "demo" / "model.pt"
    assert find_weights(tmp_path, dataset="uwmadison") == tmp_path / "models" / "model.pt"
    assert find_weights(tmp_path, "isic2017", dataset="demo") == tmp_path / "models" / "isic2017" / "model.pt"
    assert evaluation_folder(tmp_path, "", dataset="demo", split="test") == f"{tmp_path}/models/demo/evaluation_test"


def test_an_evaluation_before_any_training_goes_to_where_weights_will_be(tmp_path: Path) -> None:
    assert evaluation_folder(tmp_path, "", dataset="demo", split="test") == f"{tmp_path}/models/demo/evaluation_test"


def test_weights_by_file_folder_or_not_at_all(tmp_path: Path) -> None:
    weights(tmp_path, "demo")
    folder = tmp_path / "models" / "demo"
    assert find_weights(tmp_path, folder) == find_weights(tmp_path, folder / "model.pt") == folder / "model.pt"
    with pytest.raises(FileNotFoundError, match="no weights 'isic'"):
        find_weights(tmp_path, "isic")
