"""Where probabilities come from, and what is said of those that cannot be used."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from audited import HEIGHT, SPEC, WIDTH, sure, true_disc, write_discs
from PIL import Image

from medseg_monai.audit import answers
from medseg_monai.audit.answers import asked_answers, kept_answers, unseen_splits
from medseg_monai.dataset import Dataset, DatasetSpec, write_dataset
from medseg_monai.folds.split import fold_datasets


def keep(folder: Path, name: str, share: np.ndarray) -> Path:
    file = folder / f"{name}_probability.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(share * 255).T.astype(np.uint8)).save(file)
    return file


def by_folds(dataset: Dataset, folder: Path, count: int = 3) -> None:
    """What `medseg train --folds --keep-probabilities` leaves."""
    cases = [case for split in ("training", "validation") for case in dataset.cases(split)]
    fold_of = {case["id"]: number % count for number, case in enumerate(cases)}
    for number, fold in enumerate(fold_datasets(dataset, fold_of, count), 1):
        write_dataset(fold, folder / "data" / f"fold_{number}.json")
        for case in fold.cases("validation"):
            where = folder / f"fold_{number}" / "probabilities"
            keep(where, case["id"], sure(true_disc(int(case["id"][4:]))))


def test_each_case_is_answered_by_the_fold_that_has_not_seen_it(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path, split=lambda n: "test" if n > 9 else "validation" if n > 7 else "training")
    by_folds(dataset, tmp_path / "folds")
    found = kept_answers(tmp_path / "folds", dataset)
    assert sorted(found) == [f"case{number:02d}" for number in range(10)]
    assert [found[f"case{number:02d}"].origin for number in (0, 1, 5)] == ["fold 1", "fold 2", "fold 3"]
    case = dataset.cases("training")[4]
    shares = found["case04"].read(case)
    assert shares.shape == (1, WIDTH, HEIGHT)
    np.testing.assert_array_equal(shares[0] > 0.5, true_disc(4))


def test_a_case_of_that_name_but_another_image_is_not_answered(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    by_folds(write_discs(tmp_path / "a"), tmp_path / "folds")
    with pytest.raises(ValueError, match="holds no probabilities of the cases of discs"):
        kept_answers(tmp_path / "folds", write_discs(tmp_path / "b"))


def test_an_image_that_is_gone_keeps_none_from_the_others(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    by_folds(dataset, tmp_path / "folds")
    Path(dataset.cases("training")[0]["image"]).unlink()
    assert len(kept_answers(tmp_path / "folds", dataset)) == 11


def test_folds_without_probabilities_or_weights_say_so(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    by_folds(dataset, tmp_path / "folds")
    for number in (1, 2, 3):
        (tmp_path / "folds" / f"fold_{number}" / "probabilities").rename(tmp_path / f"elsewhere{number}")
    with pytest.raises(ValueError, match="discs: is the training finished, and of this data set"):
        kept_answers(tmp_path / "folds", dataset)


def test_a_folder_of_predictions_is_read_by_name(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path)
    named = [{**case, "id": f"patient/{case['id']}"} for case in dataset.cases("training")[:3]]
    ours = Dataset(SPEC, tmp_path, training=tuple({k: c[k] for k in ("id", "image", "label")} for c in named))
    keep(tmp_path / "masks", "patient/case00", sure(true_disc(0)))
    keep(tmp_path / "masks", "case01", sure(true_disc(1)))
    found = kept_answers(tmp_path / "masks", ours)
    assert {case: answer.origin for case, answer in found.items()} == dict.fromkeys(
        ("patient/case00", "patient/case01"), "predictions"
    )
    with pytest.raises(FileNotFoundError, match="no such folder"):
        kept_answers(tmp_path / "none", ours)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="discs: predict with --probabilities"):
        kept_answers(tmp_path / "empty", ours)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture", "case00_probability.png: cannot be read"),
        (None, r"No such file|no such file"),
        ("RGB", "case00_probability.png: not a map of probabilities: its pixels are RGB, not 8-bit grey"),
    ],
)
def test_files_that_are_no_maps_are_named(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    dataset = write_discs(tmp_path)
    file = keep(tmp_path / "masks", "case00", sure(true_disc(0)))
    answer = kept_answers(tmp_path / "masks", dataset)["case00"]
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is None:
        file.unlink()
    else:
        Image.new(content, (WIDTH, HEIGHT)).save(file)
    with pytest.raises((ValueError, OSError), match=message):
        answer.read(dataset.cases("training")[0])


def volumes(folder: Path, share: Mapping[str, np.ndarray], affine: np.ndarray | None = None) -> Any:
    """One scan with maps of two classes, and its answer."""
    spec = DatasetSpec(
        "scans", "multiclass", classes=("liver", "left kidney"), channels=("ct",), spatial_dims=3, spacing_mm=(1, 1, 1)
    )
    for name in ("scan.nii.gz", "label.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.eye(4)), folder / name)
    dataset = Dataset(spec, folder, training=({"image": "scan.nii.gz", "label": "label.nii.gz"},))
    for name, values in share.items():
        (folder / "masks").mkdir(exist_ok=True)
        image = nibabel.Nifti1Image(values.astype(np.float32), np.eye(4) if affine is None else affine)
        nibabel.save(image, folder / "masks" / f"scan_probability_{name}.nii.gz")
    return kept_answers(folder / "masks", dataset)["scan"], dataset.cases("training")[0]


def test_volumes_have_a_map_for_each_class(tmp_path: Path) -> None:
    share = np.random.default_rng(0).random((2, 6, 5, 4)) / 2
    answer, case = volumes(tmp_path, {"liver": share[0], "left_kidney": share[1]})
    np.testing.assert_allclose(answer.read(case), share, atol=3e-4)


def test_a_map_of_another_grid_or_of_other_values_is_refused(tmp_path: Path) -> None:
    share = {name: np.full((6, 5, 4), 0.5) for name in ("liver", "left_kidney")}
    answer, case = volumes(tmp_path, share, np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="scan_probability_liver.nii.gz: is up to .* mm away from its image"):
        answer.read(case)
    answer, case = volumes(tmp_path, {**share, "liver": np.full((6, 5, 4), 7.0)})
    with pytest.raises(ValueError, match="not a map of probabilities: its values are 7 to 7"):
        answer.read(case)


def test_maps_of_the_classes_have_one_size(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path, count=1)
    spec = DatasetSpec("discs", "multilabel", classes=("disc", "ring"), channels=("grey",), size=(48, 48))
    ours = Dataset(spec, tmp_path, training=dataset.training)
    for name, side in (("disc", 4), ("ring", 5)):
        keep(tmp_path / "masks", f"case00_{name}", np.full((side, 4), 0.5)).rename(
            tmp_path / "masks" / f"case00_probability_{name}.png"
        )
    answer = kept_answers(tmp_path / "masks", ours)["case00"]
    with pytest.raises(
        ValueError, match="case00_probability_disc.png: the probabilities of the classes differ in size"
    ):
        answer.read(ours.cases("training")[0])


def test_maps_of_pictures_go_from_zero_to_one(tmp_path: Path) -> None:
    dataset = write_discs(tmp_path, count=1)
    keep(tmp_path / "masks", "case00", np.array([[0, 0.2], [0.8, 1], [0.4, 0.6]]))
    found = kept_answers(tmp_path / "masks", dataset)["case00"].read(dataset.cases("training")[0])
    np.testing.assert_allclose(found, [[[0, 0.2], [0.8, 1], [0.4, 0.6]]], atol=1e-6)


def test_a_class_without_its_map_is_named(tmp_path: Path) -> None:
    answer, case = volumes(tmp_path, {"liver": np.full((6, 5, 4), 0.5)})
    with pytest.raises(OSError, match="left_kidney"):
        answer.read(case)


def test_weights_have_seen_what_they_were_trained_on() -> None:
    ours = SimpleNamespace(dataset=SPEC, training={})
    assert unseen_splits(ours, SPEC) == ("validation", "test")  # type: ignore[arg-type]
    folds = SimpleNamespace(dataset=SPEC, training={"folds": 5})
    assert unseen_splits(folds, SPEC) == ("test",)  # type: ignore[arg-type]
    other = DatasetSpec("others", "binary", classes=("disc",), channels=("grey",), size=(4, 4))
    assert unseen_splits(folds, other) == ("training", "validation", "test")  # type: ignore[arg-type]


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Weights of these discs, of which nothing but their description is there."""
    trained = SimpleNamespace(dataset=SPEC, training={})
    monkeypatch.setattr(answers, "find_weights", lambda root, weights, dataset: root / "models" / "model.pt")
    monkeypatch.setattr(answers.Trained, "read", lambda place: trained)
    return trained


