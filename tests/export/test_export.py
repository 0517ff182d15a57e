"""Exports give torch's answers at any size, carry their spec, and a wrong one is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import need, spec_of
from torch import nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.convert import FORMATS, SUFFIXES, convert, to_onnx, to_torchscript
from medseg_monai.export import export as exporting
from medseg_monai.export.export import Parity, export, generated_images, parity_file, sample_images
from medseg_monai.export.exported import format_of, open_exported, read_facts
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.label_volumes import write_label_volume

each_format = pytest.mark.parametrize("fmt", FORMATS)


def trained_unetpp() -> tuple[Trained, nn.Module]:
    torch.manual_seed(0)
    arguments = {"in_channels": 3, "out_channels": 3, "features": [4, 6, 8], "stem_stride": 2}
    trained = Trained(spec_of(), {"_target_": "medseg_monai.networks.UNetPlusPlus", **arguments}, "unetpp")
    return trained, trained.build_network().eval()


@each_format
def test_same_answers_at_other_batches_and_sizes_and_the_spec_inside(fmt, tmp_path):
    need(fmt)
    trained, network = trained_unetpp()
    file = tmp_path / f"model{SUFFIXES[fmt]}"
    parity = export(trained, network, file, fmt)
    assert (parity.dynamic_batch, parity.dynamic_size, parity.mask_dice) == (True, True, 1.0)
    run = open_exported(file)
    for shape in ((2, 3, 48, 64), (1, 3, 37, 50), (3, 3, 96, 32)):
        images = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(run(images), network(images), rtol=1e-3, atol=1e-4)
    carried = read_facts(file)
    assert DatasetSpec.from_dict(carried["spec"]["dataset"]) == trained.dataset
    assert carried["metadata"]["output"]["channels"] == ["background", "liver", "spleen"]
    assert carried["metadata"]["input"]["axes"] == ["batch", "channel", "width", "height"]
    report = json.loads(parity_file(file).read_text())
    assert report["max_abs_logit_difference"] < 1e-4
    assert {path.suffix for path in tmp_path.iterdir()} <= {SUFFIXES[fmt], ".bin", ".json"}


def test_sample_volumes_are_looked_for_in_folders(tmp_path):
    array = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
    write_label_volume(array, Geometry((6, 5, 4), np.eye(4)), tmp_path / "ct.nii.gz")
    intensity = Intensity("window", lower=0, upper=100)
    spec = DatasetSpec(
        "ct", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(16, 16, 16), intensity=intensity
    )
    assert [tuple(image.shape) for image in sample_images(spec, [tmp_path])] == [(1, 6, 5, 4)]


def test_a_file_with_other_answers_is_refused_and_an_older_one_stays(tmp_path, monkeypatch):
    trained, network = trained_unetpp()
    file = tmp_path / "model.ts"
    file.write_text("older")

    def wrong(network, spec, file, fmt, *, facts):
        altered = trained.build_network().eval()
        to_torchscript(altered, spec, file, facts=facts)

    monkeypatch.setattr("medseg_monai.export.export.convert", wrong)
    with pytest.raises(ValueError, match="was not written, because its answers differ from torch's"):
        export(trained, network, file, "torchscript")
    assert [path.name for path in tmp_path.iterdir()] == ["model.ts"]
    assert file.read_text() == "older"


def test_a_file_that_its_runtime_does_not_take_is_refused(tmp_path, monkeypatch):
    need("onnx")
    monkeypatch.setattr(
        "medseg_monai.export.export.convert", lambda network, spec, file, fmt, *, facts: file.write_bytes(b"no ONNX")
    )
    with pytest.raises(ValueError, match="was not written, because it does not run"):
        export(*trained_unetpp(), tmp_path / "model.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_not_a_number_is_refused(tmp_path):
    trained, network = trained_unetpp()
    with torch.no_grad():
        next(network.heads["x_0_2"].parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="was not written"):
        export(trained, network, tmp_path / "model.ts", "torchscript")


@pytest.mark.parametrize(("fmt", "package"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_its_extra(fmt, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    trained, network = trained_unetpp()
    with pytest.raises(ImportError, match=f"medseg-monai.{package}."):
        export(trained, network, tmp_path / f"model{SUFFIXES[fmt]}", fmt)


def test_training_mode_unknown_formats_and_suffixes_are_refused(tmp_path):
    trained, network = trained_unetpp()
    with pytest.raises(ValueError, match="eval mode"):
        to_onnx(network.train(), trained.dataset, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="did you mean 'onnx'"):
        convert(network, trained.dataset, tmp_path / "model.onnx", "onx")
    with pytest.raises(ValueError, match="a onnx file must end in .onnx"):
        export(trained, network, tmp_path / "model.ts", "onnx")
    with pytest.raises(ValueError, match="the suffix of an exported file must be one of"):
        format_of(Path("model.pt"))


def test_generated_images_are_about_as_varied_as_normalised_ones():
    for image in generated_images(spec_of(), (48, 64)):
        assert image.shape == (3, 48, 64)
        assert 0.5 < image.std() < 4


def test_command_takes_sample_images_and_names_mistakes(tmp_path, trained, demo_data, medseg):
    out = tmp_path / "model.ts"
    ended = medseg("export", "unetpp", "--weights", trained, "--out", out, "--samples", demo_data / "images")
    assert ended.code == 0, ended.err
    assert json.loads(parity_file(out).read_text())["samples"] == "images"
    assert read_facts(out)["spec"]["dataset"]["name"] == "demo"
    wrong = medseg("export", "unetpp", "--weights", trained, "--out", out, "--format", "onx")
    assert (wrong.code, "did you mean 'onnx'" in wrong.err) == (1, True)
    unknown = medseg("export", "unetpp", "--weights", trained, "--out", tmp_path / "x.ts", "--set", "depth=1")
    assert unknown.code == 1
    assert "depth" in unknown.err


@pytest.mark.parametrize(
    ("difference", "largest", "dice", "holds"),
    [
        (0.02, 20.0, 1.0, True),  # a thousandth of the largest logit
        (0.0201, 20.0, 1.0, False),
        (0.001, 0.1, 1.0, True),  # of small ones a thousandth of 1
        (0.0011, 0.1, 1.0, False),
        (0.0, 20.0, 0.9, False),
        (0.0, 20.0, float("nan"), False),
        (float("nan"), 20.0, 1.0, False),
    ],
)
def test_a_file_may_replace_the_network_if_logits_and_masks_agree(difference, largest, dice, holds):
    parity = Parity("x.onnx", "onnx", "UNet", "images", 4, difference, largest, dice, True, True, True, {})
    assert parity.holds == holds


@pytest.mark.parametrize(
    ("scale", "run", "same"),
    [
        (4.0, lambda images: images + 0.0035, True),
        (4.0, lambda images: images + 0.0045, False),
        (0.5, lambda images: images + 0.0009, True),
        (0.5, lambda images: images + 0.0015, False),
        (4.0, lambda images: images[:1], False),  # an answer for the first of three equal images
        (4.0, lambda images: images.reshape(5, 7), False),  # a runtime's error
    ],
)
def test_another_shape_has_the_networks_answer_or_is_not_free(scale, run, same):
    assert exporting._same(nn.Identity(), run, torch.full((3, 1, 4, 4), scale)) == same
