"""Overrides: every key is checked before MONAI sees it, because MONAI ignores the ones it does not know."""

import pytest

from medseg_monai.workflow import check_device, check_overrides, parse_assignments

CONFIG = {
    "lr": 0.1,
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": "@lr"},
    "train": {"handlers": [{"_target_": "StatsHandler"}], "dataset": {"data": []}},
}


def test_assignments_are_read_as_yaml() -> None:
    given = parse_assignments(["lr=1e-3", "size=[128, 96]", "name=isic", "resume=true", "x=", "path=a=b"])
    assert given == {"lr": 0.001, "size": [128, 96], "name": "isic", "resume": True, "x": None, "path": "a=b"}


@pytest.mark.parametrize("wrong", ["lr", "=3", ""])
def test_an_assignment_needs_key_and_value(wrong: str) -> None:
    with pytest.raises(ValueError, match="KEY=VALUE"):
        parse_assignments([wrong])


@pytest.mark.parametrize(
    "key",
    [
        "lr",
        "optimizer#lr",
        "optimizer#betas",
        "train#handlers#0#_target_",
        "train::dataset::data",
        "train#handlers#0#name",
    ],
)
def test_known_keys_and_new_arguments_pass(key: str) -> None:
    check_overrides(CONFIG, {key: 1})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("learning_rate", "unknown config key 'learning_rate'"),
        ("trian#dataset", "unknown config key 'trian' .did you mean 'train'"),
        ("train#datset#data", "unknown config key 'datset' in 'train' .did you mean 'dataset'"),
        ("train#handlers#7", "unknown config key '7' in 'train#handlers'"),
        ("lr#x", "unknown config key 'x' in 'lr'"),
    ],
)
def test_unknown_keys_name_the_nearest(key: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_overrides(CONFIG, {key: 1})


def test_an_empty_dictionary_is_there_to_be_filled() -> None:
    check_overrides({"network_options": {}}, {"network_options#inference_depth": 2})


def test_a_value_that_is_no_yaml() -> None:
    with pytest.raises(ValueError, match=r"--set size=\[1, 2: the value is no YAML"):
        parse_assignments(["size=[1, 2"])


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match=f"no device '{name}'"):
        check_device(name)


def test_the_cpu_is_there() -> None:
    check_device("cpu")
