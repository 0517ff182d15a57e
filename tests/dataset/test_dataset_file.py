import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from monai.data import load_decathlon_datalist

from medseg_monai.dataset import Dataset, DatasetSpec, check_dataset, read_dataset, write_dataset
from medseg_monai.dataset.cases import as_written
from medseg_monai.transforms.batches import collate

SPEC = DatasetSpec("x", "binary", classes=["lesion"], channels=["red", "green", "blue"], size=[192, 128])
ORGANS = DatasetSpec("y", "multilabel", classes=["liver", "spleen"], channels=["grey"], size=[64, 64])


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def case(name: str, **more: object) -> dict:
    return {"image": f"images/{name}.jpg", "label": f"masks/{name}.png", **more}


def small(root: Path, **changes) -> Dataset:
    """Three cases a, b, c, one in each split, whose files exist."""
    for name in "abc":
        touch(root, f"images/{name}.jpg", f"masks/{name}.png")
    splits = {"training": [case("a")], "validation": [case("b")], "test": [case("c")]}
    return Dataset(SPEC, root, **{**splits, **changes})


def written(root: Path, **changes) -> Path:
    content = {**SPEC.to_dict(), "training": [case("a")], **changes}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_write_and_read_give_the_same(tmp_path):
    dataset = small(tmp_path, training=[case("a", group="p1", fold=2, id="A")])
    assert read_dataset(write_dataset(dataset, tmp_path)) == dataset == read_dataset(tmp_path)
    check_dataset(dataset)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json", "images", "masks"]


def test_cases_have_absolute_paths_id_and_group(tmp_path):
    dataset = small(tmp_path, training=[case("a", group=7, fold=2)])
    assert dataset.cases("training") == [
        {
            "image": str(tmp_path / "images/a.jpg"),
            "label": str(tmp_path / "masks/a.png"),
            "id": "a",
            "group": "7",
            "fold": 2,
        }
    ]
    assert dataset.cases("test")[0]["group"] == "c"
    with pytest.raises(ValueError, match=r"unknown split 'tets' .did you mean 'test'"):
        dataset.cases("tets")


def test_ids_are_paths_where_names_repeat(tmp_path):
    images = [f"images/{name}" for name in ("p1/s.jpg", "p2/s.jpg", "p2/t.nii.gz", "p2/u.png")]
    cases = [{"image": image, "label": "m.png"} for image in images]
    dataset = Dataset(SPEC, tmp_path, training=cases[:1], test=cases[1:])
    assert [c["id"] for c in dataset.cases("test")] == ["p2/s", "p2/t", "p2/u"]
    assert [c["id"] for c in dataset.cases("training")] == ["p1/s"]
    same_folder = Dataset(SPEC, tmp_path, training=[{"image": f"s.{e}", "label": "m.png"} for e in ("jpg", "png")])
    assert [c["id"] for c in same_folder.cases("training")] == ["s.jpg", "s.png"]


def test_monai_reads_the_same_cases(tmp_path):
    dataset = small(tmp_path, training=[case("a", group="p1")])
    file = write_dataset(dataset, tmp_path)
    for split in ("training", "validation", "test"):
        ours = [(c["image"], c["label"]) for c in dataset.cases(split)]
        assert [(c["image"], c["label"]) for c in load_decathlon_datalist(file, data_list_key=split)] == ours


def test_written_elsewhere_the_paths_still_lead_to_the_files(tmp_path):
    dataset = small(tmp_path / "raw")
    elsewhere = read_dataset(write_dataset(dataset, tmp_path / "deep" / "out"))
    assert elsewhere.training[0]["image"] == "../../raw/images/a.jpg"
    assert elsewhere.cases("test") == dataset.cases("test")


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    file = write_dataset(small(tmp_path), tmp_path)
    before = file.read_text()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_dataset(small(tmp_path, test=[]), tmp_path)
    assert file.read_text() == before
    assert not list(tmp_path.glob(".*"))


def test_yaml_by_hand(tmp_path):
    content = {**SPEC.to_dict(), "training": [case("a", group=17)]}
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(content))
    dataset = read_dataset(tmp_path)
    assert dataset.spec == SPEC
    assert dataset.cases("training")[0]["group"] == "17"
    written(tmp_path)
    with pytest.raises(ValueError, match=r"contains dataset.json and dataset.yaml; name one of the files"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "dataset.yaml") == dataset


