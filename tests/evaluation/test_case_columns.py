"""Columns and annotators' masks: found by the cases' names, from the data set and from a table or folder."""

import pytest
from PIL import Image

from medseg_monai.evaluation.case_columns import annotator_masks, case_columns

CASES = [{"id": "a", "strata": (("centre", "Graz"), ("age", 40))}, {"id": "b"}, {"id": "sub/c"}]


def table(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "table.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_the_data_set_and_a_table_are_put_together(tmp_path):
    file = table(tmp_path, "image_id;scanner;centre\na.jpg;X;Linz\nb;Y;\nunknown;Z;Z\n")
    assert case_columns(CASES) == {"a": {"centre": "Graz", "age": "40"}, "b": {}, "sub/c": {}}
    assert case_columns(CASES, file) == {
        "a": {"centre": "Linz", "age": "40", "scanner": "X"}, "b": {"scanner": "Y", "centre": ""}, "sub/c": {},
    }  # fmt: skip


@pytest.mark.parametrize("column", ["case", "id"])
def test_other_names_of_the_first_column_and_other_encodings(tmp_path, column):
    file = table(tmp_path, f"{column}\tscanner\nsub/c\tX\n", "utf-16")
    assert case_columns(CASES, file)["sub/c"] == {"scanner": "X"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,scanner\na,X\n",
            "expected a column image_id, case or id, and others; its first line has: name, scanner",
        ),
        ("image_id\na\n", "and others"),
        ("image_id,scanner\na,X\na.png,Y\n", "line 3: case 'a.png' is named for the second time"),
        ("image_id,scanner\nx,X\n", "names none of the 3 cases; one of them is 'a'"),
        ("", "its first line has: nothing"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        case_columns(CASES, table(tmp_path, text))


def test_cases_that_a_table_lacks_are_named(tmp_path, caplog):
    case_columns(CASES, table(tmp_path, "image_id,scanner\na,X\n"))
    assert "2 of 3 cases are not in the table: b, sub/c" in caplog.text
    with pytest.raises(FileNotFoundError, match="no such file; expected a CSV"):
        case_columns(CASES, tmp_path / "nowhere.csv")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return str(path)


def test_masks_are_found_by_the_cases_names(tmp_path):
    ann = [picture(tmp_path / "ann" / name) for name in ("a_mask.png", "b_mask.png", "b_mask_1.png")]
    ben = picture(tmp_path / "ben" / "sub" / "c_segmentation.png")
    (tmp_path / "notes.txt").write_text("x")
    cases = [{"id": "a", "annotators": (("zoe", "z.png"), ("ann", "older.png"))}, *CASES[1:]]
    found = annotator_masks(cases, tmp_path, spatial_dims=2)
    assert found == {"a": {"zoe": "z.png", "ann": ann[0]}, "b": {"ann": ann[1:]}, "sub/c": {"ben": ben}}
    assert annotator_masks(cases, None, spatial_dims=2)["a"] == {"zoe": "z.png", "ann": "older.png"}


def test_volumes_too(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "a.nii.gz").write_bytes(b"")
    assert annotator_masks(CASES, tmp_path, spatial_dims=3)["a"] == {"ann": str(tmp_path / "ann" / "a.nii.gz")}


def test_folders_that_do_not_fit_are_refused(tmp_path, caplog):
    with pytest.raises(FileNotFoundError, match="expected one with a folder of masks for each annotator"):
        annotator_masks(CASES, tmp_path / "nowhere", spatial_dims=2)
    with pytest.raises(ValueError, match="has no folders"):
        annotator_masks(CASES, tmp_path, spatial_dims=2)
    picture(tmp_path / "ann" / "x.png")
    with pytest.raises(ValueError, match="none of its 1 masks is named like a case; one of them is 'a'"):
        annotator_masks(CASES, tmp_path, spatial_dims=2)
    picture(tmp_path / "ann" / "a.png")
    annotator_masks(CASES, tmp_path, spatial_dims=2)
    assert "1 masks belong to none of the cases" in caplog.text
