"""The way back: masks on the photograph's own grid, without shift, in files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import decollate_batch
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.transforms import load
from medseg_monai.transforms.batches import collate
from medseg_monai.transforms.cleaning import Cleaning, clean
from medseg_monai.transforms.decision import as_mask, probabilities, thresholded
from medseg_monai.transforms.postprocessing import AsMaskd, ClassMasksd, Restored, postprocess


def spec(size=(16, 12), task="binary", classes=("lesion",), aspect="stretch"):
    return DatasetSpec("d", task, classes=classes, channels=("grey",), size=size, aspect=aspect)


def ellipse(width, height, x=0.5, y=0.5, rx=0.3, ry=0.25):
    """(W, H) bool: a smooth shape given in shares of width and height."""
    i = (np.arange(width) + 0.5)[:, None] / width
    j = (np.arange(height) + 0.5)[None] / height
    return ((i - x) / rx) ** 2 + ((j - y) / ry) ** 2 < 1


def centre_of_mass(mask):
    """Mean pixel centre, (x, y)."""
    return np.argwhere(np.asarray(mask)).mean(axis=0) + 0.5


def files(folder, mask):
    """A case whose photograph is its own mask; `mask` is (W, H)."""
    Image.fromarray(mask.T.astype(np.uint8) * 255).save(folder / "m.png")
    return {"image": str(folder / "m.png"), "label": str(folder / "m.png")}


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
@settings(max_examples=40, deadline=None)
@given(
    original=st.tuples(st.integers(40, 400), st.integers(40, 400)),
    size=st.tuples(st.integers(48, 128), st.integers(48, 128)),
    centre=st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)),
)
def test_restore_undoes_load(tmp_path_factory, aspect, original, size, centre):
    mask = ellipse(*original, *centre)
    here = spec(size, aspect=aspect)
    loaded = load(here)(files(tmp_path_factory.mktemp("case"), mask))
    back = as_mask(PhotoGrid.of(original, here).restore(loaded["label"].float()), here)[0].numpy() > 0
    assert back.shape == original
    box = PhotoGrid.of(original, here).box
    pixel = max(original[0] / box.width, original[1] / box.height, 1.0)  # a network pixel, in the photograph's
    assert np.abs(centre_of_mass(back) - centre_of_mass(mask)).max() < 0.4 * pixel  # both edges may round one way
    assert (back & mask).sum() / (back | mask).sum() > 1 - 0.08 * pixel


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
@pytest.mark.parametrize("original", [(300, 200), (200, 300), (64, 48), (37, 90)])
def test_centred_shape_stays_centred(tmp_path, aspect, original):
    here = spec((64, 48), aspect=aspect)
    loaded = load(here)(files(tmp_path, ellipse(*original)))
    back = PhotoGrid.of(original, here).restore(loaded["label"].float())[0]
    # bars of unequal width (an odd remainder) are undone exactly, so the shape is symmetric again in both axes
    torch.testing.assert_close(back, back.flip(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(back, back.flip(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_off_centre_shape_keeps_its_place(tmp_path, aspect):
    mask = ellipse(500, 200, x=0.2, y=0.7, rx=0.1, ry=0.2)
    here = spec((128, 128), aspect=aspect)
    back = (
        as_mask(PhotoGrid.of((500, 200), here).restore(load(here)(files(tmp_path, mask))["label"].float()), here)[
            0
        ].numpy()
        > 0
    )
    np.testing.assert_allclose(centre_of_mass(back), centre_of_mass(mask), atol=0.5)
    assert (back & mask).sum() / (back | mask).sum() > 0.93


def test_restore_by_hand():
    """Doubling [0, 1] along x with pixel centres: 0, 1/4, 3/4, 1."""
    values = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    restored = PhotoGrid.of((4, 2), spec((2, 2))).restore(values)
    assert restored.shape == (1, 4, 2)
    assert restored[0, :, 0].tolist() == [0, 0.25, 0.75, 1]


def test_shrinking_takes_means_not_samples():
    values = torch.tensor([0.0, 1.0]).repeat(8)[None, :, None].expand(1, 16, 12)
    np.testing.assert_allclose(PhotoGrid.of((4, 12), spec()).restore(values.contiguous())[0, 1:3], 0.5, atol=0.02)


def test_whole_numbers_are_never_mixed():
    values = torch.tensor([[0, 2], [2, 0]], dtype=torch.uint8)[None]
    restored = PhotoGrid.of((5, 7), spec((2, 2))).restore(values)
    assert restored.dtype == torch.uint8
    assert restored.unique().tolist() == [0, 2]


def test_restoring_to_the_same_size_changes_nothing():
    values = torch.rand(2, 16, 12)
    assert torch.equal(PhotoGrid.of((16, 12), spec()).restore(values), values)


def test_map_on_another_grid():
    with pytest.raises(ValueError, match=r"shape \(1, 12, 16\), expected \(C, 16, 12\)"):
        PhotoGrid.of((30, 30), spec()).restore(torch.zeros(1, 12, 16))


def test_masks_by_task():
    probs = torch.tensor([0.2, 0.9, 0.6])[:, None, None]
    both = spec(task="multilabel", classes=("a", "b", "c"))
    assert as_mask(probs, both).flatten().tolist() == [0, 1, 1]
    assert as_mask(probs, both, threshold=0.7).flatten().tolist() == [0, 1, 0]
    one = spec(task="multiclass", classes=("a", "b"))
    assert as_mask(probs, one).flatten().tolist() == [1]
    assert as_mask(probs[:1], spec()).flatten().tolist() == [0]


def test_probabilities_by_task():
    logits = torch.tensor([0.0, np.log(3.0)])[:, None, None]
    np.testing.assert_allclose(probabilities(logits, spec()).flatten(), [0.5, 0.75], rtol=1e-6)
    one = spec(task="multiclass", classes=("a",))
    np.testing.assert_allclose(probabilities(logits.half(), one).flatten(), [0.25, 0.75], rtol=1e-3)


@pytest.mark.parametrize("threshold", [0, 1, 128, -0.5])
def test_threshold_must_be_a_probability(threshold):
    with pytest.raises(ValueError, match=f"threshold is {threshold}; it must lie between 0 and 1"):
        AsMaskd(spec=spec(), threshold=threshold)


def answer(probabilities):
    """A case with logits that give these probabilities, and a photograph twice the network's size."""
    probabilities = torch.as_tensor(probabilities, dtype=torch.float32)
    size = torch.tensor([2 * side for side in probabilities.shape[1:]])
    return {"pred": probabilities.logit(), "image_meta_dict": {"spatial_shape": size}}


