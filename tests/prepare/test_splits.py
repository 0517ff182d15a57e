import hashlib
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.files.csv_tables import csv_text
from medseg_monai.prepare.splits import (
    draw_splits,
    fractions_for,
    read_leave_out,
    read_splits,
    read_table,
    split_named,
    table_of_splits,
)


def alone(n: int) -> dict[str, str]:
    return {f"case{i}": f"case{i}" for i in range(n)}


def test_shares_are_exact_where_they_can_be():
    assert Counter(draw_splits(alone(200)).values()) == {"training": 140, "validation": 30, "test": 30}
    assert Counter(draw_splits(alone(10), fractions=(0.5, 0.2, 0.3)).values()) == {
        "training": 5,
        "validation": 2,
        "test": 3,
    }


def test_no_split_is_empty_even_with_three_cases():
    assert Counter(draw_splits(alone(3)).values()) == {"training": 1, "validation": 1, "test": 1}
    assert set(draw_splits(alone(4), fractions=(0.8, 0, 0.2)).values()) == {"training", "test"}


def test_known_split_of_six_groups():
    # the order is that of blake2b("0:<group>"), computed here by hand from the definition, cut at 4.2 and 5.1 of 6
    order = sorted("abcdef", key=lambda g: hashlib.blake2b(f"0:{g}".encode()).digest())
    expected = dict(zip(order, ["training"] * 4 + ["validation", "test"], strict=True))
    assert draw_splits({name: name for name in "fbdace"}) == expected


@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=40),
    seed=st.integers(0, 5),
)
def test_groups_stay_whole_and_shares_come_near(sizes, seed):
    groups = {f"{g}-{i}": f"g{g}" for g, size in enumerate(sizes) for i in range(size)}
    split = draw_splits(groups, seed=seed)
    by_group = {(group, split[name]) for name, group in groups.items()}
    assert len(by_group) == len(sizes)
    assert set(split.values()) == {"training", "validation", "test"}
    if len(sizes) >= 20:
        for name, share in (("training", 0.7), ("test", 0.15)):
            assert abs(Counter(split.values())[name] - share * len(groups)) <= max(sizes)


def test_order_of_files_does_not_matter_and_the_seed_does():
    groups = alone(60)
    backwards = dict(reversed(groups.items()))
    assert draw_splits(groups) == draw_splits(backwards)
    assert draw_splits(groups) != draw_splits(groups, seed=1)


def test_one_more_case_moves_at_most_the_cases_at_the_two_cuts():
    before, after = draw_splits(alone(100)), draw_splits(alone(101))
    assert sum(before[name] != after[name] for name in before) <= 2


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (0.7, 0.4, -0.1), (0.7, 0.2, 0.2)])
def test_wrong_fractions(fractions):
    with pytest.raises(ValueError, match="three numbers that sum to 1"):
        draw_splits(alone(9), fractions=fractions)


def test_too_few_groups():
    with pytest.raises(ValueError, match="2 groups of images cannot make 3 splits; add images"):
        draw_splits({"a": "p", "b": "p", "c": "q"})


def test_table_with_suffixes_other_names_and_a_byte_order_mark(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text("split,image_id\ntrain,a.jpg\nVAL,b\ntest, c.d \n", encoding="utf-8-sig")
    assert read_splits(file) == {"a": "training", "b": "validation", "c.d": "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,splitt\na,test\n", "no column 'split'; its first line has: image_id, splitt; rename one of them"),
        ("", "no column 'image_id'; its first line has: nothing"),
        ("image_id,split\na,test\nb,trainin\n", "line 3: unknown split 'trainin' .did you mean 'training'"),
        ("image_id,split\na,test\na,training\n", "1 ids are named more than once: a"),
        ("image_id,split\na\n", "line 2: unknown split ''"),
    ],
)
def test_mistakes_in_the_table_are_named(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_splits(tmp_path / "s.csv")


def test_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"s.csv: no such file; expected a CSV with the columns image_id,group"):
        read_table(tmp_path / "s.csv", "group")


def test_words_for_splits():
    assert [split_named(word) for word in ("TRAIN", "valid", "test", "holdout")] == [
        "training",
        "validation",
        "test",
        "",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_as_spreadsheets_write_them(tmp_path, encoding, separator):
    rows = ["image_id,split", "Röntgen,train", "b,test"]
    (tmp_path / "s.csv").write_bytes("\r\n".join(row.replace(",", separator) for row in rows).encode(encoding))
    assert read_splits(tmp_path / "s.csv") == {"Röntgen": "training", "b": "test"}


def test_ids_are_compared_with_composed_accents(tmp_path):
    (tmp_path / "s.csv").write_text("image_id,split\n" + unicodedata.normalize("NFD", "Ä.png") + ",test\n", "utf-8")
    assert read_splits(tmp_path / "s.csv") == {unicodedata.normalize("NFC", "Ä"): "test"}


def test_latin_1_is_named_with_its_line(tmp_path):
    (tmp_path / "s.csv").write_bytes("image_id,split\na,test\nÄ,train\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"s.csv: line 3 is not UTF-8 text .Latin-1, perhaps.; save the table as CSV"):
        read_splits(tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("groups", "shares"),
    [(1, (1, 0, 0)), (2, (0.75, 0.25, 0)), (3, (0.6, 0.2, 0.2)), (0, (1, 0, 0))],
)
def test_few_groups_make_fewer_splits(groups, shares):
    assert fractions_for(groups, (0.6, 0.2, 0.2)) == pytest.approx(shares)
    assert fractions_for(2, (0.7, 0.3)) == (0.7, 0.3)  # wrong shares are named where splits are drawn


def test_what_to_leave_out_needs_no_other_column_and_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "leave_out.csv"
    file.write_text(csv_text([("image_id", "reason"), ("=a", "its mask, shifted"), ("b.png", "")]))
    assert read_leave_out(file) == {"=a": "its mask, shifted", "b": ""}
    file.write_text("image_id\nc\nc\n\n")
    assert read_leave_out(file) == {"c": ""}


def test_a_table_of_all_cases_is_not_taken_for_one_of_those_to_leave_out(tmp_path):
    file = tmp_path / "audit.csv"
    file.write_text("case,class,rank\na,lesion,1\n")
    with pytest.raises(ValueError, match="audit.csv: no column 'image_id'; its first line has: case, class, rank"):
        read_leave_out(file)
    with pytest.raises(FileNotFoundError, match="expected a CSV with the column image_id"):
        read_leave_out(tmp_path / "none.csv")


def test_the_raw_folders_table_decides_unless_one_is_given(tmp_path):
    given = tmp_path / "mine.csv"
    assert table_of_splits(None, tmp_path) is None
    (tmp_path / "splits.csv").touch()
    assert table_of_splits(None, tmp_path) == tmp_path / "splits.csv"
    assert table_of_splits(given, tmp_path) == given