@pytest.mark.parametrize(
    ("language", "name", "groups"), [("yaml", "wounds", ["p01", "p01", "p02"]), ("json", "abdomen", ["a"])]
)
def test_examples_in_the_documentation_are_right(tmp_path, language, name, groups):
    text = (REPOSITORY / "docs" / "datasets.md").read_text(encoding="utf-8")
    (example,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / f"dataset.{language}").write_text(example)
    dataset = read_dataset(tmp_path)
    assert dataset.spec.name == name
    assert [case["group"] for case in dataset.cases("training")] == groups
    touch(
        tmp_path,
        *(path for split in (dataset.training, dataset.validation, dataset.test) for c in split for path in flat(c)),
    )
    check_dataset(dataset)


def flat(case: dict) -> list[str]:
    return [case["image"], *([case["label"]] if isinstance(case["label"], str) else case["label"])]


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder or file"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="has no dataset.json; make one with `medseg prepare`"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainig": []}, "unknown key 'trainig' .did you mean 'training'"),
        ({"training": []}, "has no case in training, validation or test"),
        ({"training": {"image": "a"}}, "training: expected a list of cases, got dict"),
        ({"test": ["a.png"]}, r"test\[0\]: a case must be a mapping with image and label, got 'a.png'"),
        ({"training": [{"image": "a.png"}]}, r"training\[0\]: the key 'label' is missing"),
        ({"training": [case("a", lable="x")]}, r"training\[0\]: unknown key 'lable' .did you mean 'label'"),
        (
            {"training": [case("a"), {"image": 5, "label": "x"}]},
            r"training\[1\]: image must be a path or a list of paths, got 5",
        ),
        ({"training": [{"image": "a", "label": []}]}, r"training\[0\]: label must be a path"),
        (
            {"training": [{"image": ["a", "b"], "label": "x"}]},
            r"training\[0\]: 2 image files for 3 channels .red, green, blue.",
        ),
        (
            {"task": "multiclass", "classes": ["a", "b", "c"], "training": [{"image": "a", "label": ["x", "y"]}]},
            r"training\[0\]: 2 mask files do not match the class list .* .3: a, b, c.; give 1 or 3",
        ),
        ({"training": [case("a", id="../../etc/x")]}, r"training\[0\]: the id names files, it cannot be"),
    ],
)
def test_each_mistake_in_the_file_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'dataset.json'}: ") + message):
        read_dataset(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not valid JSON: .* line 1"), ("[]", "expected a mapping of keys")]
)
def test_a_file_that_is_no_json(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path)


def test_yaml_that_is_none_and_bytes_that_are_no_text(tmp_path):
    (tmp_path / "dataset.yml").write_text("a: [1")
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_dataset(tmp_path)
    (tmp_path / "dataset.yml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        read_dataset(tmp_path)


def test_multilabel_has_a_mask_for_each_class(tmp_path):
    cases = [{"image": "a.png", "label": ["l.png", "s.png"]}]
    label = Dataset(ORGANS, tmp_path, training=cases).cases("training")[0]["label"]
    assert label == [str(tmp_path / "l.png"), str(tmp_path / "s.png")]


def test_up_to_four_classes_share_a_mask_file_with_a_band_each(tmp_path):
    case = {"image": "a.png", "label": "m.png"}
    assert Dataset(ORGANS, tmp_path, training=[case]).cases("training")[0]["label"] == str(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"do not match the class list .* .2: liver, spleen.; give 1 or 2"):
        Dataset(ORGANS, tmp_path, training=[case | {"label": ["l.png"] * 3}])
    five = replace(ORGANS, classes=tuple("abcde"))
    with pytest.raises(ValueError, match="1 mask files do not match the class list .*; give 5"):
        Dataset(five, tmp_path, training=[case])


def test_neighbouring_slices_are_a_file_each(tmp_path):
    spec = replace(ORGANS, channels=("-1", "0", "+1"), slice_stride=1)
    case = {"image": ["1.png", "2.png", "3.png"], "label": "m.png"}
    assert Dataset(spec, tmp_path, training=[case]).cases("training")[0]["id"] == "2"
    with pytest.raises(ValueError, match="1 image files for 3 channels .*; give one per slice"):
        Dataset(spec, tmp_path, training=[case | {"image": "2.png"}])


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ("liver", "present must be a list of classes, got 'liver'"),
        (["livre"], "unknown class 'livre' .did you mean 'liver'"),
    ],
)
def test_present_names_classes(tmp_path, present, message):
    case = {"image": "a.png", "label": "m.png"}
    assert Dataset(ORGANS, tmp_path, training=[case | {"present": ["liver"]}]).training[0]["present"] == ["liver"]
    with pytest.raises(ValueError, match=message):
        Dataset(ORGANS, tmp_path, training=[case | {"present": present}])