def test_cleaning_counts_pixels_of_the_photograph():
    probs = torch.full((1, 6, 5), 0.01)
    probs[0, 1:3, 1:3] = 0.99  # 16 pixels there, less what bilinear corners lose
    probs[0, 5, 4] = 0.99
    here = spec((6, 5))
    plain = postprocess(here)(answer(probs))["pred"]
    size = int(plain[0, :9].sum())
    assert 12 <= size <= 16
    for least, expected in ((size, plain[:, :9]), (size + 1, torch.zeros_like(plain[:, :9]))):
        mask = postprocess(here, cleaning=Cleaning(min_size=least))(answer(probs))["pred"]
        assert mask.dtype == torch.uint8
        assert torch.equal(mask[:, :9], expected)
        assert not mask[:, 9:].any()


def test_thresholds_of_the_classes_and_the_one_that_wins():
    both = spec((2, 2), task="multilabel", classes=("a", "b"))
    probs = torch.tensor([0.45, 0.45])[:, None, None].expand(2, 2, 2)
    cleaning = Cleaning(threshold=(0.4, 0.6), min_size=2)
    for options, expected in (
        ({}, [0, 0]),
        ({"cleaning": cleaning}, [1, 0]),
        ({"cleaning": cleaning, "threshold": 0.3}, [1, 1]),
        ({"cleaning": Cleaning(threshold=(0.4, 0.6)), "threshold": 0.3}, [1, 1]),
        ({"cleaning": Cleaning()}, [0, 0]),
    ):
        mask = postprocess(both, **options)(answer(probs))["pred"]
        assert mask[:, 0, 0].tolist() == expected


