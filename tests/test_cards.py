"""Model cards: what each must say, and that its figures and numbers are the network's."""

import doctest
import importlib
import inspect
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import REPOSITORY
from PIL import Image
from torch import nn

from medseg_monai import networks
from medseg_monai.bundle import untrained

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/configs/metadata.json"))


@pytest.fixture(params=BUNDLES, ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def card(bundle: Path) -> str:
    """The card's text, a paragraph's lines joined."""
    return " ".join((bundle / "docs" / "README.md").read_text(encoding="utf-8").split())


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    return importlib.import_module("draw_architectures")


def test_card_names_the_paper_of_the_metadata(bundle: Path, card: str) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert card.startswith(f"# {metadata['name']} ")
    for reference in metadata["references"]:
        title = max(reference.split(", "), key=len)
        number = reference.partition("arXiv:")[2]
        assert title in card
        assert f"[arXiv:{number}](https://arxiv.org/abs/{number})" in card


def test_card_says_what_it_is_not(card: str) -> None:
    assert "**Research software, not a medical device; not for diagnosis.**" in card


def test_card_holds_the_figure(bundle: Path, card: str) -> None:
    [(words, file)] = re.findall(r"!\[(.*?)\]\((.*?)\)", card)
    figure = bundle / "docs" / file
    assert words
    assert figure.stat().st_size < 150_000
    with Image.open(figure) as picture:
        assert picture.width >= 1600  # sharp at the 800 pixels a page gives it


def test_card_counts_the_parameters_of_the_network(bundle: Path, card: str) -> None:
    with torch.device("meta"):
        channels = 1 if untrained(bundle).dataset.spatial_dims == 3 else 3
        network = untrained(bundle).build_network(in_channels=channels, out_channels=1)
    [count] = re.findall(r"\| as it is \| ([\d,]+) \|", card)
    assert int(count.replace(",", "")) == sum(parameter.numel() for parameter in network.parameters())


def test_options_named_by_the_card_exist(bundle: Path, card: str) -> None:
    architecture = str(untrained(bundle).architecture["_target_"]).rpartition(".")[2]
    known = inspect.signature(getattr(networks, architecture)).parameters
    assert set(re.findall(r"architecture#(\w+)", card)) <= set(known)
    assert set(re.findall(r"medseg (?:train|evaluate|predict) (\w+)", card)) == {bundle.name}


def test_figures_and_tables_are_up_to_date(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--check"]) == 0, capsys.readouterr().out


def test_another_network_makes_figure_and_table_stale(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "bundles" / "resunetpp"
    shutil.copytree(REPOSITORY / "bundles" / "resunetpp", copy, ignore=shutil.ignore_patterns("models"))
    config = copy / "configs" / "train.json"
    wider = json.loads(config.read_text(encoding="utf-8"))
    wider["architecture"]["features"] = [16, 32, 64, 128, 300]
    config.write_text(json.dumps(wider), encoding="utf-8")
    assert script.main(["--check"], bundles=tmp_path / "bundles") == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("differs")]
    assert said == [f"differs: bundles/resunetpp/docs/{name}" for name in ("architecture.png", "README.md")]
    assert script.main([], bundles=tmp_path / "bundles") == 0
    assert script.main(["--check"], bundles=tmp_path / "bundles") == 0


def test_cost_and_shapes_by_hand(script: ModuleType) -> None:
    facts = importlib.import_module("architectures.facts")
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.Conv2d(8, 2, 1))
    # 128 x 128 places: 27 products for each of 8 channels, then 8 for each of 2
    assert facts.cost(network) == facts.Cost(parameters=8 * 27 + 2 * 8 + 2, multiply_adds=128 * 128 * (8 * 27 + 2 * 8))
    seen = facts.stages(network)
    assert (seen.taken_channels("0"), seen.channels("0"), seen.label("0"), seen.label("1")) == (
        3,
        8,
        "8 @ 1/2",
        "2 @ 1/2",
    )
    with pytest.raises(ValueError, match="has run no module 'head'"):
        seen.label("head")


def test_skip_connections_add_up(script: ModuleType) -> None:
    """What a decoder stage of the U-Net concatenates is what its skip connection and the stage below bring."""
    described = script.diagram_of(REPOSITORY / "bundles" / "unet").describe()
    assert "decoder.0: concat 1024, 512 @ 1/8" in described
    assert "encoder.stages.3 -> decoder.0 (skip)" in described
    assert "encoder.stages.4 -> decoder.0 (up)" in described


def test_unknown_bundle_and_card_without_markers_are_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="no layout for bundle 'vnet'"):
        script.diagram_of(Path("bundles/vnet"))
    with pytest.raises(ValueError, match="the card has no lines"):
        script.with_table("# A card", "| a |")


def test_examples_in_the_scripts(script: ModuleType) -> None:
    for module in (script, importlib.import_module("architectures.facts")):
        assert doctest.testmod(module).attempted > 0
        assert doctest.testmod(module).failed == 0
