"""Entries on disk: whole, checked, bounded, and shared by processes."""

import multiprocessing
import os
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medseg_monai.training.diskcache import DiskCache, FileHashes, StoredArray

KEY = "ab" + 38 * "0"
MIB = 2**20


def key(number):
    return f"{number:040x}"


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache", max_bytes=64 * MIB)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_put_is_got(tmp_path_factory, data):
    kinds = st.sampled_from([np.uint8, np.uint16, np.float32, np.int64])
    values = data.draw(
        st.lists(kinds.flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0))), max_size=3)
    )
    stored = {f"name/{n}": value for n, value in enumerate(values)}
    cache = DiskCache(tmp_path_factory.mktemp("cache"), max_bytes=MIB)
    cache.put(KEY, stored)
    got = cache.get(KEY)
    assert list(got) == list(stored)
    for name, value in stored.items():
        assert got[name].dtype == value.dtype
        np.testing.assert_array_equal(got[name], value)
        assert got[name].flags.writeable
        assert got[name].flags.aligned


def test_masks_take_a_bit_a_pixel(cache):
    cache.put(KEY, {"label": np.eye(256, dtype=np.uint8)})
    assert 8192 <= cache.size_bytes() < 8300


def test_no_entry(cache):
    assert cache.get(KEY) is None


def test_entries_outlive_the_object(cache):
    cache.put(KEY, {"a": np.arange(3)})
    assert DiskCache(cache.folder, max_bytes=MIB).get(KEY)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[:-3] + b"xyz",
        lambda content: b"OTHERVER" + content[8:],
    ],
    ids=["empty", "no header", "cut", "longer", "changed", "another version"],
)
def test_damaged_entries_are_said_and_removed(cache, damage):
    cache.put(KEY, {"a": np.arange(1000)})
    file = cache.path(KEY)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(UserWarning, match=f"cache entry .*{KEY}.entry is damaged .*it is being rebuilt"):
        assert cache.get(KEY) is None
    assert not file.exists()


def test_longest_unused_goes_first(tmp_path):
    folder = tmp_path / "cache"
    earlier = DiskCache(folder, max_bytes=10 * MIB)
    for number in range(9):
        earlier.put(key(number), {"a": np.full(MIB, 7, np.uint8)})
        os.utime(earlier.path(key(number)), (1000 + number, 1000 + number))
    now = DiskCache(folder, max_bytes=10 * MIB)
    assert now.get(key(0)) is not None  # used again
    for number in (20, 21):
        now.put(key(number), {"a": np.full(MIB, 7, np.uint8)})
    assert now.size_bytes() <= 10 * MIB
    assert now.path(key(0)).exists()
    assert not now.path(key(1)).exists()
    assert all(now.path(key(number)).exists() for number in (8, 20, 21))


def test_a_run_does_not_push_out_its_own_entries(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=4 * MIB)
    entry = {"a": np.full(MIB, 7, np.uint8)}
    for number in range(3):
        cache.put(key(number), entry)
    with pytest.warns(UserWarning, match=r"is full \(0.00391 GiB\); continuing without"):
        cache.put(key(8), entry)
    assert cache.size_bytes() <= 4 * MIB
    assert cache.get(key(0)) is not None
    assert cache.get(key(8)) is None


def test_a_folder_that_cannot_be_made_is_warned_of_and_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"cache .*file.cache cannot be created .*continuing without"):
        cache = DiskCache(tmp_path / "file" / "cache", max_bytes=MIB)
    cache.put(KEY, {"a": np.ones(3)})
    assert cache.get(KEY) is None
    assert len(cache.hashes.of(tmp_path / "file")) == 40


