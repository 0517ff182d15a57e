"""`medseg explain` from end to end: maps at the image's own size, where they belong; what is said when there is nothing to show."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import REPOSITORY, Outcome
from explanations import Brightness
from monai.bundle import ConfigWorkflow
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.cases import ExplainCases, MapSettings, channels_of
from medseg_monai.explain.layers import LayerError
from medseg_monai.explain.regions import with_truth
from medseg_monai.files.csv_tables import read_records
from medseg_monai.inference.cases import CaseStream, find_cases
from medseg_monai.inference.inferer import case_inferer
from medseg_monai.transforms import Pipeline, load, normalise, postprocess

Medseg = Callable[..., Outcome]


def table(folder: Path, name: str = "explanations.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def explainer(folder: Path, images: Path, spec: DatasetSpec, **settings) -> ExplainCases:
    stream = CaseStream(find_cases(images, spec=spec), Pipeline([load(spec, keys=("image",)), normalise(spec)]))
    return ExplainCases(
        stream,
        network=Brightness(spec.out_channels, spec.spatial_dims, spec.in_channels),
        inferer=case_inferer(spec, precision="fp32", device="cpu"),
        postprocessing=postprocess(spec),
        spec=spec,
        folder=folder,
        device="cpu",
        settings=MapSettings(**settings),
    )


def photo_spec(**options) -> DatasetSpec:
    return DatasetSpec(**{
        "name": "x", "task": "binary", "classes": ("spot",), "channels": ("grey",), "size": (32, 32), **options,
    })  # fmt: skip


def spot(folder: Path, name: str = "spot.png", value: int = 250) -> Path:
    """A picture 60 wide and 40 high with a bright spot on the right, near the top."""
    plane = np.full((40, 60), 20, dtype=np.uint8)
    plane[4:14, 42:54] = value  # (H, W)
    folder.mkdir(exist_ok=True)
    Image.fromarray(plane).save(folder / name)
    return folder / name


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_the_map_is_hot_where_the_network_looks(tmp_path, aspect):
    spot(tmp_path / "in")
    run = explainer(tmp_path / "out", tmp_path / "in", photo_spec(aspect=aspect))
    run.run()
    assert [(row.method, row.layer, row.note) for row in run.rows] == [
        ("cam", "last_stage", ""), ("gradcam", "bottleneck", ""),
    ]  # fmt: skip
    for row in run.rows:
        values = pixels(tmp_path / "out" / row.map).astype(int)
        assert values.shape == (40, 60)
        assert (values.min(), values.max()) == (0, 255)
        assert values[6:12, 44:52].min() > 200  # the picture's order, (H, W): not turned, not mirrored
        assert values[20:, :].max() < 30
        assert values[:, :36].max() < 30
        assert row.heat_inside > 0.6
        assert row.region_pixels == pytest.approx(120, abs=40)
    assert pixels(tmp_path / "out" / "spot_explain.png").ndim == 3
    # 6.7 at the most, (250 / 255 - 0.5) / 0.25 * 4 - 1; the region's border is darker
    assert 4 < run.rows[0].score < 6.7


def test_a_class_that_is_not_predicted_is_noted_and_the_others_are_done(tmp_path, caplog):
    spot(tmp_path / "in")
    spec = photo_spec(task="multilabel", classes=("spot", "stripe"))
    run = explainer(tmp_path / "out", tmp_path / "in", spec, methods=["gradcam"])
    run.run()
    (there, absent) = run.rows
    assert (there.class_name, there.map) == ("spot", "spot_gradcam_bottleneck_spot.png")
    assert (absent.note, absent.map, absent.score) == ("stripe is not predicted here", "", None)
    assert "stripe: no map: stripe is not predicted here" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "explanations.csv", "spot_explain.png", "spot_gradcam_bottleneck_spot.png",
    ]  # fmt: skip


def test_a_dead_class_has_a_map_of_zeros_and_a_note(tmp_path, caplog):
    spot(tmp_path / "in")
    spec = photo_spec(task="multilabel", classes=("spot", "stripe"))
    run = explainer(tmp_path / "out", tmp_path / "in", spec, classes=["stripe"], region="image")
    run.run()
    assert [row.note for row in run.rows] == [
        "constant map: no place counts more than another", "dead gradient: it is 0 everywhere at layer bottleneck",
    ]  # fmt: skip
    assert all(pixels(tmp_path / "out" / row.map).max() == 0 for row in run.rows)
    assert all(row.heat_inside is None for row in run.rows)
    assert "spot: stripe: the gradcam map is empty: dead gradient" in caplog.text


@pytest.mark.parametrize(("region", "drawn"), [("pixel:47,8", 1), ("predicted", None), ("image", None)])
def test_a_region_is_outlined_if_the_panel_does_not_show_it_anyway(tmp_path, region, drawn):
    run = explainer(tmp_path, spot(tmp_path / "in"), photo_spec(), methods=["gradcam"], region=region)
    (item,) = run.dataset
    outlined = run.explain_class(run.look_at(item), "spot").region
    assert (None if outlined is None else outlined.sum()) == drawn


def test_nothing_at_all_still_has_a_panel(tmp_path):
    spot(tmp_path / "in", value=20)
    run = explainer(tmp_path / "out", tmp_path / "in", photo_spec())
    run.run()
    assert {row.note for row in run.rows} == {"spot is not predicted here"}
    assert (tmp_path / "out" / "spot_explain.png").is_file()


def test_what_an_earlier_run_wrote_of_other_maps_goes(tmp_path):
    spot(tmp_path / "in")
    (tmp_path / "out").mkdir()
    earlier = ("checks.csv", "checks.md", "checks.png", "report.html")
    for name in earlier:
        (tmp_path / "out" / name).write_text("of other weights")
    explainer(tmp_path / "out", tmp_path / "in", photo_spec()).run()
    assert not any((tmp_path / "out" / name).exists() for name in earlier)


def test_a_pixel_is_a_region(tmp_path):
    spot(tmp_path / "in")
    inside = explainer(tmp_path / "out", tmp_path / "in", photo_spec(), methods=["gradcam"], region="pixel:47,8")
    outside = explainer(tmp_path / "out", tmp_path / "in", photo_spec(), methods=["gradcam"], region="pixel:8,35")
    for run in (inside, outside):
        run.run()
    assert inside.rows[0].score > 5
    assert outside.rows[0].score == pytest.approx(-1)
    assert outside.rows[0].region_pixels == 1
    beyond = explainer(tmp_path / "out", tmp_path / "in", photo_spec(), region="pixel:8,47")
    beyond.run()
    assert "is not inside the image (60x40)" in beyond.dataset.failures[0].reason
    assert beyond.rows == []


def test_a_layer_that_is_not_there_stops_at_once(tmp_path):
    spot(tmp_path / "in")
    with pytest.raises(LayerError, match=r"did you mean 'bottleneck'\?"):
        explainer(tmp_path / "out", tmp_path / "in", photo_spec(), layers=["botleneck"])


def test_rows_are_kept_when_the_run_breaks_off(tmp_path, monkeypatch):
    for name in ("a", "b"):
        spot(tmp_path / "in", f"{name}.png")
    run = explainer(tmp_path / "out", tmp_path / "in", photo_spec(), methods=["gradcam"])
    draw = ExplainCases.draw

    def stopped(self, scan, views):
        if scan.case["id"] == "b":
            raise KeyboardInterrupt
        draw(self, scan, views)

    monkeypatch.setattr(ExplainCases, "draw", stopped)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert "a" in {row["case"] for row in read_records(tmp_path / "out" / "explanations.csv")}


def test_classes_by_name():
    spec = photo_spec(task="multiclass", classes=("a", "b"))
    assert channels_of(["b", "a"], spec) == {"b": 2, "a": 1}  # channel 0 is the background
    assert channels_of(["a"], photo_spec(task="multilabel", classes=("a", "b"))) == {"a": 0}
    with pytest.raises(ValueError, match="'background': the background cannot be explained"):
        channels_of(["background"], spec)
    with pytest.raises(ValueError, match=r"unknown class 'spott' \(did you mean 'spot'\?\)"):
        channels_of(["spott"], photo_spec())


def test_layers_are_for_grad_cam_alone():
    settings = MapSettings(methods=("cam", "gradcam"), layers=("a", "b"))
    assert settings.pairs() == [("cam", "last_stage"), ("gradcam", "a"), ("gradcam", "b")]
    with pytest.raises(ValueError, match=r"'gradcamp' \(did you mean"):
        MapSettings(methods=("gradcamp",))


@pytest.mark.parametrize("flipped", [False, True])
def test_volumes_have_their_map_on_the_scans_grid(tmp_path, flipped):
    values = np.full((24, 20, 12), 0.1, dtype=np.float32)
    values[16:21, 3:7, 2:5] = 1
    affine = np.diag([-1.0 if flipped else 1.0, 1, 2, 1])
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "in" / "scan.nii.gz")
    spec = photo_spec(
        size=(8, 8, 8), spatial_dims=3, spacing_mm=(1, 1, 2), intensity=Intensity("window", lower=0, upper=1)
    )
    run = explainer(tmp_path / "out", tmp_path / "in", spec, methods=["cam", "gradcam", "gradcampp"])
    run.run()
    assert [row.note for row in run.rows] == ["", "", ""]
    for row in run.rows:
        image = nibabel.load(tmp_path / "out" / row.map)
        found = image.get_fdata()
        assert np.array_equal(image.affine, affine)
        assert found.shape == values.shape
        assert (found.min(), found.max()) == (0, 1)
        assert found[17:20, 4:6, 3].min() > 0.5
        assert found[:14].max() < 0.1
        assert row.score == pytest.approx(7, abs=0.5)  # (1 - 0.5) / 0.25 * 4 - 1
    assert (tmp_path / "out" / "scan_explain.png").is_file()


def test_three_channels_of_a_volume_are_no_colours(tmp_path):
    values = np.full((24, 20, 12, 3), 0.2, dtype=np.float32)
    values[16:21, 3:7, 2:5, 0] = 1
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "in" / "scan.nii.gz")
    spec = photo_spec(
        channels=("t1", "t2", "flair"), size=(8, 8, 8), spatial_dims=3, spacing_mm=(1, 1, 1),
        intensity=Intensity("window", lower=0, upper=1),
    )  # fmt: skip
    run = explainer(tmp_path / "out", tmp_path / "in", spec, methods=["cam"], region="image")
    run.run()
    panel = pixels(tmp_path / "out" / "scan_explain.png")[..., :3].astype(int)
    shown = panel[: panel.shape[0] * 3 // 4, : panel.shape[1] // 5]  # the input, without the key below
    assert np.ptp(shown, axis=2).max() == 0


def test_a_mask_is_a_region_of_a_volume(tmp_path):
    values = np.full((24, 20, 12), 0.1, dtype=np.float32)
    values[16:21, 3:7, 2:5] = 1
    drawn = np.zeros(values.shape, dtype=np.uint8)
    drawn[16:18, 3:7, 2:5] = 1
    for folder, array in (("in", values), ("masks", drawn)):
        (tmp_path / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1, 2, 1])), tmp_path / folder / "scan.nii.gz")
    spec = photo_spec(
        size=(8, 8, 8), spatial_dims=3, spacing_mm=(1, 1, 2), intensity=Intensity("window", lower=0, upper=1)
    )
    for region in (tmp_path / "masks", tmp_path / "masks" / "scan.nii.gz"):
        run = explainer(tmp_path / "out", tmp_path / "in", spec, methods=["cam"], region=f"mask:{region}")
        run.run()
        assert [(row.region_pixels, row.note) for row in run.rows] == [(2 * 4 * 3, "")]
        assert run.rows[0].score == pytest.approx(7, abs=1e-4)
    assert with_truth(run.dataset.data, tmp_path / "masks", spec)[0]["label"] == str(tmp_path / "masks" / "scan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(drawn, np.diag([1.0, 1, 3, 1])), tmp_path / "masks" / "scan.nii.gz")
    other = explainer(tmp_path / "out", tmp_path / "in", spec, region=f"mask:{tmp_path / 'masks'}")
    other.run()
    assert other.rows == []
    assert "scan.nii.gz" in other.dataset.failures[0].reason


def test_the_command_does_all_it_can(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    (photographs / "clinic").mkdir(parents=True)
    first, second = sorted((demo_data / "images").iterdir())[:2]
    shutil.copy(first, photographs / "clinic")
    Image.fromarray(pixels(second)).resize((131, 57)).save(photographs / "b.png")
    (photographs / "broken.jpg").write_bytes(b"no picture")
    outcome = medseg("explain", "unetpp", photographs, "-w", trained, "--out", out, "--region", "image", "--check")
    assert outcome.code == 1
    assert "4 maps of 2 images" in outcome.out
    assert "1 of 3 images could not be used" in outcome.err
    assert "broken.jpg" in (out / "failures.csv").read_text()
    rows = table(out)
    assert list(rows[0])[:7] == ["case", "class", "layer", "method", "region", "score", "note"]
    assert {row["case"] for row in rows} == {"b", f"clinic/{first.stem}"}
    sizes = {row["map"]: pixels(out / row["map"]).shape for row in rows}
    assert sizes["b_cam_last_stage.png"] == (57, 131)
    assert sizes[f"clinic/{first.stem}_gradcam_bottleneck.png"] == (80, 96)
    assert (out / "clinic" / f"{first.stem}_explain.png").is_file()
    assert "| region first |" in outcome.out
    checks = table(out, "checks.csv")
    assert {row["check"] for row in checks} == {"deletion", "insertion", "rank correlation", "ssim"}
    assert {row["stage"] for row in checks} == {"", "heads", "nodes", "encoder"}
    assert all(0 <= float(row["value"]) <= 1 for row in checks if row["check"] in ("deletion", "insertion"))
    assert (out / "checks.png").is_file()


def test_truth_by_data_set_adds_a_column_and_is_a_region(
    medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path
) -> None:
    image = sorted((demo_data / "images").iterdir())[0]
    explain = ("explain", "unetpp", image, "-w", trained, "--method", "cam", "--out")
    assert medseg(*explain, tmp_path / "a", "--truth", demo_data, "--region", "truth").code == 0
    assert medseg(*explain, tmp_path / "b", "--region", "image").code == 0
    with_truth, without = (pixels(tmp_path / name / f"{image.stem}_explain.png") for name in "ab")
    assert with_truth.shape[1] > without.shape[1]
    outcome = medseg(*explain, tmp_path / "c", "--region", "truth")
    assert "unknown: name it with --truth" in outcome.err


def test_mistakes_end_in_one_line(medseg: Medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    explain = ("explain", "unetpp", demo_data / "images", "-w", trained, "--out", tmp_path)
    for options, message in (
        (("--class", "leson"), "unknown class 'leson' (did you mean 'lesion'?)"),
        (("--layer", "botleneck", "--region", "image"), "has no layer 'botleneck' (did you mean 'bottleneck'?)"),
        (("--method", "gradcan"), "unknown method 'gradcan' (did you mean 'gradcam'?)"),
        (("--region", "predictd"), "did you mean 'predicted'?"),
    ):
        outcome = medseg(*explain, *options)
        assert outcome.code == 1
        assert message in outcome.err.splitlines()[-1]


def test_layers_are_listed(medseg: Medseg, trained: Path) -> None:
    outcome = medseg("explain", "unetpp", "--layers", "-w", trained)
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows[0] == ["layer", "channels", "stride"]
    assert ["bottleneck", "8", "4", "Grad-CAM's", "default"] in rows
    assert ["last_stage", "4", "1", "CAM's", "default"] in rows


@pytest.mark.parametrize("run_id", ["explaining", "run", ""])
def test_monai_runs_the_config(run_id, demo_data, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    image = sorted((demo_data / "images").iterdir())[0]
    workflow = ConfigWorkflow(
        config_file="bundles/unetpp/configs/explain.json", workflow_type="infer", run_id=run_id, logging_file=False,
        dataset_dir=str(image), output_dir=str(tmp_path), weights=str(trained), region="image",
    )  # fmt: skip
    workflow.initialize()
    workflow.run()
    assert len(table(tmp_path)) == 2
