from pathlib import Path

from medseg_monai.dataset.leaks import content_hash, same_content, shared_keys


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_key_in_three_splits_is_found_once_with_all_of_them():
    assert shared_keys({"a": ["p", "q"], "b": ["p"], "c": ["p", "r", "r"]}) == {"p": ["a", "b", "c"]}


def test_content_is_compared_not_names_and_not_size_alone(tmp_path):
    one, copy = write(tmp_path / "one", b"same"), write(tmp_path / "copy", b"same")
    other = write(tmp_path / "other", b"else")
    found = same_content({"training": [[one], [other]], "test": [[copy]]})
    assert found == [{"training": [one], "test": [copy]}]
    assert same_content({"training": [[one], [copy]], "test": [[other]]}) == []


def test_an_image_of_several_files_is_the_same_only_if_all_are(tmp_path):
    t1, t2, t3 = (write(tmp_path / name, name.encode()) for name in ("t1", "t2", "t3"))
    assert same_content({"training": [[t1, t2]], "test": [[t1, t3]]}) == []
    assert len(same_content({"training": [[t1, t2]], "test": [[t1, t2]]})) == 1


def test_hash_is_blake2b_also_of_a_file_larger_than_one_block(tmp_path):
    # BLAKE2b with a 16-byte digest of b"abc", RFC 7693's function, from an independent implementation (b2sum -l 128)
    assert content_hash(write(tmp_path / "abc", b"abc")) == "cf4ab791c62b8d2b2109c90275287816"
    large = write(tmp_path / "large", bytes(3 << 20))
    assert content_hash(large) != content_hash(write(tmp_path / "larger", bytes((3 << 20) + 1)))


def test_files_without_content_are_equal_to_none(tmp_path):
    empty, also_empty = write(tmp_path / "empty", b""), write(tmp_path / "also", b"")
    gone, picture, copy = tmp_path / "gone", write(tmp_path / "p", b"x"), write(tmp_path / "c", b"x")
    found = same_content({"training": [[empty], [gone], [picture]], "test": [[also_empty], [gone], [copy]]})
    assert found == [{"training": [picture], "test": [copy]}]
