"""Bundles and their weights are found by name."""

from pathlib import Path

import pytest

from medseg_monai.bundle.paths import evaluation_folder, find_bundle, find_named_weights, find_weights, other_trainings


def test_a_misspelt_bundle_names_the_right_one() -> None:
    with pytest.raises(FileNotFoundError, match=r"no bundle 'unetp' .did you mean 'unetpp'"):
        find_bundle("unetp")


def test_a_bundle_is_found_by_name_and_by_folder() -> None:
    assert find_bundle(find_bundle("unetpp")).name == "unetpp"


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


def test_who_names_a_bundle_with_several_trainings_is_shown_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not told of --weights: the option may be another, --from or --ensemble."""
    weights(tmp_path / "mine", "isic2017", "demo")
    (tmp_path / "mine" / "configs").mkdir()
    (tmp_path / "mine" / "configs" / "train.json").touch()
    monkeypatch.chdir(tmp_path)
    example = Path("mine/models/demo")
    message = rf"several trained weights .*: name the folder of one instead of mine, {example} say$"
    with pytest.raises(FileNotFoundError, match=message):
        find_named_weights(tmp_path / "other", "mine")


def test_weights_trained_on_the_data_set_at_hand_come_first(tmp_path: Path) -> None:
    weights(tmp_path, "", "isic2017", "demo")
    assert find_weights(tmp_path, dataset="demo") == tmp_path / "models" / "demo" / "model.pt"
    assert find_weights(tmp_path, dataset="uwmadison") == tmp_path / "models" / "model.pt"
    assert find_weights(tmp_path, "isic2017", dataset="demo") == tmp_path / "models" / "isic2017" / "model.pt"
    assert evaluation_folder(tmp_path, "", dataset="demo", split="test") == f"{tmp_path}/models/demo/evaluation_test"


def test_other_trainings_are_those_that_are_not_used(tmp_path: Path) -> None:
    weights(tmp_path, "mine", "demo")
    (tmp_path / "models" / "model.pt").write_bytes(b"")
    assert other_trainings(tmp_path, tmp_path / "models" / "model.pt") == ["demo", "mine"]
    assert other_trainings(tmp_path, tmp_path / "models" / "mine" / "model.pt") == ["demo"]


def test_an_evaluation_before_any_training_goes_to_where_weights_will_be(tmp_path: Path) -> None:
    assert evaluation_folder(tmp_path, "", dataset="demo", split="test") == f"{tmp_path}/models/demo/evaluation_test"


def test_weights_by_file_folder_or_not_at_all(tmp_path: Path) -> None:
    weights(tmp_path, "demo")
    folder = tmp_path / "models" / "demo"
    assert find_weights(tmp_path, folder) == find_weights(tmp_path, folder / "model.pt") == folder / "model.pt"
    with pytest.raises(FileNotFoundError, match="no weights 'isic'"):
        find_weights(tmp_path, "isic")
