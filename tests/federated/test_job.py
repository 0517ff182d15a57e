"""The folder that NVFlare runs: settings of each site, and names that it takes."""

import json
from pathlib import Path

import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.job import ALLOWED, parse_sites, write_job

AGREED = Agreement("unet", DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32)), {"lr": 0.01})


def test_a_job_says_what_runs_where_and_holds_no_code(tmp_path: Path) -> None:
    write_job(tmp_path, AGREED, {"north": "/data/{north}", "south": "D:\\data"}, round_minutes=1.5)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["deploy_map"] == {"app_server": ["server"], "app_north": ["north"], "app_south": ["south"]}
    assert all(Agreement.read(tmp_path / app / "config") == AGREED for app in meta["deploy_map"])
    places = [json.loads((tmp_path / f"app_{name}/config/site.json").read_text()) for name in ("north", "south")]
    assert places == [{"dataset_dir": "/data/{north}"}, {"dataset_dir": "D:\\data"}]
    server = json.loads((tmp_path / "app_server/config/config_fed_server.json").read_text())
    client = json.loads((tmp_path / "app_north/config/config_fed_client.json").read_text())
    assert server["workflows"][0]["args"] == {"round_seconds": 90}
    named = [server["workflows"][0]["path"], client["executors"][0]["executor"]["path"]]
    assert all(path.startswith(ALLOWED) for path in named)
    assert {file.suffix for file in tmp_path.rglob("*.*")} == {".json"}


def test_sites_are_named_with_their_folders() -> None:
    assert parse_sites(["north=data/a=b", "south=/x"]) == {"north": "data/a=b", "south": "/x"}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no site is named"),
        (["north"], "a site is NAME=DATA_SET_FOLDER"),
        (["north="], "a site is NAME=DATA_SET_FOLDER"),
        (["=x"], "'' cannot be the name of a site"),
        (["a,b=x"], "'a,b' cannot be the name"),
        (["../up=x"], "cannot be the name"),
        (["server=x"], "cannot be the name"),
        (["north=x", "north=y"], "north is named twice"),
        (["north=x", "North=y"], "differ only in upper and lower case"),
    ],
)
def test_names_that_cannot_be_used(texts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_sites(texts)


def test_a_negative_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="round_minutes"):
        write_job(tmp_path, AGREED, {"north": "x"}, round_minutes=-1)
