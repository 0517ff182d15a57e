"""What a MONAI Label server says of its masks: predicted Dice, whether a person should look and why, as `medseg review` has learnt.

Run by `make test-label` in the environment that MONAI Label is installed in.
"""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from label_server import Server, label_server
from PIL import Image

from medseg_monai import Predictor

pytest.importorskip("monailabel")
requests = pytest.importorskip("requests")
pytestmark = pytest.mark.label

SAID = ("uncertainty", "predicted_dice", "flagged", "reason")
LESION, NOISE = "ISIC_0000253", "noise"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the shipped U-Net, a photograph of a lesion, and noise."""
    studies = tmp_path_factory.mktemp("studies")
    shutil.copy(REPOSITORY / "examples" / f"{LESION}.jpg", studies)
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(studies / f"{NOISE}.png")
    with label_server(studies, "unet", tmp_path_factory.mktemp("log") / "server.log") as running:
        yield running


def params(server: Server, image: str, output: str, model: str = "unet", **wanted: Any) -> dict[str, Any]:
    """The answer's JSON; with `output=all` it is a part of a form, as 3D Slicer and QuPath get it."""
    answer = server.post(f"/infer/{model}?image={image}&output={output}", data={"params": json.dumps(wanted)})
    assert answer.status_code == 200, answer.text
    if output == "json":
        return answer.json()
    boundary = answer.headers["content-type"].split("boundary=")[1].strip('"').encode()
    (part,) = [part for part in answer.content.split(b"--" + boundary) if b'name="params"' in part]
    return json.loads(part.split(b"\r\n\r\n", 1)[1])


@pytest.mark.parametrize("output", ["json", "all"])
@pytest.mark.parametrize(("image", "file"), [(LESION, f"{LESION}.jpg"), (NOISE, f"{NOISE}.png")])
def test_an_answer_says_of_its_mask_what_the_predictor_says(server: Server, image: str, file: str, output: str) -> None:
    said = params(server, image, output)
    alone = Predictor("unet", weights=REPOSITORY / "bundles" / "unet" / "models")(server.studies / file)
    assert said["predicted_dice"] == pytest.approx(dict(alone.predicted_dice), abs=2e-3)
    assert said["uncertainty"] == pytest.approx(alone.uncertainty, abs=2e-3)
    assert (said["flagged"], said["reason"].split(":")[0]) == (alone.flagged, alone.reason.split(":")[0])


def test_a_lesion_passes_and_noise_is_flagged_with_its_reason(server: Server) -> None:
    lesion, noise = params(server, LESION, "json"), params(server, NOISE, "json")
    assert (lesion["flagged"], lesion["reason"]) == (False, "")
    assert lesion["predicted_dice"]["lesion"] > 0.8
    assert noise["flagged"] is True
    assert noise["reason"].startswith("unlike the training images: ")


def test_a_mask_that_a_person_has_corrected_is_not_judged(server: Server) -> None:
    plain = params(server, LESION, "json", model="unet_clicks")
    assert plain["flagged"] is False
    corrected = params(server, LESION, "json", model="unet_clicks", foreground=[[5, 5]])
    assert corrected["clicks"] == 1
    assert {name: corrected[name] for name in SAID[1:]} == {"predicted_dice": {}, "flagged": None, "reason": ""}
