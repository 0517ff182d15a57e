import warnings
from pathlib import Path

import numpy as np
import pytest
from audited import SPEC, disc, right_answers, sure, true_disc, write_discs
from PIL import Image, ImageFilter

from medseg_monai.audit.examine import Looked, examine, expected_masks, findings_of, look_at
from medseg_monai.dataset import DatasetSpec


def looked_at(number: int, label: np.ndarray) -> Looked:
    return Looked(label[None], sure(true_disc(number))[None], None)


def test_a_label_and_its_probabilities_are_on_the_images_grid(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    case = dataset.cases("training")[3]
    looked = look_at(case, right_answers(dataset), SPEC)
    np.testing.assert_array_equal(looked.masks[0], true_disc(3))
    np.testing.assert_array_equal(looked.probabilities[0] > 0.5, true_disc(3))
    assert not looked.soft


def test_a_file_with_soft_edges_is_noticed_without_a_warning(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    case = dataset.cases("training")[3]
    with Image.open(case["label"]) as mask:
        mask.filter(ImageFilter.GaussianBlur(1)).save(case["label"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look_at(case, right_answers(dataset), SPEC).soft


def test_probabilities_of_another_size_are_refused(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    case, other = dataset.cases("training")[:2]
    Image.new("L", (10, 9)).save(case["label"])
    Image.new("RGB", (10, 9)).save(case["image"])
    with pytest.raises(ValueError, match="its probabilities have 60x48 pixels, and its label 10x9"):
        look_at(case, right_answers(dataset), SPEC)
    assert look_at(other, right_answers(dataset), SPEC).masks.any()


def test_the_wrong_labels_of_many_come_first_each_with_its_kind() -> None:
    labels = {number: true_disc(number) for number in range(12)}
    labels[3] = disc(50, 40, 5)
    labels[5] = np.zeros_like(labels[5])
    cases = [{"id": f"case{number:02d}", "group": str(number)} for number in labels]
    chance = np.random.default_rng(0)
    examined = [
        examine(case, looked_at(number, label), _unlike(chance), SPEC, temperature=(1.0,), origin="fold 1")
        for case, (number, label) in zip(cases, labels.items(), strict=True)
    ]
    findings = findings_of(examined, SPEC.classes)
    assert {one.case for one in findings[:2]} == {"case03", "case05"}
    assert {one.case: one.kind for one in findings}["case05"] == "empty by mistake"
    assert [one.evidence for one in findings[2:]] == [0.0] * 10
    assert [one.dice for one in findings[2:]] == [1.0] * 10


@pytest.mark.parametrize(
    ("shape", "spatial", "lies"), [((48, 48), 2, True), ((48, 40), 2, False), ((20, 20, 9), 3, False)]
)
def test_only_a_square_picture_may_have_its_axes_exchanged(shape: tuple[int, ...], spatial: int, lies: bool) -> None:
    truth = np.zeros((1, *shape), bool)
    truth[0, 2:8, 11:17] = True
    label = np.zeros_like(truth)
    label[0, 11:17, 2:8] = True
    spec = DatasetSpec("x", "binary", classes=("a",), channels=("g",), spatial_dims=spatial, size=shape)  # type: ignore[arg-type]
    case = {"id": "a", "group": "a"}
    found = examine(case, Looked(label, sure(truth), None), np.zeros(4), spec, temperature=(1.0,))
    assert any("axes exchanged" in one.words for one in found.corrections) == lies


def test_labels_of_two_pictures_that_were_exchanged_name_each_other() -> None:
    places = [(15, 15, 8), (45, 15, 8), (15, 35, 8), (45, 35, 8)]
    chance, truths = np.random.default_rng(0), [disc(*place) for place in places]
    examined = [
        examine(
            {"id": name, "group": name}, Looked(truths[label][None], sure(truth)[None], None), _unlike(chance), SPEC,
            temperature=(1.0,),
        )
        for name, truth, label in zip("abcd", truths, (1, 0, 2, 3), strict=True)
    ]  # fmt: skip
    first, second, *others = findings_of(examined, SPEC.classes)
    assert {(one.case, one.reason) for one in (first, second)} == {
        ("a", "its label fits the picture of b better than its own"),
        ("b", "its label fits the picture of a better than its own"),
    }
    assert {first.kind, second.kind} == {"another picture's mask"}
    assert [one.kind for one in others] == ["", ""]


def test_twins_say_how_far_their_labels_agree() -> None:
    same = _unlike(np.random.default_rng(1))
    cases = [{"id": name, "group": name} for name in "ab"]
    half = true_disc(0).copy()
    half[:22] = False
    labels = [true_disc(0), half]
    examined = [
        examine(case, looked_at(0, label), same, SPEC, temperature=(1.0,))
        for case, label in zip(cases, labels, strict=True)
    ]
    chance = np.random.default_rng(2)
    for name in "cdefgh":
        other = {"id": name, "group": name}
        examined.append(examine(other, looked_at(0, true_disc(0)), _unlike(chance), SPEC, temperature=(1.0,)))
    findings = {one.case: one for one in findings_of(examined, SPEC.classes)}
    assert {findings[name].kind for name in "ab"} == {"twin of another patient"}
    assert findings["a"].reason.startswith("its picture is nearly that of b (patient b); their labels agree to Dice 0.")
    assert "also, its label lacks a part of disc" in findings["b"].reason


def test_the_likeliest_class_must_be_likelier_than_the_background() -> None:
    spec = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=("grey",), size=(4, 4))
    probabilities = np.array([[[0.3, 0.4, 0.1]], [[0.3, 0.35, 0.1]]], np.float32)
    assert expected_masks(probabilities, spec).tolist() == [[[False, True, False]], [[False, False, False]]]


def test_classes_that_may_overlap_need_not_be_the_likeliest() -> None:
    spec = DatasetSpec("x", "multilabel", classes=("a", "b"), channels=("grey",), size=(4, 4))
    probabilities = np.array([[[0.8, 0.4]], [[0.6, 0.3]]], np.float32)
    assert expected_masks(probabilities, spec).tolist() == [[[True, False]], [[True, False]]]


def test_frames_without_patients_are_not_ranked_as_twins(caplog: pytest.LogCaptureFixture) -> None:
    same = _unlike(np.random.default_rng(1))
    examined = [
        examine({"id": name, "group": name}, looked_at(0, true_disc(0)), same, SPEC, temperature=(1.0,))
        for name in "abcd"
    ]
    assert [one.kind for one in findings_of(examined, SPEC.classes)] == [""] * 4
    assert "6 pairs of pictures are nearly the same" in caplog.text


def _unlike(chance: np.random.Generator) -> np.ndarray:
    """Details of a picture like no other."""
    values = chance.normal(size=4096).astype(np.float32)
    return values / np.float32(np.linalg.norm(values))
