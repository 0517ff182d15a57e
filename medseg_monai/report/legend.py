"""What the numbers, flags and lines on the page of predictions mean, in words for its reader."""

from __future__ import annotations

from medseg_monai.bundle.trained import Trained
from medseg_monai.quality.conformal import Margins
from medseg_monai.quality.familiarity import Familiarity
from medseg_monai.quality.learnt import Quality
from medseg_monai.tuning.review import Review


def how_to_read(trained: Trained, *, lines_drawn: bool) -> list[tuple[str, str]]:
    """Terms with their explanations, in the order in which a reader needs them.

    Args:
        trained: what is known of the weights.
        lines_drawn: whether the pictures show the outer and the inner mask.
    """
    quality = trained.quality or Quality()
    terms = [("Flagged", _flagged(trained.review, trained.familiarity, quality))]
    if quality.dice is not None:
        terms.append(
            (
                "Predicted Dice",
                "how closely the mask probably agrees with an expert's, from 0 (not at all) to 1 (exactly).",
            )
        )
    terms.append(("Uncertainty", "0 is certain, 1 a coin toss, averaged over the pixels that may belong to a class."))
    if lines_drawn and quality.margins is not None and quality.margins.known:
        terms.append(("Thin lines", _lines(quality.margins)))
    return terms


def _flagged(review: Review | None, familiarity: Familiarity | None, quality: Quality) -> str:
    """Which masks a person should look at, and how far the others can be relied on."""
    promise = quality.promise
    sentences = []
    if promise is not None and promise.threshold is not None:
        sentences.append(
            f"a person should look at masks with a predicted Dice of {promise.threshold:.2f} or less. Then {promise.words}, "
            "if these images are like those of the validation split."
        )
    elif promise is not None:
        sentences.append(f"there is {promise}.")
    if review is not None and (promise is None or promise.threshold is None):
        sentences.append(
            f"{'a' if promise is None else 'A'} person should look at masks with an uncertainty of {review.threshold:.3f} or more. "
            f"In the validation split that flagged {review.flagged} of {review.cases} cases, including {review.caught} of the "
            f"{review.failures} with a Dice below {review.failure_dice:g}."
        )
    if familiarity is not None:
        sentences.append(
            f"Images unlike those of training ({familiarity.training} were examined) are flagged too; so were {familiarity.flagged} of "
            f"{familiarity.cases} images of the usual kind that this was not learnt from."
        )
    elif review is not None:
        sentences.append("This promises nothing for images of another kind.")
    if sentences:
        return " ".join(sentences)
    return (
        "nothing is, because it is not known for these weights which masks a person should look at: `medseg review` learns it "
        "from validation cases. The least certain cases come first."
    )


def _lines(margins: Margins) -> str:
    return (
        f"the outer mask contains {margins.cover:.0%} of the true one, and {margins.cover:.0%} of the inner mask lies within "
        f"the true one, each in {margins.rate:.0%} of cases like those of validation. The farther apart the lines are, the less certain "
        "the outline is."
    )
