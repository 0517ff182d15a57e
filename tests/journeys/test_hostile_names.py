"""Hostile names through the command line: every one is a name, kept as it is, and nothing that stands in one is executed."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, Outcome
from PIL import Image

from medseg_monai import Predictor
from medseg_monai.bundle.trained import Trained
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.tables import read_evaluation
from medseg_monai.files.csv_tables import read_records

UNET = REPOSITORY / "bundles" / "unet"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
CANARY = "CANARY"
"""What code in a name would write, into the working directory."""
TOUCH = f"__import__('pathlib').Path('{CANARY}').touch()"

# As MONAI's parser, Python, shells, spreadsheets, HTML, regular expressions and globs would have them otherwise.
STEMS = (
    # MONAI's expressions, macros, references and separators
    f"${TOUCH}",
    f"$[{TOUCH}]",
    f"$({TOUCH}) or '@device'",
    "$import os",
    "$import antigravity",
    "$from os import path",
    "$@device",
    "$@nowhere",
    "$",
    "$$",
    "$(",
    "$x = 1",
    "@device",
    "@nowhere",
    "@",
    "@@",
    "@#device",
    "@##device",
    "a@##b",
    "a@#b",
    "%device",
    "%nowhere.json#x",
    "%",
    "%%",
    "%##x",
    "50%#1",
    "100 % sure",
    "#",
    "##",
    "#1 lesion",
    "a#b#c",
    "a::b",
    "::",
    "::a",
    "dataset#data#0",
    "_target_",
    "_target_=os.system",
    "{'_target_': 'os.mkdir', 'name': 'CANARY'}",
    "[1, 2]",
    "__local_refs['device']",
    "import os; x",
    "+merge",
    # Python and printf
    "{0}",
    "{x!r}",
    "%s %d %(x)s",
    "None",
    "True",
    "1e-3",
    "f'{1}'",
    "'",
    '"',
    "'''",
    "\\",
    "\\x24",
    "\\n",
    "\\u000a",
    # line breaks, other controls, other scripts
    "a\nb",
    "a\rb",
    "\ta",
    "a\x1b[31mb",
    "a\x85\u2028b",
    "患者 1 é",
    "e\u0301",
    "🙂",
    "\u202egnp",
    # shells and paths
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY",
    "| touch CANARY",
    "-rf",
    "--out",
    "~",
    "a b  c",
    " a ",
    "..a",
    "a.",
    "CON",
    # spreadsheets, HTML and Markdown
    "=1+1",
    "=cmd|' C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "<script>alert(1)<",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "| a | b |",
    "**a**",
    "&amp;",
    # globs and regular expressions
    "*",
    "?",
    "[a-z]",
    "(.*)",
    "^a$",
)  # fmt: skip
NOT_UTF_8 = (b"caf\xe9", b"\xff\xfe", b"$\xe9 #1")


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder of its own, in which no name may leave a file behind."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "bundles").symlink_to(REPOSITORY / "bundles")
    yield
    assert not list(tmp_path.rglob(CANARY))


@pytest.fixture
def call(medseg: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`medseg`, from this test's own folder."""
    monkeypatch.chdir(tmp_path / "work")
    return medseg


