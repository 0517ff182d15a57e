"""Pictures of other kinds are flagged with a reason, those of training's kind are not; bars around a picture do not count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.conformal import Margins, Promise
from medseg_monai.quality.descriptor import describe
from medseg_monai.quality.familiarity import Familiarity, learn_familiarity
from medseg_monai.quality.flagging import Flagd, describe_case, empty_description, flag, number_case
from medseg_monai.quality.learnt import Quality
from medseg_monai.tuning.review import Review

SIZE = (96, 72)
REVIEW = Review(threshold=0.5, failure_dice=0.7, cases=10, failures=2, flagged=3, caught=2)
SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=(96, 96), aspect="pad")


def described(pixels: np.ndarray, lesion: np.ndarray) -> dict[str, np.ndarray]:
    """Of a picture (H, W, 3) of 0 to 255 and what is outlined in it."""
    return describe(
        torch.from_numpy(pixels.astype(np.float32).transpose(2, 1, 0) / 255),
        torch.from_numpy(lesion.T.astype(np.float32)),
    )


def drawn(first: int, count: int) -> list[dict[str, np.ndarray]]:
    return [described(*draw_dermoscopy(np.random.default_rng(seed), SIZE)) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def usual() -> Familiarity:
    """What is usual in lesions that the demo draws."""
    return learn_familiarity(drawn(0, 80), drawn(1000, 40), share=0.05)


def page(rng: np.random.Generator) -> np.ndarray:
    picture = Image.new("RGB", SIZE, "white")
    for y in range(4, SIZE[1], 9):
        ImageDraw.Draw(picture).text((4, y), "a line of text " * 2, fill="black", font_size=8)
    return np.asarray(picture)


OTHERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "page": page,
    "noise": lambda rng: rng.integers(0, 256, (*SIZE[::-1], 3)),
    "one colour": lambda rng: np.tile(rng.integers(0, 256, 3), (*SIZE[::-1], 1)),
    "gradient": lambda rng: np.linspace([0, 90, 255], [255, 90, 0], SIZE[0])[None].repeat(SIZE[1], axis=0),
    "grey": lambda rng: draw_dermoscopy(rng, SIZE)[0].mean(axis=2, keepdims=True).repeat(3, axis=2),
    "inverted": lambda rng: 255 - draw_dermoscopy(rng, SIZE)[0],
    "blue for red": lambda rng: draw_dermoscopy(rng, SIZE)[0][..., ::-1],
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("seed", [5000, 5001])
def test_other_kinds_are_flagged_whatever_is_outlined_in_them(usual: Familiarity, kind: str, seed: int) -> None:
    _, lesion = draw_dermoscopy(np.random.default_rng(seed), SIZE)
    found = flag(0.0, described(OTHERS[kind](np.random.default_rng(seed)).copy(), lesion), REVIEW, usual)
    assert found.flagged is True
    assert found.reason.startswith("unlike the training images: ")


def test_new_ones_of_the_same_kind_are_rarely_flagged(usual: Familiarity) -> None:
    assert np.mean([flag(0.0, case, REVIEW, usual).flagged for case in drawn(3000, 60)]) < 0.2


def test_both_reasons_are_said_and_colours_are_named(usual: Familiarity) -> None:
    pixels, lesion = draw_dermoscopy(np.random.default_rng(5000), SIZE)
    strange = described(pixels[..., ::-1].copy(), lesion)
    unlike, unsure = flag(0.6, strange, REVIEW, usual).reason.split("; ")
    assert "colours" in unlike
    assert unsure == "uncertain outline: uncertainty 0.60, flagged from 0.50"


def test_what_was_not_learnt_flags_nothing(usual: Familiarity) -> None:
    strange = described(page(np.random.default_rng(0)), np.zeros(SIZE[::-1]))
    assert flag(0.9, strange, None, None) == (None, "")
    assert flag(0.9, {}, None, usual) == (None, ""), "of an image that was not described"
    assert flag(0.1, strange, REVIEW, None) == (False, "")
    assert flag(0.9, {}, REVIEW, usual).flagged is True


VOLUME = DatasetSpec(
    "d", "binary", classes=("a",), channels=("mr",), spatial_dims=3, size=(24, 32, 24), spacing_mm=(1, 1, 1)
)


def scan(seed: int) -> Tensor:
    """A scan of two organs in tissue, (1, i, j, k) and of unit variance, never twice in the same place and size."""
    rng = np.random.default_rng(seed)
    shape = np.array([24, 32, 24]) + rng.integers(-2, 3, 3)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij"))
    values = 0.1 * rng.standard_normal(shape)
    for centre, radius, value in (((-0.3, 0.2, 0.1), 0.4, 1.0), ((0.4, -0.3, 0.0), 0.3, -0.7)):
        off = places - (np.array(centre) + 0.05 * rng.standard_normal(3))[:, None, None, None]
        values += value / (1 + np.exp(25 * (np.sqrt((off**2).sum(axis=0)) - radius * rng.uniform(0.9, 1.1))))
    return torch.from_numpy((values - values.mean()) / values.std())[None].float()


def rescaled(image: Tensor) -> Tensor:
    return (image - image.mean()) / image.std()


OTHER_SCANS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": torch.randn_like,
    "inverted": lambda image: -image,
    "nothing": torch.zeros_like,
    "blurred": lambda image: rescaled(torch.nn.functional.avg_pool3d(image, 5, stride=1, padding=2)),
    "noisy": lambda image: rescaled(image + torch.randn_like(image)),
    "upside down": lambda image: image.flip(3).flip(2),
    "other axes": lambda image: image.permute(0, 3, 1, 2),
    "thresholded": lambda image: rescaled((image > 1).float()),
    "a part of it": lambda image: rescaled(image[:, :12, :16]),
}


@pytest.fixture(scope="module")
def usual_scans() -> Familiarity:
    return learn_familiarity([describe_case(scan(seed), None, {}, VOLUME) for seed in range(100)], [])


@pytest.mark.parametrize("kind", OTHER_SCANS)
def test_other_volumes_are_flagged_with_a_reason(usual_scans: Familiarity, kind: str) -> None:
    torch.manual_seed(0)
    for seed in (5000, 5001):
        found = flag(0.0, describe_case(OTHER_SCANS[kind](scan(seed)), None, {}, VOLUME), REVIEW, usual_scans)
        assert found.flagged is True
        assert found.reason.startswith("unlike the training images: ")


def test_new_volumes_of_the_same_kind_are_rarely_flagged(usual_scans: Familiarity) -> None:
    again = [flag(0.0, describe_case(scan(seed), None, {}, VOLUME), REVIEW, usual_scans) for seed in range(3000, 3060)]
    assert np.mean([one.flagged for one in again]) < 0.1


def test_an_answer_plays_no_part_in_what_a_volume_looks_like() -> None:
    image = scan(1)
    with_answer = describe_case(image, torch.randn(1, *image.shape[1:]), {}, VOLUME)
    for part, numbers in describe_case(image, None, {}, VOLUME).items():
        assert np.array_equal(with_answer[part], numbers)


@pytest.mark.parametrize("spec", [SPEC, VOLUME])
def test_a_description_of_nothing_is_of_the_same_kind(spec: DatasetSpec, usual_scans: Familiarity) -> None:
    if spec is VOLUME:
        usual_scans.check(empty_description(spec))
    else:
        with pytest.raises(ValueError, match="run medseg review again"):
            usual_scans.check(empty_description(spec))


def case_of(width: int, height: int, margin: float) -> tuple[Tensor, Tensor, dict]:
    """A picture between bars of `margin`, as the network takes it, the logits, and the meta."""
    image, logits = torch.full((3, 96, 96), (margin - 0.5) / 0.25), torch.full((1, 96, 96), 9.0)
    image[:, :, 24:72] = (torch.linspace(0.2, 0.8, 96)[None, :, None] - 0.5) / 0.25
    logits[:, :, 24:72] = -9.0
    return image, logits, {"spatial_shape": torch.tensor([width, height])}


def test_bars_do_not_count() -> None:
    dark, light = (describe_case(*case_of(200, 100, margin), SPEC) for margin in (0.0, 1.0))
    for part in dark:
        assert np.array_equal(dark[part], light[part])
    assert dark["light"][0] == pytest.approx(0.5, abs=0.01)


def test_the_transform_says_what_flag_says(usual: Familiarity) -> None:
    image, logits, meta = case_of(200, 100, 0.0)
    data = {"image": image, "pred": logits, "image_meta_dict": meta, "uncertainty": 0.7}
    answered = Flagd(spec=SPEC, review=REVIEW, familiarity=usual)(data)
    expected = flag(0.7, describe_case(image, logits, meta, SPEC), REVIEW, usual)
    assert (answered["flagged"], answered["reason"]) == expected
    assert answered["pred"] is logits


def test_what_was_learnt_on_other_channels_is_refused(usual: Familiarity) -> None:
    grey = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(96, 96))
    with pytest.raises(ValueError, match="run medseg review again"):
        Flagd(spec=grey, familiarity=usual)


PROMISE = Promise(0.6, 0.5, 0.25, None, cases=6, failures=1, passed=3, failures_passed=0)


@pytest.mark.parametrize(
    ("predicted", "reason"),
    [
        ({"lesion": 0.61}, ""),
        ({"lesion": 0.6}, "its mask may be poor: predicted Dice 0.60, flagged up to 0.60"),
        ({"liver": 0.9, "tumour": 0.25}, "its mask may be poor: predicted Dice of tumour 0.25, flagged up to 0.60"),
        ({"liver": 0.9, "tumour": 0.8}, ""),
    ],
)
def test_a_promise_flags_by_the_worst_predicted_dice(predicted: dict[str, float], reason: str) -> None:
    """Instead of the uncertainty, which would flag all of these."""
    assert flag(0.9, {}, REVIEW, None, predicted=predicted, promise=PROMISE) == (bool(reason), reason)


@pytest.mark.parametrize("promise", [None, replace(PROMISE, threshold=None, passed=0)])
def test_without_a_promise_that_can_be_kept_the_uncertainty_decides(promise: Promise | None) -> None:
    reason = "uncertain outline: uncertainty 0.90, flagged from 0.50"
    for predicted in ({"lesion": 0.1}, {}, None):
        assert flag(0.9, {}, REVIEW, None, predicted=predicted, promise=promise) == (True, reason)
    assert flag(0.9, {}, None, None, predicted={"lesion": 0.1}, promise=promise) == (None, "")
    assert flag(0.9, {}, REVIEW, None, predicted={}, promise=PROMISE) == (True, reason), "no Dice was predicted"


def test_the_numbers_of_a_mask_leave_out_the_bars_of_a_photograph_and_nothing_of_a_volume() -> None:
    logits, meta = torch.full((1, 96, 96), 9.0), {"spatial_shape": torch.tensor([200, 100])}
    logits[:, 24:72, 24:72] = -9.0
    (photo,) = number_case(logits, meta, SPEC)
    assert photo.size == pytest.approx(0.0, abs=1e-6)  # half of the 96 x 48 pixels of the photograph
    volume = DatasetSpec(
        "d", "binary", classes=("a",), channels=("mr",), spatial_dims=3, size=(4, 4, 4), spacing_mm=(1, 1, 1)
    )
    whole = {"spatial_shape": torch.tensor([4] * 3), "affine": torch.eye(4), "box": torch.tensor([[0, 4]] * 3)}
    (found,) = number_case(torch.tensor([9.0, -9.0, -9.0, -9.0])[:, None, None].expand(1, 4, 4, 4), whole, volume)
    assert found.size == pytest.approx(np.log(1 / 3))


def test_the_transform_adds_levels_of_outer_and_inner_masks_without_bars_and_calibrated() -> None:
    image, logits, meta = case_of(200, 100, 0.0)
    logits[:, :48] = 0.0
    calibration = Calibration((2.0,), cases=9, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)
    margins = Margins((0.05,), (0.45,), 0.9, 0.95, 30)
    data = {"image": image, "pred": logits, "image_meta_dict": meta, "uncertainty": 0.7}
    levels = Flagd(spec=SPEC, quality=Quality(calibration, margins=margins))(data)["margin_levels"]
    assert levels.shape == (2, 96, 48), "the photograph between the bars"
    # logits 0 and -9, calibrated: probabilities 0.5 and 1 / (1 + e^4.5)
    expected = [[0.45, 0.01098694 - 0.05], [0.05, 0.01098694 - 0.45]]
    assert levels[:, [0, 95], 20] == pytest.approx(np.array(expected), abs=1e-5)
    for unknown in (Quality(calibration), Quality(margins=Margins((None,), (None,), 0.9, 0.95, 3))):
        assert Flagd(spec=SPEC, quality=unknown)(data)["margin_levels"] is None


def test_that_nothing_was_found_is_the_reason_if_it_is() -> None:
    two = {"liver": 0.9, "tumour": 0.25}
    assert flag(0.1, {}, None, None, predicted={"lesion": 0.0}, promise=PROMISE, empty=["lesion"]).reason == (
        "nothing was found: predicted Dice 0.00, flagged up to 0.60"
    )
    for empty, what in (
        (["tumour"], "nothing of tumour was found"),
        (["liver"], "its mask may be poor"),
        ([], "its mask"),
    ):
        reason = flag(0.1, {}, None, None, predicted=two, promise=PROMISE, empty=empty).reason
        assert reason.startswith(what)
        assert reason.endswith("predicted Dice of tumour 0.25, flagged up to 0.60")
