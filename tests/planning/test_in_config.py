"""How train.json takes its knobs from the plan: what a user sets stays, others who run the config are left alone, files are data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow

from medseg_monai.bundle.trained import Trained, write_weights
from medseg_monai.bundle.workflow import bundle_workflow
from medseg_monai.networks import UNet
from medseg_monai.planning import in_config, make
from medseg_monai.planning.in_config import bundle_plan, training_plan
from medseg_monai.planning.plan import Plan
from medseg_monai.prepare.demo import demo_spec

UNET, UNETPP = (REPOSITORY / "bundles" / name for name in ("unet", "unetpp"))
PUBLISHED = {"max_epochs": 40, "batch_size": 16, "lr": 0.002}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What plans are asked for; each answer is one and the same plan."""
    calls: list[dict[str, Any]] = []

    def plan(dataset: object, recipe: Any, **options: Any) -> Plan:
        calls.append({"recipe": recipe, **options})
        own = {key: value for key, value in recipe.fixed.items() if key != "architecture"}
        form = {} if "architecture" in recipe.fixed else {"features": [4, 8], "stem_stride": 2}
        values = {
            **recipe.published,
            "size": (48, 32),
            "batch_size": 2,
            "max_epochs": 3,
            "lr": 0.01,
            "minutes": 1.0,
            **own,
        }
        return Plan("unet", architecture=form, **values)

    monkeypatch.setattr(in_config, "make_plan", plan)
    return calls


def workflow(bundle: Path, demo_data: Path, tmp_path: Path, **values: Any) -> ConfigWorkflow:
    """Ready to run, on the CPU."""
    values = {"dataset_dir": str(demo_data), "output_dir": str(tmp_path / "out"), "device": "cpu", **values}
    found = bundle_workflow(bundle, "train", values)
    found.initialize()
    return found