def test_missing_files_are_listed_five_and_counted(tmp_path):
    dataset = small(tmp_path, test=[case(str(i)) for i in range(4)])
    with pytest.raises(FileNotFoundError, match=r"8 of 12 files are missing: .*0.jpg, .*2.jpg and 3 more"):
        check_dataset(dataset)


def test_group_in_two_splits_is_refused(tmp_path):
    dataset = small(tmp_path, training=[case("a", group="p1")], test=[case("c", group="p1")])
    with pytest.raises(ValueError, match=r"1 groups are in more than one split: p1 .training, test."):
        check_dataset(dataset)


def test_identical_content_in_two_splits_is_refused(tmp_path):
    dataset = small(tmp_path)
    (tmp_path / "images/c.jpg").write_bytes((tmp_path / "images/a.jpg").read_bytes())
    with pytest.raises(ValueError, match=r"1 images with identical content .*training: .*a.jpg = test: .*c.jpg"):
        check_dataset(dataset)
    check_dataset(dataset, contents=False)


def test_one_id_for_two_cases_is_refused(tmp_path):
    dataset = small(tmp_path, training=[case("a", id="c")])
    with pytest.raises(ValueError, match="1 ids belong to more than one case: c"):
        check_dataset(dataset)


def test_annotators_and_strata_of_a_case(tmp_path):
    for name in ("a.png", "m.png", "ann.png"):
        (tmp_path / name).write_bytes(b"x")
    case = {
        "image": "a.png",
        "label": "m.png",
        "annotators": {"ann": "ann.png", "ben": "gone.png"},
        "strata": {"age": 40},
    }
    dataset = Dataset(SPEC, tmp_path, test=[case])
    (found,) = dataset.cases("test")
    assert found["annotators"] == (("ann", str(tmp_path / "ann.png")), ("ben", str(tmp_path / "gone.png")))
    assert found["strata"] == (("age", 40),)
    with pytest.raises(FileNotFoundError, match=r"1 of 4 files are missing: .*gone.png"):
        check_dataset(dataset)
    write_dataset(dataset, tmp_path / "below")
    written = read_dataset(tmp_path / "below").test[0]
    assert written["annotators"] == {"ann": "../ann.png", "ben": "../gone.png"}
    assert written["strata"] == {"age": 40}
    assert collate([found, {"id": "b", "image": "b.png"}]).keys() == {
        "image",
        "label",
        "id",
        "group",
    }  # nothing that a batch lacks
    again = Dataset(SPEC, tmp_path, test=[as_written(found)])
    assert again.cases("test") == [found]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"annotators": ["ann.png"]}, r"test\[0\]: annotators must be a mapping of names to masks"),
        ({"annotators": {"ann": ""}}, "annotators: ann must have a path or a list of paths, got ''"),
        ({"annotators": {"ann": 3}}, "annotators: ann must have a path"),
        ({"strata": "Wien"}, "strata must be a mapping of columns to a text or a number each, got 'Wien'"),
        ({"strata": {"centre": ["Wien"]}}, "strata must be a mapping"),
    ],
)
def test_annotators_and_strata_of_another_form_are_refused(tmp_path, extra, message):
    with pytest.raises(ValueError, match=message):
        Dataset(SPEC, tmp_path, test=[{"image": "a.png", "label": "m.png", **extra}])