def test_weights_answer_for_what_they_have_not_seen(tmp_path: Path, weights: SimpleNamespace) -> None:
    dataset = write_discs(tmp_path, split=lambda n: "test" if n > 9 else "validation" if n > 7 else "training")
    bundle = tmp_path / "unet"
    found = asked_answers(bundle, None, dataset)
    assert sorted(found) == ["case08", "case09", "case10", "case11"]
    assert {answer.origin for answer in found.values()} == {"unet"}
    chosen = asked_answers(bundle, None, dataset, splits=("training",), origin="fold 1")
    assert (len(chosen), chosen["case00"].origin) == (8, "fold 1")


def test_weights_that_cannot_answer_say_so(tmp_path: Path, weights: SimpleNamespace) -> None:
    dataset = write_discs(tmp_path)
    with pytest.raises(ValueError, match="was trained on discs and has seen all cases: leave the bundle out"):
        asked_answers(tmp_path / "unet", None, dataset)
    weights.dataset = DatasetSpec("rings", "binary", classes=("ring",), channels=("grey",), size=(4, 4))
    with pytest.raises(ValueError, match="the weights know ring, data set discs has disc"):
        asked_answers(tmp_path / "unet", None, dataset)


def test_folds_that_kept_nothing_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds whose weights are there, and one without: its cases have no answer."""
    dataset = write_discs(tmp_path)
    by_folds(dataset, tmp_path / "folds")
    for number in (1, 2, 3):
        (tmp_path / "folds" / f"fold_{number}" / "probabilities").rename(tmp_path / f"elsewhere{number}")
        if number < 3:
            (tmp_path / "folds" / f"fold_{number}" / "model.pt").write_bytes(b"")
    asked: list[Path] = []
    monkeypatch.setattr(answers.Trained, "read", lambda place: SimpleNamespace(bundle="unet"))
    monkeypatch.setattr(answers, "_Asked", lambda root, weights, assignments: asked.append(weights) or sure_of_nothing)
    found = kept_answers(tmp_path / "folds", dataset)
    assert {case: answer.origin for case, answer in found.items()} == {
        f"case{number:02d}": f"fold {number % 3 + 1}" for number in range(12) if number % 3 < 2
    }
    assert asked == [tmp_path / "folds" / f"fold_{number}" / "model.pt" for number in (1, 2)]
    assert found["case00"].read is sure_of_nothing


def sure_of_nothing(case: object) -> np.ndarray:
    return np.full((1, WIDTH, HEIGHT), 0.5, np.float32)


def test_a_name_that_two_images_share_answers_for_neither(tmp_path: Path) -> None:
    write_discs(tmp_path, count=2)
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for name in ("case00.png", "case00_mask.png"):
            (tmp_path / folder / name).write_bytes((tmp_path / name).read_bytes())
    cases = tuple({"image": f"{folder}/case00.png", "label": f"{folder}/case00_mask.png"} for folder in "ab")
    dataset = Dataset(SPEC, tmp_path, training=cases)
    keep(tmp_path / "masks", "case00", sure(true_disc(0)))
    with pytest.raises(ValueError, match="holds no probabilities"):
        kept_answers(tmp_path / "masks", dataset)
    keep(tmp_path / "masks", "b/case00", sure(true_disc(0)))
    assert list(kept_answers(tmp_path / "masks", dataset)) == ["b/case00"]
