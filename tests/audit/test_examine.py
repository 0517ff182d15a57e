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
