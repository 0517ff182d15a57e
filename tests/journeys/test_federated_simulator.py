"""`medseg federate` under NVFlare's simulator: what is averaged, what becomes of a site that cannot train. `make test-federated`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, Outcome

from medseg_monai.bundle.trained import read_weights
from medseg_monai.dataset import read_dataset
from medseg_monai.files.csv_tables import read_records
from medseg_monai.prepare.demo import prepare_demo

pytestmark = pytest.mark.federated
pytest.importorskip("nvflare", reason="NVFlare is not installed: make test-federated")


def learnt(out: Path, site: str) -> dict[str, torch.Tensor]:
    """The weights with which a site's own training ended."""
    file = out / ".medseg" / "simulation" / site / "simulate_job" / "trained" / "last.pt"
    weights: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["network"]
    return weights


def assert_is_the_mean(out: Path, cases: dict[str, int]) -> None:
    """The network is that of these sites, each by its number of cases."""
    own = {site: learnt(out, site) for site in cases}
    for name, together in read_weights(out / "model.pt").items():
        mean = sum(count * own[site][name].double() for site, count in cases.items()) / sum(cases.values())
        mean = mean if together.is_floating_point() else mean.round()
        np.testing.assert_allclose(together.numpy(), mean.numpy(), rtol=1e-6, atol=1e-7)


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, Path]:
    """Three with different patients; one of the third's pictures is none."""
    folders = {name: tmp_path / name for name in ("north", "south", "west")}
    for seed, (folder, count) in enumerate(zip(folders.values(), (12, 20, 12), strict=True)):
        prepare_demo(folder, n=count, size=(96, 80), seed=seed)
    picture = Path(read_dataset(folders["west"]).cases("training")[0]["image"])
    picture.write_bytes(b"no picture")
    return folders


def options(sites: dict[str, Path]) -> list[str]:
    return [f"--site={name}={folder}" for name, folder in sites.items()]


def test_the_network_is_the_mean_of_the_sites_that_could_train(
    sites: dict[str, Path], tmp_path: Path, medseg: Callable[..., Outcome]
) -> None:
    out = tmp_path / "out"
    code, said, err = medseg("federate", "run", "unetpp", *options(sites), "--out", out, "--rounds", 2, *SMALL)
    picture = Path(read_dataset(sites["west"]).cases("training")[0]["image"]).name
    assert code == 1
    assert f"1 of 3 sites were left out of a round or more (west: {sites['west']}" in err, err
    assert picture in err
    assert "north 0." in said
    north, south = learnt(out, "north"), learnt(out, "south")
    cases = [len(read_dataset(sites[name]).training) for name in ("north", "south")]
    assert cases == [8, 14]
    assert_is_the_mean(out, {"north": 8, "south": 14})
    assert any((north[name] - south[name]).abs().max() > 1e-3 for name in north), "they have learnt different things"
    rows = read_records(out / "rounds.csv")
    assert [(row["round"], row["site"], row["cases"]) for row in rows if row["site"] != "west"] == [
        ("1", "north", "8"), ("1", "south", "14"), ("2", "north", "8"), ("2", "south", "14"), ("end", "north", ""), ("end", "south", ""),
    ]  # fmt: skip
    left_out = [row["round"] for row in rows if row["site"] == "west" and picture in row["left_out"]]
    assert left_out == ["1", "2"]
    federated = json.loads((out / "spec.json").read_text())["training"]["federated"]
    assert federated == {"rounds": 2, "rounds_planned": 2, "epochs_per_round": 1, "cases": 22}
    code, said, err = medseg("evaluate", "unetpp", "--weights", out, "--dataset-dir", sites["north"])
    assert code == 0, err


def test_volumes_of_two_sites(tmp_path: Path, medseg: Callable[..., Outcome]) -> None:
    """Of which one has more, and counts for more."""
    folders = {name: tmp_path / name for name in ("north", "south")}
    for seed, folder in enumerate(folders.values()):
        prepare_demo(folder, kind="volumes", n=6 + 2 * seed, size=(24, 21, 16), seed=seed)
    settings = ("--set", "architecture#features=[4, 8]", "--set", "size=[16, 16, 16]", "--batch-size", 2)
    out = tmp_path / "out"
    code, _, err = medseg("federate", "run", "unet3d", *options(folders), "--out", out, "--rounds", 2, *settings)
    assert code == 0, err
    assert_is_the_mean(out, {"north": 4, "south": 6})
    rows = read_records(out / "rounds.csv")
    assert [(row["round"], row["site"]) for row in rows] == [
        (number, site) for number in ("1", "2", "end") for site in ("north", "south")
    ]
    assert all(0 <= float(row["mean_dice"]) <= 1 and not row["left_out"] for row in rows)
    code, _, err = medseg(
        "predict", "unet3d", folders["north"] / "images", "--weights", out, "--out", tmp_path / "masks"
    )
    assert code == 0, err


def test_if_no_site_can_train_it_says_why(
    sites: dict[str, Path], tmp_path: Path, medseg: Callable[..., Outcome]
) -> None:
    out = tmp_path / "out"
    code, _, err = medseg("federate", "run", "unetpp", f"--site=west={sites['west']}", "--out", out, *SMALL)
    assert code == 1
    assert err.strip().splitlines()[-1].startswith(f"medseg: error: west: {sites['west']}"), err
    assert not (out / "model.pt").exists()