@pytest.mark.parametrize("thresholds", [(), (0.35,), (0.3, 0.6)])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_thresholds_are_the_same_on_the_device(task, thresholds):
    here = spec(task=task, classes=("a", "b"))
    probs = torch.rand((here.out_channels, 6, 5), generator=torch.Generator().manual_seed(1))
    expected = clean(probs.numpy(), Cleaning(thresholds), task)
    assert np.array_equal(thresholded(probs, here, Cleaning(thresholds)), expected)


def test_volumes_are_cleaned_on_the_scans_grid_in_mm3():
    probs = torch.full((1, 6, 5, 4), 0.01)
    probs[0, :2, :2, :2] = probs[0, 5, 4, 3] = 0.99  # 8 voxels and 1, of 1 x 2 x 3 mm
    meta = {"spatial_shape": torch.tensor([6, 5, 4]), "affine": torch.diag(torch.tensor([1.0, 2, 3, 1]).double()),
            "box": torch.tensor([[0, 6], [0, 5], [0, 4]])}  # fmt: skip
    here = DatasetSpec("d", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(6, 5, 4), spacing_mm=(1, 2, 3),
                       intensity=Intensity("window", lower=0, upper=1))  # fmt: skip
    for least, expected in ((6, 9), (7, 8), (48, 8), (49, 0)):
        case = {"pred": probs.logit(), "image_meta_dict": meta}
        assert postprocess(here, cleaning=Cleaning(min_size=least))(case)["pred"].sum() == expected


def test_whole_way_from_file_to_file(tmp_path):
    """Two photographs of different sizes go through a batch; a network that answers with its input finds the bright part."""
    here = spec((32, 32), aspect="pad")
    masks = {"one": ellipse(90, 60), "deep/two": ellipse(70, 110, x=0.4)}
    cases = []
    for number, (name, mask) in enumerate(masks.items()):
        (tmp_path / str(number)).mkdir()
        cases.append({**files(tmp_path / str(number), mask), "id": name})
    batch = collate([load(here)(case) for case in cases])
    batch["pred"] = batch["image"].float() / 255 * 10 - 5
    for case in decollate_batch(batch):
        written = WritePredictions(tmp_path / "out", spec=here).write(case, postprocess(here)(case))
        assert written == [tmp_path / "out" / f"{case['id']}_mask.png"]
    for name, mask in masks.items():
        written = np.asarray(Image.open(tmp_path / "out" / f"{name}_mask.png")).T > 0
        assert written.shape == mask.shape
        assert (written & mask).sum() / (written | mask).sum() > 0.9


def test_restored_takes_the_size_from_the_image():
    case = {"pred": torch.zeros(1, 16, 12), "image_meta_dict": {"spatial_shape": torch.tensor([50, 20])}}
    assert Restored(spec=spec())(case)["pred"].shape == (1, 50, 20)


@pytest.mark.parametrize(
    ("task", "classes"), [("binary", ("a",)), ("multiclass", ("a", "b")), ("multilabel", ("a", "b"))]
)
def test_what_the_label_ignores_is_empty_in_both(task, classes):
    """Validation's metrics then see neither a hit nor a miss there."""
    rows = 2 if task == "multilabel" else 1
    pred = torch.ones(rows, 2, 2, dtype=torch.uint8)
    label = torch.ones(rows, 2, 2, dtype=torch.uint8)
    label[:, 0, 0] = 255
    case = ClassMasksd(("pred", "label"), spec=spec(task=task, classes=classes))({"pred": pred, "label": label})
    for key in ("pred", "label"):
        assert case[key].shape == (len(classes), 2, 2)
        assert case[key][0].tolist() == [[0, 1], [1, 1]]
    assert pred.all()
    assert (label == 255).any()
