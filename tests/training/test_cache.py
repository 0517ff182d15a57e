"""The training data: the same numbers from file, disk and memory, in any number of workers and processes."""

import multiprocessing
import os
import shutil

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader as MonaiLoader
from monai.data import decollate_batch
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, Lambda
from PIL import Image
from torch.utils.data import DataLoader

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.training.cache import CachedDataset, _taken_in_parts
from medseg_monai.training.diskcache import StoredArray
from medseg_monai.training.sampling import SeededSampler, sample_seed
from medseg_monai.transforms import augment, load, normalise
from medseg_monai.transforms.batches import collate
from medseg_monai.transforms.pipeline import Pipeline

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("r", "g", "b"), size=(32, 24))
COUNT = 7


@pytest.fixture
def cases(tmp_path):
    return make_cases(tmp_path / "raw")


def make_cases(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    cases = []
    for number in range(COUNT):
        image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
        Image.fromarray((image[..., 0] > 128).astype(np.uint8) * 255).save(folder / f"{number}_mask.png")
        cases.append(
            {"image": str(folder / f"{number}.png"), "label": str(folder / f"{number}_mask.png"), "id": f"c{number}"}
        )
    return cases


def dataset(cases, spec=SPEC, **more):
    more.setdefault("augment", augment(spec))
    return CachedDataset(cases, load(spec), **more)


def equal(first, second):
    """Whether two cases or batches are the same in all their parts."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(equal(first[k], second[k]) for k in first)
    return first == second


class Unusable(Exception):
    """Raised by `forbid_loading`."""


def forbid_loading(data):
    def refuse(case):
        raise Unusable

    data.load.transforms = (refuse,)
    return data


def test_disk_gives_what_load_gives(cases, tmp_path):
    plain = dataset(cases, augment=None)
    dataset(cases, cache_dir=tmp_path / "cache").fill(threads=2)
    warm = forbid_loading(dataset(cases, augment=None, cache_dir=tmp_path / "cache"))
    for index in range(COUNT):
        first, second = plain[index], warm[index]
        assert set(first) == set(second)
        assert all(equal(first[key], second[key]) for key in ("image", "label", "id"))
        assert first["image_meta_dict"].keys() == second["image_meta_dict"].keys()
        assert all(equal(v, second["image_meta_dict"][k]) for k, v in first["image_meta_dict"].items())


def test_sixteen_bits_and_missing_labels_go_through_the_cache(tmp_path):
    values = np.random.default_rng(0).integers(0, 13_000, (20, 30), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    slices = DatasetSpec(
        "d", "binary", classes=("a",), channels=("mr",), size=(30, 20), intensity=Intensity("percentile")
    )
    case = {"image": str(tmp_path / "a.png")}
    for _ in range(2):
        cached = dataset([case], slices, augment=normalise(slices), cache_dir=tmp_path / "cache")[0]
        assert equal(cached["image"], normalise(slices)(load(slices)(case))["image"])
        assert "label" not in cached


def test_memory_gives_what_load_gives(cases):
    kept = dataset(cases, augment=None, in_memory=True)
    first = [kept[index] for index in range(COUNT)]
    forbid_loading(kept)
    assert all(equal(first[index], kept[index]) for index in range(COUNT))


def test_what_augment_does_to_a_case_is_not_kept(cases):
    kept = dataset(cases, in_memory=True)
    first = kept[0]
    kept[0]
    assert equal(first, kept[0])
    assert equal(first, dataset(cases)[0])


def test_entries_follow_content_not_names(cases, tmp_path):
    dataset(cases, cache_dir=tmp_path / "cache").fill()
    moved = shutil.copytree(tmp_path / "raw", tmp_path / "moved")
    renamed = [{**case, "image": case["image"].replace("/raw/", "/moved/")} for case in cases]
    warm = forbid_loading(dataset(renamed, augment=None, cache_dir=tmp_path / "cache"))
    assert warm[0]["image_meta_dict"]["filename_or_obj"] == str(moved / "0.png")


@pytest.mark.parametrize("changed", ["image", "label"])
def test_changed_files_are_loaded_again(cases, tmp_path, changed):
    before = dataset(cases, augment=None, cache_dir=tmp_path / "cache")[0]
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(cases[0][changed])
    after = dataset(cases, augment=None, cache_dir=tmp_path / "cache")[0]
    assert before[changed].any()
    assert not after[changed].any()


def test_two_volumes_with_one_header_are_two_entries(tmp_path):
    """MetaImage in two files: the header says nothing of the voxels."""
    sitk = pytest.importorskip("SimpleITK")
    spec = DatasetSpec(
        "v",
        "binary",
        classes=("a",),
        channels=("ct",),
        spatial_dims=3,
        size=(8, 8, 8),
        spacing_mm=(1, 1, 1),
        intensity=Intensity("window", lower=0, upper=100),
    )
    cases = []
    for name, level in (("a", 10), ("b", 90)):
        (tmp_path / name).mkdir()
        ramp = (level + np.arange(512) % 7).reshape(8, 8, 8).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(ramp), str(tmp_path / name / "ct.mhd"))
        cases.append({"image": str(tmp_path / name / "ct.mhd"), "id": name})
    fresh, cached = dataset(cases, spec, augment=None), dataset(cases, spec, augment=None, cache_dir=tmp_path / "cache")
    cached.fill()
    assert all(torch.equal(fresh[number]["image"], cached[number]["image"]) for number in range(2))
    assert not torch.equal(cached[0]["image"], cached[1]["image"])


def test_other_settings_make_other_entries(cases, tmp_path):
    dataset(cases, cache_dir=tmp_path / "cache").fill()
    small = DatasetSpec("d", "binary", classes=("lesion",), channels=("r", "g", "b"), size=(16, 12))
    assert dataset(cases, small, cache_dir=tmp_path / "cache")[0]["image"].shape == (3, 16, 12)
    shown = DatasetSpec("e", "binary", classes=("mole",), channels=("x", "y", "z"), size=(32, 24), description="words")
    forbid_loading(dataset(cases, shown, cache_dir=tmp_path / "cache"))[0]


def test_channel_files_and_class_files_are_not_confused(tmp_path):
    """Two images and a mask, or an image and two masks: the same three files."""
    paths = []
    for number in range(3):
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    two = DatasetSpec("d", "multilabel", classes=("a", "b"), channels=("x",), size=(8, 8))
    cache = tmp_path / "cache"
    assert dataset([{"image": paths[:1], "label": paths[1:]}], two, cache_dir=cache)[0]["label"].shape == (2, 8, 8)
    with pytest.raises(ValueError, match="2 files cannot give 1 channels"):
        dataset([{"image": paths[:2], "label": paths[2:]}], two, cache_dir=cache)[0]


def test_damaged_entry_is_made_again(cases, tmp_path):
    data = dataset(cases, cache_dir=tmp_path / "cache")
    expected = data[0]
    (entry,) = (tmp_path / "cache").glob("??/*.entry")
    entry.write_bytes(entry.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="is damaged"):
        again = dataset(cases, cache_dir=tmp_path / "cache")[0]
    assert equal(expected, again)
    assert equal(expected, forbid_loading(dataset(cases, cache_dir=tmp_path / "cache"))[0])


@pytest.fixture
def volume(tmp_path):
    """A case of 20 x 16 x 12 voxels with two classes, and its spec, for patches of 8 x 6 x 7."""
    rng = np.random.default_rng(0)
    label = np.zeros((20, 16, 12), np.uint8)
    label[3:9, 2:9, 1:7], label[12:18, 9:14, 4:9] = 1, 2
    for name, values in (("image", rng.integers(-100, 100, label.shape).astype(np.int16)), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii")
    spec = DatasetSpec(
        "d", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(8, 6, 7), spacing_mm=(1, 1, 1),
        intensity=Intensity("window", lower=-90, upper=90),
    )  # fmt: skip
    return {"image": str(tmp_path / "image.nii"), "label": str(tmp_path / "label.nii"), "id": "v"}, spec


def test_patches_are_the_same_whether_all_of_a_volume_is_read_or_a_part(volume, tmp_path):
    case, spec = volume
    stored, kept = dataset([case], spec, cache_dir=tmp_path / "cache"), dataset([case], spec, in_memory=True)
    for epoch in range(12):
        assert equal(stored[epoch], kept[epoch])
    opened = stored._opened(0)
    assert (type(opened["image"]), type(opened["label"])) == (StoredArray, StoredArray)
    assert isinstance(stored.loaded(0)["image"], torch.Tensor)


def test_an_entry_that_goes_between_its_opening_and_the_patch_is_made_again(volume, tmp_path):
    case, spec = volume
    expected = dataset([case], spec)[2]
    stored = dataset([case], spec, cache_dir=tmp_path / "cache")
    stored[0], stored[1]  # made; read whole and checked
    change, gone = stored.augment, []

    def after_it_went(case):
        if not gone:
            gone.extend((tmp_path / "cache").glob("??/*.entry"))
            gone[0].unlink()
        return change(case)

    stored.augment = after_it_went
    assert equal(stored[2], expected)
    assert gone[0].is_file()


def test_unusable_file_is_named(cases, tmp_path):
    for cache_dir in (None, tmp_path / "cache"):
        (tmp_path / "raw" / "2.png").write_bytes(b"text")
        with pytest.raises(ValueError, match=r"2\.png: is not a picture"):
            dataset(cases, cache_dir=cache_dir)[2]
        gone = [{"image": str(tmp_path / "gone.png")}]
        with pytest.raises(FileNotFoundError, match=r"gone\.png: no such file"):
            dataset(gone, cache_dir=cache_dir)[0]


def test_loads_without_settings_are_refused(cases, tmp_path):
    with pytest.raises(TypeError, match="Lambda has no settings"):
        CachedDataset(cases, Compose([Lambda(lambda case: case)]), cache_dir=tmp_path)


def _fill(folder, cases, barrier, results):
    torch.set_num_threads(1)
    data = dataset(cases, augment=None, cache_dir=folder)
    barrier.wait()
    data.fill(threads=2)
    results.put([data[index]["image"].double().sum().item() for index in range(COUNT)])


def test_two_processes_fill_at_once(cases, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_fill, args=(tmp_path / "cache", cases, barrier, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    sums = [results.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join(timeout=300)
    expected = [case["image"].double().sum().item() for case in dataset(cases, augment=None)]
    assert sums == [expected, expected]
    assert len(list((tmp_path / "cache").glob("??/*"))) == COUNT


def test_epochs_differ_and_repeat(cases):
    data = dataset(cases, seed=1)
    assert equal(data[3], data[3])
    assert not torch.equal(data[3]["image"], data[3 + COUNT]["image"])
    assert not torch.equal(data[3]["image"], dataset(cases, seed=2)[3]["image"])
    assert "augment_seed" not in data[3]


def test_changes_go_with_the_case_not_its_place(cases):
    assert equal(dataset(cases)[5], dataset(cases[5:])[0])


def test_iterating_ends(cases):
    assert [case["id"] for case in dataset(cases)] == [case["id"] for case in cases]
    with pytest.raises(IndexError):
        dataset(cases)[-1]


def batches(data, workers, epochs=2):
    loader = DataLoader(
        data, batch_size=3, sampler=SeededSampler(data, seed=5), num_workers=workers, collate_fn=collate
    )
    return [batch for _ in range(epochs) for batch in loader]


def test_workers_change_nothing(cases, tmp_path):
    data = dataset(cases, cache_dir=tmp_path / "cache")
    alone, shared = batches(data, 0), batches(data, 2)
    assert len(alone) == 6
    assert all(equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_batch_is_plain_and_contiguous(cases):
    batch = batches(dataset(cases), 0)[0]
    assert type(batch["image"]) is torch.Tensor
    assert (batch["image"].shape, batch["image"].dtype) == ((3, 3, 32, 24), torch.float32)
    assert (batch["label"].shape, batch["label"].dtype) == ((3, 1, 32, 24), torch.uint8)
    assert batch["image"].is_contiguous()
    assert batch["image_meta_dict"]["spatial_shape"].tolist() == [[50, 40]] * 3
    parts = decollate_batch(batch)
    assert [part["id"] for part in parts] == batch["id"]
    assert parts[1]["image_meta_dict"]["filename_or_obj"] == batch["image_meta_dict"]["filename_or_obj"][1]


def test_sampler_visits_each_case_once_an_epoch():
    sampler = SeededSampler(range(10), seed=3)
    first, second = list(sampler), list(sampler)  # counts epochs by itself
    assert sorted(first) == list(range(10))
    assert sorted(second) == list(range(10, 20))
    assert [n % 10 for n in first] != [n % 10 for n in second]
    sampler.set_epoch(1)
    assert list(sampler) == second
    assert list(SeededSampler(range(10), seed=4)) != first
    assert list(SeededSampler(range(4), shuffle=False)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("drop_last", "each"), [(False, 4), (True, 3)])
def test_processes_share_an_epoch(drop_last, each):
    shares = [list(SeededSampler(range(10), seed=1, rank=rank, world_size=3, drop_last=drop_last)) for rank in range(3)]
    assert [len(share) for share in shares] == [each] * 3
    seen = [number for share in shares for number in share]
    assert len(set(seen)) == min(10, 3 * each)
    assert len(SeededSampler(range(10), world_size=3, drop_last=drop_last)) == each


def test_more_processes_than_cases():
    shares = [list(SeededSampler(range(2), rank=rank, world_size=5)) for rank in range(5)]
    assert [len(share) for share in shares] == [1] * 5


def test_no_cases():
    with pytest.raises(ValueError, match="no cases to sample from"):
        SeededSampler([])


def test_seed_by_hand():
    """The first 8 bytes of BLAKE2b of the text, little endian, without the lowest bit."""
    assert sample_seed(1, 2, "x") == 6_720_066_017_472_549_611  # of b"1\n2\nx"
    assert len({sample_seed(s, e, c) for s in range(5) for e in range(5) for c in ("a", "b")}) == 50
    assert sample_seed(12, 3, "x") != sample_seed(1, 23, "x")
    assert 0 <= sample_seed(0, 0, "") < 2**63


def test_monai_trainer_sets_the_epoch(cases):
    """MONAI's engines call ``set_epoch`` of the sampler, so that a continued run goes on with the right epoch."""
    data = dataset(cases)
    seen = []
    sampler = SeededSampler(data)
    network = torch.nn.Conv2d(3, 1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=MonaiLoader(data, batch_size=COUNT, sampler=sampler, collate_fn=collate),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=lambda logits, label: (logits - label.float()).square().mean(),
        prepare_batch=lambda batch, device, non_blocking, **_: (seen.append(batch), (batch["image"], batch["label"]))[
            1
        ],
    )
    trainer.run()
    expected = [collate([data[number] for number in _order(data, epoch)]) for epoch in (1, 2, 3)]
    assert all(equal(a, b) for a, b in zip(seen, expected, strict=True))


def _order(data, epoch):
    sampler = SeededSampler(data)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_cache_that_may_only_be_read(cases, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    dataset(cases[:1], cache_dir=tmp_path / "cache").fill()
    (tmp_path / "cache").chmod(0o555)
    with pytest.warns(UserWarning, match="cannot be written"):
        dataset(cases, cache_dir=tmp_path / "cache")[1]


def test_soft_labels_have_a_part_in_the_key(cases, tmp_path):
    """The entry of a case without them is the one of before; other probabilities make another entry."""
    keys, cache = ("image", "label", "soft_label"), tmp_path / "cache"

    def loaded(case):
        return CachedDataset([case], load(SPEC, keys=keys), cache_dir=cache)[0]

    def entries():
        return len(list(cache.glob("??/*.entry")))

    CachedDataset(cases[:1], load(SPEC), cache_dir=cache)[0]
    assert "soft_label" not in loaded(cases[0])
    assert entries() == 1
    soft = tmp_path / "soft.png"
    for level in (40, 200):
        Image.new("L", (50, 40), level).save(soft)
        os.utime(soft, ns=(level, level))
        for _ in range(2):
            assert loaded({**cases[0], "soft_label": str(soft)})["soft_label"].unique().tolist() == [level]
    assert entries() == 3


def test_a_load_without_soft_labels_leaves_no_entry_for_one_with_them(cases, tmp_path):
    """A plan's trial reads images and labels only, into the cache of the training that follows."""
    soft = tmp_path / "soft.png"
    Image.new("L", (50, 40), 90).save(soft)
    case = {**cases[0], "soft_label": str(soft)}
    keys, cache = ("image", "label", "soft_label"), tmp_path / "cache"
    CachedDataset([case], load(SPEC), cache_dir=cache)[0]
    loaded = CachedDataset([case], load(SPEC, keys=keys), augment(SPEC, keys=keys), cache_dir=cache)[0]
    assert loaded["soft_label"].unique().tolist() == [90]
    plain = CachedDataset([case], load(SPEC), cache_dir=cache)[0]
    assert plain["soft_label"] == str(soft)


def test_a_chain_of_monais_own_reads_whole_entries() -> None:
    """Its ``Compose`` hides that an entry has gone, so parts are not read; see `CachedDataset.__getitem__`."""
    taking = Lambda(lambda case: case)
    taking.taken_in_parts = {"image"}
    assert _taken_in_parts(Pipeline([taking])) == {"image"}
    assert _taken_in_parts(Compose([taking])) == set()