def test_full_disk_ends_caching_not_the_program(cache, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.warns(UserWarning, match=r"cannot be written .*No space left on device.*; continuing without"):
        cache.put(KEY, {"a": np.arange(3)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, {"a": np.arange(3)})  # said once
    assert cache.get(KEY) is None
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_leftovers_of_killed_writers_are_removed(cache):
    cache.put(KEY, {"a": np.arange(3)})
    old, new = (cache.path(KEY).with_name(f"{name}.part") for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    DiskCache(cache.folder, max_bytes=MIB)
    assert (old.exists(), new.exists()) == (False, True)


def _write_again_and_again(folder, barrier, errors):
    try:
        warnings.simplefilter("error")
        cache = DiskCache(folder, max_bytes=64 * MIB)
        barrier.wait()
        for _ in range(30):
            for number in range(8):
                cache.put(key(number), {"a": np.full(200_000, number, np.uint8)})
                got = cache.get(key(number))
                assert got is not None
                assert (got["a"] == number).all()
    except BaseException as error:
        errors.put(repr(error))
        raise


def test_processes_write_the_same_entries_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, errors = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_write_again_and_again, args=(tmp_path, barrier, errors)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=300)
    assert [worker.exitcode for worker in workers] == [0, 0], errors.get(timeout=1)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 8  # no scraps


def test_hash_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").write_bytes(b"content")
    hashes = FileHashes(tmp_path / "hashes")
    assert hashes.of(tmp_path / "a") == hashes.of(tmp_path / "b")
    assert len(hashes.of(tmp_path / "a")) == 40


def test_changed_file_has_another_hash(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"content")
    hashes = FileHashes(tmp_path / "hashes")
    before = hashes.of(file)
    file.write_bytes(b"CONTENT")  # the same length
    os.utime(file, ns=(1, 1))
    assert hashes.of(file) != before


def test_another_file_of_the_same_size_and_time_has_another_hash(tmp_path):
    """What unpacks or synchronises files sets their times."""
    for name, content in (("a", b"content"), ("b", b"CONTENT")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    hashes = FileHashes(tmp_path / "hashes")
    before, expected = hashes.of(tmp_path / "a"), hashes.of(tmp_path / "b")
    (tmp_path / "b").replace(tmp_path / "a")
    assert hashes.of(tmp_path / "a") == expected != before


def test_known_files_are_not_read_again(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"content")
    expected = FileHashes(tmp_path / "hashes").of(file)
    monkeypatch.setattr("pathlib.Path.read_bytes", None)
    assert FileHashes(tmp_path / "hashes").of(file) == expected


def test_hashes_of_another_process_are_taken_in(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"content")
    first, second = FileHashes(tmp_path / "hashes"), FileHashes(tmp_path / "hashes")
    expected = first.of(file)
    monkeypatch.setattr("pathlib.Path.read_bytes", None)
    assert second.of(file) == expected


def test_broken_lines_are_skipped(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    expected = FileHashes(tmp_path / "hashes").of(tmp_path / "a")
    with (tmp_path / "hashes").open("ab") as stream:
        stream.write(b'["half a li\n[1]\nnull\n["no end')
    later = FileHashes(tmp_path / "hashes")
    assert later.of(tmp_path / "a") == expected
    assert later.of(tmp_path / "b") == FileHashes(tmp_path / "other").of(tmp_path / "b")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_part_is_that_of_the_whole(tmp_path_factory, data):
    """Of masks too, eight of whose values share a byte, and of parts without a value."""
    limit = data.draw(st.sampled_from([1, 255]))
    kind, values = data.draw(
        st.sampled_from([(np.uint8, st.integers(0, limit)), (np.uint16, None), (np.float32, None)])
    )
    array = data.draw(arrays(kind, array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=7), elements=values))
    cache = DiskCache(tmp_path_factory.mktemp("cache"), max_bytes=MIB)
    cache.put(KEY, {"before": np.arange(3), "image": array, "after": np.array(7.0)})
    np.testing.assert_array_equal(cache.get_in_parts(KEY, {"image"})["image"], array)
    stored = cache.get_in_parts(KEY, {"image"})
    assert isinstance(stored["image"], StoredArray)
    assert (stored["image"].shape, len(stored["image"])) == (array.shape, len(array))
    assert (stored["before"].tolist(), float(stored["after"])) == ([0, 1, 2], 7.0)
    ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in array.shape]
    index = tuple(data.draw(st.sampled_from([slice(*pair), slice(None)])) for pair in ends)
    part = stored["image"][index]
    assert part.dtype == array.dtype
    assert part.flags.writeable
    np.testing.assert_array_equal(part, array[index])


def test_a_part_costs_its_rows(cache, monkeypatch):
    """4 x 5 rows of 30 values of 2 bytes, of 40 x 50 rows."""
    cache.put(KEY, {"image": np.arange(40 * 50 * 30, dtype=np.uint16).reshape(1, 40, 50, 30)})
    cache.get_in_parts(KEY, {"image"})
    read = []
    original = StoredArray._bytes
    monkeypatch.setattr(
        StoredArray, "_bytes", lambda self, stream, first, n: read.append(n) or original(self, stream, first, n)
    )
    part = cache.get_in_parts(KEY, {"image"})["image"][:, 7:11, 20:25, 3:4]
    assert part[0, 0, 0, 0] == 7 * 1500 + 20 * 30 + 3
    assert sum(read) == 4 * 5 * 30 * 2


def test_an_entry_in_the_place_of_one_that_was_checked_is_checked(cache):
    cache.put(KEY, {"image": np.zeros((1, 9, 9, 9), np.uint16)})
    cache.get_in_parts(KEY, {"image"})
    file = cache.path(KEY)
    other = file.with_name("other")
    other.write_bytes(file.read_bytes()[:-1] + b"x")
    other.replace(file)
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.get_in_parts(KEY, {"image"}) is None
    assert cache.get_in_parts(KEY, {"image"}) is None


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: os.truncate(file, 200)])
def test_a_part_of_an_entry_that_has_gone_or_is_cut_off_is_an_error(cache, damage):
    cache.put(KEY, {"image": np.zeros((1, 9, 9, 9), np.uint16)})
    cache.get_in_parts(KEY, {"image"})
    stored = cache.get_in_parts(KEY, {"image"})
    damage(cache.path(KEY))
    with pytest.raises(OSError, match="entry"):
        stored["image"][:, 0:9, 0:9, 0:9]