def test_nothing_given_means_all_is_planned(demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    run = workflow(UNET, demo_data, tmp_path)
    assert run.trainer.state.max_epochs == 3
    network = run.trainer.network
    assert isinstance(network, UNet)
    assert (network.head.in_channels, network.stride) == (4, 2)
    assert run.trainer.optimizer.defaults["lr"] == 0.01
    assert run.trainer.data_loader.batch_size == 2
    assert run.trainer.data_loader.dataset[0]["image"].shape == (3, 48, 32)
    assert len(asked) == 1
    assert asked[0]["recipe"].fixed == {}


def test_what_is_given_wins_even_where_it_is_the_published_value(
    demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    published = {"architecture#features": [32, 64, 128, 256, 512], "lr": 0.002, "max_epochs": 40}
    plan = bundle_plan(workflow(UNETPP, demo_data, tmp_path, **published))
    assert asked[0]["recipe"].fixed == {"max_epochs": 40, "lr": 0.002, "architecture": True}
    assert (plan.max_epochs, plan.lr, plan.size, plan.architecture) == (40, 0.002, (48, 32), {})


def test_an_argument_of_the_network_fixes_the_network(
    demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    run = workflow(UNET, demo_data, tmp_path, **{"architecture#features": [6, 6]})
    assert run.trainer.network.head.in_channels == 6
    assert run.trainer.network.stride == 1


@pytest.mark.parametrize(
    "values",
    [
        {"as_published": True},
        {"size": [32, 32], "max_epochs": 2, "architecture#features": [4, 8]},
        {"train#trainer#max_epochs": 1},
        {"train#dataset#data": []},
        {"world_size": 2},
    ],
    ids=["asked", "all given", "federated", "labels from outside", "several processes"],
)
def test_where_nothing_is_planned(
    values: dict[str, Any], demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    plan = bundle_plan(workflow(UNETPP, demo_data, tmp_path, **values))
    assert asked == []
    assert plan.architecture == {}
    assert plan.lr == 0.002
    asked_for = "The bundle's own values, as you said." in plan.reasons.get("about", "")
    assert asked_for == ("as_published" in values)


def test_a_training_that_goes_on_follows_its_own_plan(
    demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    Plan("unet", size=(40, 32), max_epochs=9, lr=0.3).write(tmp_path / "out" / "plan.yaml")
    record = tmp_path / "out" / "run.json"
    record.write_text('{"finished": false, "config": {"minutes": 30}}')
    assert bundle_plan(workflow(UNET, demo_data, tmp_path)).size == (40, 32)
    assert asked == []
    record.write_text('{"finished": true, "config": {"minutes": 30}}')
    assert bundle_plan(workflow(UNET, demo_data, tmp_path)).size == (48, 32)
    record.write_text('{"finished": false, "config": {"minutes": null}}')
    assert bundle_plan(workflow(UNET, demo_data, tmp_path)).size == (48, 32)


def test_it_follows_that_plan_even_if_another_file_is_named(
    demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    """Beside the weights the plan knows where the run was shortened."""
    Plan("unet", size=(40, 32), max_epochs=9).write(tmp_path / "mine.yaml")
    Plan("unet", size=(40, 32), max_epochs=9, changed_epochs=((2, 4),)).write(tmp_path / "out" / "plan.yaml")
    (tmp_path / "out" / "run.json").write_text('{"finished": false}')
    values = {"plan_file": str(tmp_path / "mine.yaml")}
    assert bundle_plan(workflow(UNET, demo_data, tmp_path, resume=True, **values)).changed_epochs == ((2, 4),)
    assert bundle_plan(workflow(UNET, demo_data, tmp_path, **values)).changed_epochs == ()


def test_who_says_how_many_epochs_gets_them_all(demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    Plan("unet", max_epochs=9, most_minutes=2.0, changed_epochs=((2, 4),)).write(tmp_path / "mine.yaml")
    values = {"plan_file": str(tmp_path / "mine.yaml")}
    assert bundle_plan(workflow(UNET, demo_data, tmp_path, **values)).most_minutes == 2.0
    given = bundle_plan(workflow(UNET, demo_data, tmp_path, max_epochs=9, **values))
    assert (given.max_epochs, given.most_minutes, given.changed_epochs) == (9, None, ())


def test_without_a_workflow_the_published_values_hold() -> None:
    assert training_plan(published=PUBLISHED) == Plan(**PUBLISHED)


@pytest.mark.parametrize(("options", "planned"), [({}, False), ({"minutes": 5.0}, True), ({"preset": "quick"}, True)])
def test_a_gpu_trains_the_published_network_unless_time_is_short(
    options: dict[str, Any],
    planned: bool,
    demo_data: Path,
    tmp_path: Path,
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medseg_monai.bundle.workflow.check_device", lambda _: None)
    bundle_plan(workflow(UNET, demo_data, tmp_path, device="cuda", **options))
    assert bool(asked) == planned


def test_a_plan_file_is_followed_and_options_win(
    demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "medseg_monai")
    file = tmp_path / "$evil@x#1.yaml"
    Plan("unet", size=(40, 40), max_epochs=5, architecture={"features": [4, 4]}, lr=0.1).write(file)
    run = workflow(UNET, demo_data, tmp_path, plan_file=str(file), lr=0.2)
    assert (run.trainer.state.max_epochs, run.trainer.optimizer.defaults["lr"]) == (5, 0.2)
    assert run.trainer.data_loader.batch_size == 16  # what the file leaves out is as published
    assert run.trainer.network.head.in_channels == 4
    assert asked == []
    assert "kept as given: lr" in caplog.text


@pytest.mark.parametrize(
    ("planned", "options", "balance"), [(None, {}, 0), (0.7, {}, 0.7), (0.7, {"class_balance": 0.2}, 0.2)]
)
def test_small_classes_weigh_in_the_loss_as_planned(
    planned: float | None, options: dict[str, Any], balance: float, demo_data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    Plan("unet", size=(40, 40), max_epochs=5, architecture={"features": [4, 4]}, class_balance=planned).write(file)
    run = workflow(UNET, demo_data, tmp_path, plan_file=str(file), **options)
    assert run.parser.get_parsed_content("loss").loss.pixel.class_balance == balance


def test_an_option_of_another_kind_is_named(demo_data: Path, tmp_path: Path) -> None:
    run = workflow(UNET, demo_data, tmp_path, minutes=1, batch_size="abc")
    with pytest.raises(RuntimeError) as caught:
        _ = run.trainer
    assert "batch_size: a whole number" in str(caught.value.__cause__ or caught.value)


def test_texts_in_a_plan_are_never_run(demo_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text('architecture: {encoder: \'$__import__("os").mkdir("ran")\'}\n')
    run = workflow(UNET, demo_data, tmp_path, plan_file=str(file))
    with pytest.raises(RuntimeError) as caught:
        _ = run.trainer
    assert "neither 'plain' nor a model of timm" in str(caught.value.__cause__ or caught.value)
    assert not Path("ran").exists()


def test_a_real_plan_trains_in_the_time(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "START_SECONDS", 0.0)
    run = workflow(UNET, demo_data, tmp_path, minutes=0.2, cache_dir=str(tmp_path / "cache"))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    plan = bundle_plan(run)
    assert torch.equal(torch.rand(1), expected)
    assert plan.max_epochs is not None
    assert plan.minutes is not None
    assert plan.minutes <= 0.2 or plan.max_epochs == 1
    assert set(plan.reasons) >= {"size", "architecture", "batch_size", "max_epochs", "lr", "augmentation", "minutes"}
    assert f"max_epochs: {plan.max_epochs}" in plan.to_yaml()


def test_bad_presets_and_times_are_one_line(demo_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="preset is quick, default or best, not 'fast'"):
        training_plan(published=PUBLISHED, preset="fast")  # type: ignore[arg-type]
    run = workflow(UNET, demo_data, tmp_path, minutes=-1)
    with pytest.raises(RuntimeError) as caught:
        bundle_plan(run)
    assert "minutes: a number above 0 is expected, got -1" in str(caught.value.__cause__)


def test_a_start_brings_its_network(demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    network = UNet(3, 1, features=[2, 4])
    architecture = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1, "features": [2, 4]}
    write_weights(tmp_path, network.state_dict(), Trained(demo_spec(), architecture, "unet"))
    run = workflow(UNET, demo_data, tmp_path, start_from=str(tmp_path))
    begun = run.trainer.network.state_dict()
    assert begun.keys() == network.state_dict().keys()
    assert all(torch.equal(begun[name], tensor) for name, tensor in network.state_dict().items())
    assert asked[0]["recipe"].fixed == {"architecture": True, "size": list(demo_spec().size or ())}


@pytest.mark.parametrize("size", [(40, 24), (64, 64)])
def test_a_start_is_continued_at_the_scale_that_it_has_learnt_to_see(
    size: tuple[int, int], demo_data: Path, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    network = UNet(3, 1, features=[2, 4])
    architecture = {"_target_": "medseg_monai.networks.UNet", "in_channels": 3, "out_channels": 1, "features": [2, 4]}
    write_weights(tmp_path, network.state_dict(), Trained(replace(demo_spec(), size=size), architecture, "unet"))
    given = {"minutes": 0.2, "start_from": str(tmp_path)}
    bundle_plan(workflow(UNET, demo_data, tmp_path / "out", **given))
    bundle_plan(workflow(UNET, demo_data, tmp_path / "out", **given, size=[32, 32]))
    assert [tuple(each["recipe"].fixed["size"]) for each in asked] == [size, (32, 32)]
