"""Answers beside the truth, case by case."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.answers import answered_cases
from medseg_monai.inference.cases import CaseStream

SPEC = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(8, 8))


def test_each_case_comes_with_its_truth_and_bad_ones_are_put_aside(tmp_path: Path) -> None:
    """One answer was not usable; one label is no picture; in the third the second column is the class."""
    Image.fromarray(np.array([[0, 255, 0, 0]] * 5, np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("nothing")
    cases = [
        {"id": name, "image": str(tmp_path / "good.png"), "label": str(tmp_path / file)}
        for name, file in (("unanswered", "good.png"), ("bad", "bad.png"), ("good", "good.png"))
    ]
    seen = torch.full((3, 2, 2), 0.5)
    batch = [{"id": case["id"], "image": seen, "image_meta_dict": {"spatial_shape": (4, 5)}} for case in cases]
    output = [{"pred": None}, {"pred": torch.zeros(1, 4, 5)}, {"pred": torch.ones(1, 4, 5)}]
    engine = SimpleNamespace(state=SimpleNamespace(batch=batch, output=output))
    stream = CaseStream(cases, dict)
    (found,) = answered_cases(engine, stream, {case["id"]: case for case in cases}, SPEC)  # type: ignore[arg-type]
    assert (found.case["id"], found.grid.own_shape, found.answer["pred"].sum()) == ("good", (4, 5), 20)
    assert found.truth.tolist() == [[[0] * 5, [1] * 5, [0] * 5, [0] * 5]]
    assert found.image is seen
    assert len(stream.failures) == 1
    assert "bad.png" in stream.failures[0].reason
