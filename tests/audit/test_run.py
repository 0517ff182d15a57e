from pathlib import Path

import numpy as np
import pytest
from audited import disc, right_answers, true_disc, write_discs
from PIL import Image

from medseg_monai.audit.answers import MISSING, Answer
from medseg_monai.audit.run import audit_dataset, facts_of, learn_temperature
from medseg_monai.dataset import DatasetSpec


def test_a_wrong_label_is_listed_and_every_case_is_accounted_for(tmp_path: Path) -> None:
    split = lambda n: "test" if n > 9 else "training"  # noqa: E731
    dataset = write_discs(tmp_path, {4: disc(50, 10, 5), 7: b"no picture"}, split=split)
    answers = right_answers(dataset)
    del answers["case11"]
    audit = audit_dataset(dataset, answers, listed_from=2)
    assert [one.case for one in audit.listed] == ["case04"] == [audit.findings[0].case]
    assert len(audit.findings) == 10
    assert audit.not_judged.keys() == {"case07", "case11"}
    assert audit.not_judged["case11"] == MISSING
    assert "case07_mask.png" in audit.not_judged["case07"]
    assert audit.failed == 1, "the other has no probabilities"
    assert audit.splits["case11"] == "test"
    # nine labels agree with the network, one not at all
    assert audit.dice == {"all": pytest.approx(0.9), "without those listed": pytest.approx(1.0)}
    assert facts_of(audit)["mean Dice"] == {"all": 0.9, "without those listed": 1.0}


def test_probabilities_that_cannot_be_read_leave_the_others(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)

    def broken(case: object) -> np.ndarray:
        raise OSError("the disk\nis broken")

    audit = audit_dataset(dataset, {**right_answers(dataset), "case02": Answer("fold 1", broken)})
    assert audit.not_judged == {"case02": "the disk is broken"}
    assert len(audit.findings) == 11


def test_if_nothing_can_be_judged_the_first_reason_is_said(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path, count=2)
    with pytest.raises(ValueError, match="no case of discs could be judged: it has no probabilities"):
        audit_dataset(dataset, {})


def test_the_limit_decides_what_is_listed(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path, {4: disc(50, 10, 5)})
    audit = audit_dataset(dataset, right_answers(dataset), listed_from=0)
    assert len(audit.listed) == len(audit.findings) == 12
    assert audit.dice.keys() == {"all"}
    assert not audit_dataset(dataset, right_answers(dataset), listed_from=7).listed


def test_a_network_that_is_too_sure_is_believed_less(tmp_path: Path) -> None:
    """A fifth of each label is wrong at random, but the network is sure to 98 %: ln 49 becomes ln 4."""
    labels = {n: true_disc(n) ^ (np.random.default_rng(n).random((60, 48)) < 0.2) for n in range(8)}
    dataset = write_discs(tmp_path, labels, count=8)
    (temperature,) = learn_temperature(dataset.spec, dataset.cases("training"), right_answers(dataset))
    assert temperature == pytest.approx(np.log(49) / np.log(4), rel=0.05)
    assert learn_temperature(dataset.spec, [], {}) == (1.0,)


def test_of_exclusive_classes_the_background_is_one_too(tmp_path: Path) -> None:
    """0.97 for the class and 0.015 for each of the two others; of the labels a tenth is each of the others: ln 64.7 becomes ln 8."""
    spec = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=("g",), size=(60, 48))
    truth = np.arange(60)[:, None] // 20 + np.zeros((1, 48), int)
    chance = np.random.default_rng(0).random(truth.shape)
    label = (truth + (chance < 0.1) + 2 * (chance > 0.9)) % 3
    Image.fromarray(label.T.astype(np.uint8)).save(tmp_path / "label.png")
    case = {"id": "x", "image": str(tmp_path / "label.png"), "label": str(tmp_path / "label.png")}
    shares = np.stack([np.where(truth == number, 0.97, 0.015) for number in (1, 2)]).astype(np.float32)
    found = learn_temperature(spec, [case], {"x": Answer("fold 1", lambda case: shares)})
    assert found == pytest.approx([np.log(0.97 / 0.015) / np.log(8)] * len(found), rel=0.05)


def test_labels_that_are_wrong_altogether_do_not_make_the_network_look_too_sure(tmp_path: Path) -> None:
    """A fifth of each label is wrong at random; three more labels are empty or elsewhere, and the temperature stays as it was."""
    labels = {n: true_disc(n) ^ (np.random.default_rng(n).random((60, 48)) < 0.2) for n in range(8)}
    wrong = {2: disc(0, 0, 0), 5: disc(50, 8, 6), 7: disc(55, 40, 4)}
    for name in "ab":
        (tmp_path / name).mkdir()
    clean, mixed = (
        write_discs(tmp_path / "a", labels, count=8),
        write_discs(tmp_path / "b", {**labels, **wrong}, count=8),
    )
    temperatures = [learn_temperature(one.spec, one.cases("training"), right_answers(one)) for one in (clean, mixed)]
    assert temperatures[1] == pytest.approx(temperatures[0], rel=0.02)


def test_if_most_labels_disagree_altogether_all_count(tmp_path: Path) -> None:
    """Perhaps it is the network that is wrong: it must not be believed then."""
    dataset = write_discs(tmp_path, {n: disc(55, 40, 4) for n in range(5)}, count=8)
    (temperature,) = learn_temperature(dataset.spec, dataset.cases("training"), right_answers(dataset))
    assert temperature > 1.3, "the three that agree, alone, would say that the network is too unsure"


def test_what_is_left_out_makes_evidence_no_stronger_than_the_networks_own_probabilities(tmp_path: Path) -> None:
    """Two labels of eight are elsewhere; without them the network would seem too unsure, but perhaps it failed there."""
    labels = {2: disc(55, 40, 4), 6: disc(52, 10, 3)}
    dataset = write_discs(tmp_path, labels, count=8)
    assert learn_temperature(dataset.spec, dataset.cases("training"), right_answers(dataset)) == (1.0,)
