import math

import pytest

from medseg_monai.audit.corrections import Correction
from medseg_monai.audit.evidence import MOST_NATS
from medseg_monai.audit.findings import LISTED_FROM, SOFT_NATS, Finding, judge, ranked, scores_again, with_twin

CLASSES = ("front", "back")


def correction(kind: str, *, evidence: float, explained: float, classes: tuple[int, ...] = (0,)) -> Correction:
    """One of weight 1 whose gain is large, so that nothing is discounted."""
    changed = 1e6
    return Correction(kind, classes, evidence * changed, changed, 0, f"is {kind}", whole=evidence * changed / explained)  # type: ignore[arg-type]


def test_the_evidence_is_the_greatest_and_the_name_that_of_what_explains_most() -> None:
    part = correction("missing part", evidence=5, explained=0.5, classes=(1,))
    whole = correction("another picture's mask", evidence=4, explained=0.9, classes=(0, 1))
    finding = judge("a", [part, whole], CLASSES, dices=(0.5, 0.25), origin="fold 2")
    assert finding.evidence == pytest.approx(5, rel=1e-3)
    assert (finding.kind, finding.classes, finding.reason) == (
        "another picture's mask",
        CLASSES,
        "its label is another picture's mask",
    )
    assert (finding.dice, finding.origin) == (0.375, "fold 2")


def test_weak_corrections_give_no_name_however_much_they_explain() -> None:
    part = correction("extra part", evidence=5, explained=0.1)
    assert judge("a", [part, correction("shifted", evidence=1, explained=0.9)], CLASSES).kind == "extra part"


def test_of_equal_explanations_the_error_of_the_whole_label_has_the_name() -> None:
    part, shift = (correction(kind, evidence=4, explained=0.5) for kind in ("missing part", "swapped classes"))
    assert judge("a", [part, shift], CLASSES).kind == "swapped classes"


def test_soft_edges_are_named_where_nothing_else_is_and_said_where_something_is() -> None:
    alone = judge("a", [], CLASSES, soft=True)
    assert (alone.kind, alone.evidence, SOFT_NATS) == ("soft outline", SOFT_NATS, math.log(2))
    more = judge("a", [correction("extra part", evidence=5, explained=1)], CLASSES, soft=True)
    assert (more.kind, more.reason) == ("extra part", "its label is extra part; its file has soft edges")
    assert judge("a", [], CLASSES) == Finding("a", "", (), 0.0, "no correction would make the label likelier")


def test_twins_are_certain_and_keep_what_else_was_found() -> None:
    fine = Finding("a", "extra part", ("front",), 1.0, "its label has a part")
    twin = with_twin(fine, "b (patient 2)")
    assert (twin.kind, twin.classes, twin.evidence) == ("twin of another patient", (), MOST_NATS)
    assert twin.reason == "its picture is nearly that of b (patient 2)"
    wrong = Finding("a", "extra part", ("front",), LISTED_FROM, "its label has a part")
    assert with_twin(wrong, "b").reason == "its picture is nearly that of b; also, its label has a part"


def test_the_rank_is_by_evidence_then_by_dice_then_by_name() -> None:
    rows = [("c", 1.0, 0.9), ("b", 1.0, 0.8), ("a", 1.0, 0.9), ("d", 2.0, 1.0)]
    findings = [Finding(case, "", (), evidence, "", (dice,)) for case, evidence, dice in rows]
    assert [one.case for one in ranked(findings)] == ["d", "b", "a", "c"]


def test_scores_again_are_means_over_cases() -> None:
    findings = [Finding(str(n), "", (), 0, "", (dice, dice)) for n, dice in enumerate((0.2, 0.8, 1.0))]
    assert scores_again(findings, findings[:1]) == {"all": pytest.approx(2 / 3), "without those listed": 0.9}
    assert scores_again(findings[:1], findings[:1]) == {"all": 0.2}
