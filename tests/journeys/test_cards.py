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
from torch import Tensor, nn

from medseg_monai import networks
from medseg_monai.bundle.trained import untrained

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
        assert title in card
        if number := reference.partition("arXiv:")[2]:
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


def test_cost_by_hand(script: ModuleType) -> None:
    facts = importlib.import_module("architectures.facts")
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.Conv2d(8, 2, 1))
    # 128 x 128 places: 27 products for each of 8 channels, then 8 for each of 2
    assert facts.cost(network) == facts.Cost(parameters=8 * 27 + 2 * 8 + 2, multiply_adds=128 * 128 * (8 * 27 + 2 * 8))


class Forked(nn.Module):
    """Two ways from the image, joined by functions that are not modules; pooling learns nothing; parts of a stage have no box."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Conv2d(15, 2, 1)
        self.auxiliary = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        coarse = self.coarse(x)
        large = nn.functional.interpolate(self.pool(coarse), size=x.shape[2:])
        return [self.head(torch.cat([x, self.fine(x), large], dim=1)), self.auxiliary(coarse)]


def test_a_figure_shows_what_each_stage_is_made_of(script: ModuleType) -> None:
    layout = importlib.import_module("architectures.layout")
    with torch.device("meta"):
        diagram = layout.diagram_of(Forked(), "Forked")
    described = diagram.describe().splitlines()
    assert sorted(line for line in described if ":" in line) == [
        "auxiliary: auxiliary, 2 @ 1/4", "coarse: coarse, 8 @ 1/4", "fine: fine, 4 @ 1/1", "head: head, 2 @ 1/1",
        "image: image, 3 @ 1/1",
    ]  # fmt: skip
    assert sorted(line for line in described if "->" in line) == [
        "coarse -> auxiliary (flow)", "coarse -> head (up)", "fine -> head (flow)", "image -> coarse (down)",
        "image -> fine (flow)", "image -> head (skip)",
    ]  # fmt: skip


def test_boxes_stand_apart(bundle: Path, script: ModuleType) -> None:
    diagram = script.figure_of(bundle)
    boxes = list(diagram.boxes.values())
    for number, box in enumerate(boxes):
        assert all(
            half / 2 <= at <= side - half / 2 for at, half, side in zip(box.at, box.size, diagram.size, strict=True)
        )
        for other in boxes[number + 1 :]:
            apart = [abs(a - b) >= width for a, b, width in zip(box.at, other.at, box.size, strict=True)]
            assert any(apart), f"{box.text!r} lies over {other.text!r}"
    assert len({box.kind for box in boxes}) > 2


def test_a_u_net_is_a_u(script: ModuleType) -> None:
    diagram = script.figure_of(REPOSITORY / "bundles" / "unet")
    described = diagram.describe()
    assert "decoder.0: decoder.0, 512 @ 1/8" in described
    assert "encoder.stages.3 -> decoder.0 (skip)" in described
    assert "encoder.stages.4 -> decoder.0 (up)" in described
    for level in range(4):
        down, up = diagram.boxes[f"encoder.stages.{level}"], diagram.boxes[f"decoder.{3 - level}"]
        assert down.at[1] == up.at[1]
        assert down.at[0] < up.at[0]


def test_a_card_without_markers_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="the card has no lines"):
        script.with_table("# A card", "| a |")


def test_examples_in_the_scripts(script: ModuleType) -> None:
    for module in (script, *(importlib.import_module(f"architectures.{name}") for name in ("facts", "layout"))):
        assert doctest.testmod(module).attempted > 0
        assert doctest.testmod(module).failed == 0
