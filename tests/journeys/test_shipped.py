"""The weights that bundles ship: what their files say, and that they outline the lesions of the examples."""

import json
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigWorkflow
from PIL import Image

from medseg_monai import Predictor
from medseg_monai.bundle.trained import Trained
from medseg_monai.export.check import check_bundle
from medseg_monai.export.metadata import TRUST_METRICS
from medseg_monai.files.writing import sha256_of

BUNDLES = sorted(path.parent.parent for path in (REPOSITORY / "bundles").glob("*/models/model.pt"))
FAST = REPOSITORY / "bundles" / "unet" / "models" / "fast"
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.jpg"))
# (x, y) as shares of width and height: the middle of the lesion, and a place of healthy skin, as a person sees them
PLACES = {
    "ISIC_0000253": ((0.45, 0.47), (0.8, 0.75)),
    "ISIC_0000262": ((0.52, 0.48), (0.5, 0.9)),
    "ISIC_0000361": ((0.5, 0.55), (0.85, 0.8)),
    "ISIC_0000463": ((0.48, 0.5), (0.85, 0.9)),
    "ISIC_0000501": ((0.5, 0.5), (0.9, 0.85)),
}


@pytest.fixture(params=BUNDLES, ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_every_bundle_ships_weights() -> None:
    assert {bundle.name for bundle in BUNDLES} == {
        path.parent.parent.name for path in (REPOSITORY / "bundles").glob("*/configs/train.json")
    }


def test_weights_are_small_whole_and_in_half_precision(bundle: Path) -> None:
    file = bundle / "models" / "model.pt"
    assert file.stat().st_size <= 12_000_000
    assert Trained.read(file.parent).weights_sha256 == (sha256_of([file]),)
    state = torch.load(file, weights_only=True)
    assert {tensor.dtype for tensor in state.values() if tensor.dim() > 1} == {torch.float16}
    assert all(bool(tensor.isfinite().all()) for tensor in state.values() if tensor.is_floating_point())


def test_card_and_metadata_name_the_same_scores(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    card = (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    [row] = [line for line in card.splitlines() if line.startswith("| one view |")]
    dice, jaccard = (cell.split()[0] for cell in row.split("|")[2:4])
    for shown, key in ((dice, "mean_dice"), (jaccard, "mean_jaccard")):
        assert abs(float(shown) - metadata["eval_metrics"][key]) < 0.00056  # three decimals beside four
    spec = Trained.read(bundle / "models").dataset
    assert spec.licence in (bundle / "docs" / "data_license.txt").read_text(encoding="utf-8")
    assert spec.licence in card


def test_it_meets_the_zoos_rules_and_misses_no_property(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [rule for rule in check_bundle(bundle) if not rule.ok] == []
    scan = EXAMPLES[0]
    if Trained.read(bundle / "models").dataset.spatial_dims == 3:
        scan = tmp_path / "scan.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.eye(4)), scan)
    copy = tmp_path / bundle.name
    shutil.copytree(bundle, copy)
    monkeypatch.chdir(copy)  # far from the repository, as it lies in a zoo
    workflow = ConfigWorkflow(
        "configs/inference.json",
        "configs/metadata.json",
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(scan),
        output_dir=str(tmp_path / "masks"),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.parser.get_parsed_content("trained").bundle == bundle.name


@pytest.mark.parametrize(
    ("name", "weights"),
    [*((bundle.name, "") for bundle in BUNDLES if bundle.name != "unet3d"), ("unet", "fast")],
)
def test_lesions_of_the_examples_are_outlined(name: str, weights: str) -> None:
    predictor = Predictor(REPOSITORY / "bundles" / name, weights=weights or None, engine="plain")
    for file in EXAMPLES:
        mask = predictor(file).mask
        with Image.open(file) as picture:
            assert mask.shape == (picture.height, picture.width)
        lesion, skin = (mask[int(y * mask.shape[0]), int(x * mask.shape[1])] for x, y in PLACES[file.stem])
        assert (bool(lesion), bool(skin)) == (True, False), (name, file.stem)
        assert 0.03 < np.mean(mask > 0) < 0.6


def test_every_bundle_ships_what_its_masks_are_worth(bundle: Path) -> None:
    quality = Trained.read(bundle / "models").quality
    assert quality is not None
    assert quality.calibration is not None
    assert quality.calibration.ece_after < quality.calibration.ece_before
    assert quality.dice is not None
    assert quality.dice.error < 0.06
    assert quality.promise is not None
    few = quality.calibration.cases < 49  # the hippocampus' eight validation cases are too few for a promise
    assert (quality.promise.threshold is None) == few


def test_card_and_metadata_say_how_far_that_holds_on_test_cases(bundle: Path) -> None:
    metrics = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["eval_metrics"]
    assert set(TRUST_METRICS) <= metrics.keys()
    card = (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    (held,) = [line for line in card.splitlines() if line.startswith("- Predicted Dice off by")]
    assert f"AURC {metrics['aurc']:.4f} (" in held
    assert f"of the uncertainty {metrics['aurc_uncertainty']:.4f}," in held
    before, after = (metrics[f"ece_{word}calibrated"] for word in ("un", ""))
    assert f"- Calibration error {before:.4f} before, {after:.4f} after" in card
    assert after < before
    flagged, cases = map(int, re.findall(r"(\d+) of (\d+) masks flagged", held)[0])
    assert flagged / cases == pytest.approx(metrics["flagged_share"], abs=5e-5)
    assert metrics["failure_share_unflagged"] <= 0.021, "2 % were promised on average"


def test_the_photographs_predicted_dice_is_said_and_that_of_noise_is_lower() -> None:
    predictor = Predictor(REPOSITORY / "bundles" / "unet", engine="plain")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    good = [predictor(file) for file in EXAMPLES[:2]]
    strange = predictor(noise)
    assert all(0.8 < found.predicted_dice["lesion"] < 1 and found.flagged is False for found in good)
    assert strange.flagged is True
    assert strange.predicted_dice["lesion"] < min(found.predicted_dice["lesion"] for found in good)


def test_the_fast_weights_are_small_whole_and_tell_what_they_are_worth() -> None:
    file = FAST / "model.pt"
    assert file.stat().st_size <= 5_000_000
    trained = Trained.read(FAST)
    assert trained.weights_sha256 == (sha256_of([file]),)
    state = torch.load(file, weights_only=True)
    assert {tensor.dtype for tensor in state.values() if tensor.dim() > 1} == {torch.float16}
    quality = trained.quality
    assert quality is not None
    assert quality.promise is not None
    assert quality.promise.threshold is not None
    card = (FAST.parents[1] / "docs" / "fast.md").read_text(encoding="utf-8")
    assert f"{trained.training['parameters']:,} parameters" in card
    assert "not a medical device" in card
    (command,) = [line for line in card.splitlines() if line.startswith("medseg distill")]
    overlay = re.search(r"--overlay bundles/unet/(\S+)", command)
    assert overlay is not None
    settings = json.loads((FAST.parents[1] / overlay[1]).read_text(encoding="utf-8"))
    assert tuple(settings["size"]) == trained.dataset.size
    assert settings["architecture#features"] == trained.architecture["features"]
    assert settings["architecture#encoder"] == trained.architecture["encoder"]
