"""MLflow through MONAI's `tracking`: what a run logs, and what is said where it cannot."""

import importlib.util

import pytest
from conftest import SMALL


def logged(database):
    """The only run of a local store."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    (run,) = [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id])]
    return client, run


def test_tracking_without_mlflow_names_the_extra(medseg, demo_data, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("medseg_monai.bundle.workflow.find_spec", lambda name: None if name == "mlflow" else find(name))
    ended = medseg("train", "unetpp", "-d", demo_data, "--output-dir", tmp_path, "--tracking", "mlflow")
    assert (ended.code, ended.err.splitlines()[-1]) == (
        1,
        "medseg: error: --tracking mlflow needs MLflow: pip install 'medseg-monai[tracking]'",
    )
    assert list(tmp_path.iterdir()) == []


def test_keys_of_tracking_are_known_with_tracking_alone(medseg, demo_data, tmp_path):
    arguments = ("train", "unetpp", "-d", demo_data, "--output-dir", tmp_path, "--set", "experiment_name=mine")
    assert "unknown config key 'experiment_name'" in medseg(*arguments).err


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # MLflow's own
def test_training_logs_curves_to_a_local_store(medseg, demo_data, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install '.[tracking]'")
    arguments = ("--output-dir", tmp_path, "--max-epochs", 2, "--tracking", "mlflow", "--set", "experiment_name=mine")
    ended = medseg("train", "unetpp", "-d", demo_data, *SMALL, *arguments)
    assert ended.code == 0, ended.err
    client, run = logged(tmp_path / "mlruns.db")
    assert run.info.status == "FINISHED"
    assert run.data.params["max_epochs"] == "2"
    assert client.get_experiment(run.info.experiment_id).name == "mine"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "mean_dice")] == [1, 2]
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 2 * int(run.data.params["epoch_length"])