@pytest.fixture(scope="module")
def weights(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a tiny U-Net, untrained: names matter here."""
    folder = tmp_path_factory.mktemp("weights")
    arguments = {"in_channels": 3, "out_channels": 1, "features": [4, 8]}
    content = Trained(read_dataset(demo_data).spec, {"_target_": "medseg_monai.networks.UNet", **arguments}, "unet")
    content.write(folder)
    torch.manual_seed(0)
    torch.save(content.build_network().state_dict(), folder / "model.pt")
    return folder


def names() -> list[str]:
    return [*STEMS, *(os.fsdecode(name) for name in NOT_UTF_8)]


def pictures(folder: Path) -> dict[str, Path]:
    """A small picture under each name, each of another size, so that no mask can stand for another."""
    folder.mkdir()
    made = {}
    for number, name in enumerate(names()):
        made[name] = folder / f"{name}.png"
        Image.new("RGB", (16 + number, 20), (number, 40, 90)).save(made[name])
    return made


def sizes(out: Path) -> dict[str, int]:
    """Width of each mask, by the name that its file has."""
    found = {}
    for file in out.iterdir():
        if file.name.endswith("_mask.png"):
            with Image.open(file) as mask:
                found[file.name.removesuffix("_mask.png")] = mask.width
    return found


@POSIX
def test_there_are_enough_of_them() -> None:
    assert len(set(names())) == len(names()) >= 60


@POSIX
@pytest.mark.parametrize("how", ["folder", "files", "relative"])
def test_predict_keeps_every_name(
    how: str, call: Callable[..., Outcome], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pictures(tmp_path / "images")
    expected = {name: 16 + number for number, name in enumerate(made)}
    sources: list[object] = [tmp_path / "images"]
    if how == "folder":  # in which hidden files are not looked at
        expected = {name: width for name, width in expected.items() if not name.startswith(".")}
    elif how == "files":
        sources = list(made.values())
    else:
        (tmp_path / "images" / "bundles").symlink_to(REPOSITORY / "bundles")
        monkeypatch.chdir(tmp_path / "images")
        sources = ["--", *(file.name for file in made.values())]
    options = ("-w", weights, "--out", tmp_path / "out", "--format", "png,rle,geojson,coco", "--overlays")
    ended = call("predict", *options, "--", "unet", *sources[how == "relative" :])
    assert ended.code == 0, ended.err
    assert sizes(tmp_path / "out") == expected
    for table in ("predictions.csv", "masks_rle.csv"):
        assert sorted(row["case"] for row in read_records(tmp_path / "out" / table)) == sorted(expected)
    before = {name: (tmp_path / "out" / f"{name}_mask.png").stat().st_mtime_ns for name in expected}
    assert call("predict", *options, "--", "unet", *sources[how == "relative" :]).code == 0
    after = {name: (tmp_path / "out" / f"{name}_mask.png").stat().st_mtime_ns for name in expected}
    assert after == before, "known by name, and not done again"


def everywhere(name: str, tmp_path: Path, weights: Path) -> dict[str, Path]:
    """Folders of that name for all that a prediction is told: the working directory, bundle, weights, images, output, cache."""
    places = {kind: tmp_path / kind / name for kind in ("cwd", "weights", "images", "out", "cache")}
    for kind in ("cwd", "weights", "images", "cache"):
        places[kind].mkdir(parents=True)
    places["bundle"] = tmp_path / "bundle" / name
    shutil.copytree(UNET, places["bundle"], ignore=shutil.ignore_patterns("models"))
    for file in ("model.pt", "spec.json"):
        shutil.copy(weights / file, places["weights"])
    Image.new("RGB", (24, 20)).save(places["images"] / f"{name}.png")
    return places


@POSIX
@pytest.mark.parametrize("name", [*STEMS[:42:2], "..a", "a\nb", "患者 1 é", os.fsdecode(NOT_UTF_8[2])])
def test_a_hostile_name_in_every_place_of_a_prediction(
    name: str, call: Callable[..., Outcome], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = everywhere(name, tmp_path, weights)
    monkeypatch.chdir(at["cwd"])
    monkeypatch.setenv("MEDSEG_CACHE", str(at["cache"]))
    file = at["images"] / f"{name}.png"
    ended = call("predict", at["bundle"], file, "-w", at["weights"], "-w", at["weights"], "--out", at["out"])
    assert ended.code == 0, ended.err
    assert sizes(at["out"]) == {name: 24}
    relative = [os.path.relpath(at[kind]) for kind in ("bundle", "weights", "out")]
    assert Predictor(relative[0], weights=relative[1])(os.path.relpath(file)).mask.shape == (20, 24)
    run_bundle(Path(relative[0]), "inference", {"dataset_dir": [str(file)], "weights": relative[1], "output_dir": name})
    assert sizes(Path(name)) == {name: 24}


OPTIONS = ("--engine", "--tta", "--format", "--series", "--device", "--weights")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("text", [f"${TOUCH}", "@device", "%device", "a@##b", "$import antigravity", "#", "\udce9"])
def test_options_are_text_too(
    option: str, text: str, call: Callable[..., Outcome], weights: Path, tmp_path: Path
) -> None:
    """Most are not choices of that option, and one line says so."""
    Image.new("RGB", (24, 20)).save("a.png")
    given = {"--weights": weights, option: text}
    ended = call("predict", "unet", "a.png", "--out", "out", *(part for pair in given.items() for part in pair))
    if option != "--series":
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.splitlines()[-1].startswith("medseg: error: ")


def hostile_dataset(folder: Path) -> Path:
    """A data set whose ids, groups, paths, classes, channels and texts are hostile names."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    cases: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
    generator = np.random.default_rng(0)
    for number, name in enumerate(names()):
        image, label = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
        Image.fromarray(generator.integers(0, 255, (24, 32, 3), np.uint8)).save(image)
        mask = np.zeros((24, 32), np.uint8)
        mask[6:18, 8 : 12 + number % 12] = 255
        Image.fromarray(mask).save(label)
        split = "validation" if number % 6 == 0 else "test" if number % 7 == 0 else "training"
        files = {"image": f"images/{name}.png", "label": [f"masks/{name}.png"] * 2}
        cases[split].append({**files, "id": f"id {name}" if name == "..a" else name, "group": name})
    content = {
        "name": "hostile",
        "task": "multilabel",
        "classes": [f"${TOUCH}", "<b>@##x|y</b>"],
        "channels": ["$import antigravity", "@device", "%x.json#y"],
        "size": [32, 32],
        **dict.fromkeys(("description", "licence", "citation"), f"${TOUCH} <script>alert(1)</script>"),
        **cases,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@POSIX
def test_a_hostile_dataset_is_trained_evaluated_tuned_reviewed_and_explained(
    call: Callable[..., Outcome], tmp_path: Path
) -> None:
    data = hostile_dataset(tmp_path / f"${TOUCH}" / "@##d")
    trained = tmp_path / "$import os #1"
    small = ("--set", "architecture#features=[4, 8]", "--max-epochs", 1, "--size", 32)
    ended = call("train", "unet", "-d", data, "--output-dir", trained, *small)
    assert ended.code == 0, ended.err
    for command in (
        ("evaluate", "unet", "-d", data, "-w", trained, "--report"),
        ("tune", "unet", "-d", data, "-w", trained),
        ("review", "unet", "-d", data, "-w", trained),
        ("explain", "unet", *(data / "images").glob("[#@]*.png"), "-w", trained, "--out", tmp_path / "%ex", "--report"),
    ):
        ended = call(*command)
        assert ended.code == 0, (command, ended.err)
    evaluated = trained / "evaluation_test"
    ids = {case["id"] for case in read_dataset(data).cases("test")}
    assert {score.case for score in read_evaluation(evaluated).scores} == ids
    shown = (evaluated / "summary.md").read_text() + ended.out
    assert "<script" not in shown
    assert "<b>" not in shown
    for is_table, rows in groupby(shown.splitlines(), key=lambda line: line.startswith("|")):
        if is_table:
            assert len({row.count("|") - row.count("\\|") for row in rows}) == 1, "each row has its table's cells"


@POSIX
def test_prepare_keeps_every_name(call: Callable[..., Outcome], tmp_path: Path) -> None:
    raw = tmp_path / f"${TOUCH}"
    hostile_dataset(raw)
    (raw / "dataset.json").unlink()
    out = tmp_path / "@##out #1"
    ended = call("prepare", "folder", raw, "--out", out, "--name", "x", "--class", "$import os")
    assert ended.code == 0, ended.err
    dataset = read_dataset(out)
    found = {case["id"] for split in ("training", "validation", "test") for case in dataset.cases(split)}
    assert found == {normalize("NFC", name) for name in names() if not name.startswith(".")}
    assert dataset.spec.classes == ("$import os",)


COMMANDS = (
    ("predict", "X", "a.png", "--out", "out"),
    ("predict", "unet", "X.png", "--out", "out"),
    ("predict", "unet", "a.png", "--out", "out", "-w", "X"),
    ("train", "unet", "-d", "X"),
    ("train", "unet", "--device", "X"),
    ("train", "unet", "--overlay", "X"),
    ("train", "unet", "--tracking", "X"),
    ("evaluate", "unet", "-d", "X"),
    ("evaluate", "unet", "-d", "data", "-w", "X"),
    ("evaluate", "unet", "-d", "data", "-w", "weights", "--split", "X"),
    ("tune", "unet", "-d", "X", "-w", "weights"),
    ("review", "unet", "-d", "X", "-w", "weights"),
    ("compare", "X", "--out", "out"),
    ("explain", "unet", "X", "-w", "weights"),
    ("explain", "unet", "a.png", "-w", "weights", "--class", "X"),
    ("explain", "unet", "a.png", "-w", "weights", "--method", "X"),
    ("explain", "unet", "a.png", "-w", "weights", "--layer", "X"),
    ("explain", "unet", "a.png", "-w", "weights", "--region", "X"),
    ("explain", "unet", "a.png", "-w", "weights", "--region", "mask:X"),
    ("export", "unet", "--out", "X", "-w", "weights"),
    ("export", "unet", "--out", "a.ts", "--format", "X", "-w", "weights"),
    ("package", "unet", "--out", "X", "-w", "weights"),
    ("check", "X"),
    ("prepare", "folder", "X", "--out", "out"),
    ("prepare", "folder", "data", "--images", "X", "--out", "out"),
    ("prepare", "folder", "data", "--masks", "X", "--out", "out"),
    ("prepare", "folder", "data", "--name", "X", "--out", "out"),
    ("prepare", "folder", "data", "--splits", "X", "--out", "out"),
    ("prepare", "nifti", "X", "--out", "out"),
    ("prepare", "msd", "X", "--out", "out"),
    ("prepare", "isic2018", "X", "--out", "out"),
)


@POSIX
@pytest.mark.parametrize("text", [f"${TOUCH}", "%x.json#y", "@##b", "a\nb\x1b[2J", "caf\udce9 #1"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_mistake_is_one_line(
    command: tuple[str, ...], text: str, call: Callable[..., Outcome], weights: Path, demo_data: Path
) -> None:
    Image.new("RGB", (24, 20)).save("a.png")
    Path("weights").symlink_to(weights)
    Path("data").symlink_to(demo_data)
    ended = call(*(part.replace("X", text) for part in command))
    assert (ended.code, ended.out) == (1, "")
    said = [line for line in ended.err.split("\n") if line and "WARNING" not in line and "INFO" not in line]
    assert len(said) == 1, said
    assert said[0].startswith("medseg: error: ")
    assert said[0].isprintable(), said
