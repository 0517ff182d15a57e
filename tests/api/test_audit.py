"""An audit from Python: what is doubtful, from weights at hand."""

from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.audit import LabelAudit
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.training import Training


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> LabelAudit:
    folder = tmp_path_factory.mktemp("audited") / "<i>out"
    return mm.audit(data, "unet", weights=training.folder, out=folder, listed_from=0)


def test_labels_are_ranked(found: LabelAudit, data: ImageDataset) -> None:
    assert found.finished
    assert found.found is not None
    judged = {one.case for one in found.found.findings}
    assert judged | set(found.not_judged) == {case.id for case in data}
    evidence = [one.evidence for one in found.listed]
    assert evidence == sorted(evidence, reverse=True)
    assert found.leave_out.read_text().count("\n") == len(found.listed) + 1


def test_it_draws_saves_and_shows_itself(found: LabelAudit, tmp_path: Path) -> None:
    drawn = [x for line in found.plot().axes[0].lines[:-1] for x in line.get_xdata()]
    assert found.found is not None
    assert sorted(drawn) == list(range(1, len(found.found.findings) + 1))
    assert found.save(tmp_path / "page.html").read_bytes() == found.page.read_bytes()
    page = found._repr_html_()
    assert found.listed[0].case in page
    assert "&lt;i&gt;out" in page
    assert "<i>" not in page


def test_a_stopped_one_says_how_to_go_on(tmp_path: Path) -> None:
    stopped = LabelAudit(tmp_path, None)
    assert not stopped.finished
    assert (stopped.listed, dict(stopped.not_judged)) == ([], {})
    assert "the same call goes on" in stopped._repr_html_()
    with pytest.raises(ValueError, match="the same call goes on"):
        stopped.plot()


def test_contradictions_are_refused(data: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        mm.audit(data, "unet", probabilities=tmp_path)
    with pytest.raises(ValueError, match="needs the name of their bundle"):
        mm.audit(data, weights="isic2017")
    with pytest.raises(ValueError, match="part of a data set"):
        mm.audit(data.test)
