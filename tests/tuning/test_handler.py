from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from tuned_cases import ONE, discs

from medseg_monai.bundle.trained import Trained
from medseg_monai.inference.cases import CaseStream
from medseg_monai.tuning.handler import TuneCleaning


def test_the_result_goes_beside_the_weights(tmp_path: Path) -> None:
    """The handler on answers whose disc is faint; then once more on clear ones, which need nothing."""
    trained = Trained(ONE, {"_target_": "monai.networks.nets.BasicUNet"}, "unet", {"best_epoch": 3})
    trained.write(tmp_path)
    cases = []
    for number, truth in enumerate(discs()):
        Image.fromarray(truth.T.astype(np.uint8) * 255).save(tmp_path / f"{number}.png")
        file = str(tmp_path / f"{number}.png")
        cases.append({"id": str(number), "group": str(number), "image": file, "label": file})
    for faint, expected in ((0.42, 1), (0.9, None)):
        handler = TuneCleaning(CaseStream(cases, dict), weights=tmp_path, folder=tmp_path / "tuning")
        batch = [{"id": case["id"], "image_meta_dict": {"spatial_shape": (16, 16)}} for case in cases]
        output = [{"probability": torch.from_numpy(np.where(truth, faint, 0.1))[None]} for truth in discs()]
        engine = SimpleNamespace(state=SimpleNamespace(batch=batch, output=output))
        handler._keep(engine)
        handler._tune(engine)
        found = Trained.read(tmp_path)
        assert found.training == trained.training
        assert (found.cleaning and len(found.cleaning.threshold)) == expected
        assert handler.tuning.after == {"lesion": 1}
        assert "Dice on 20 cases" in (tmp_path / "tuning" / "tuning.md").read_text()
