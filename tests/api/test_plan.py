"""A plan from Python is the command's, and is written only where it is wanted."""

from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.planning.plan import read_plan


def test_a_plan_is_returned_shown_and_saved(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["size=[32, 32]", "max_epochs=1", "architecture#features=[4, 8]"]
    plan = mm.plan(data, "unet", quick=True, assignments=given)
    assert list(tmp_path.iterdir()) == []
    assert (plan.bundle, plan.dataset_dir) == ("unet", str(data.file))
    assert plan._repr_html_().startswith("<pre>")
    assert "bundle: unet" in plan._repr_html_()
    assert read_plan(plan.save(tmp_path / "p.yaml")) == plan
    assert mm.plan(data, "unet", quick=True, assignments=given, out=tmp_path / "q.yaml").bundle == "unet"
    assert (tmp_path / "q.yaml").is_file()


def test_two_presets_are_refused(data: ImageDataset) -> None:
    with pytest.raises(ValueError, match="not both"):
        mm.plan(data, quick=True, best=True)
