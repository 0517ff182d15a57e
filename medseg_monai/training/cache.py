"""Training data: decoded once and cached (on disk, in memory), augmented anew each epoch, as plain tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from monai.transforms.compose import Compose
from torch import Tensor
from torch.utils.data import Dataset

from medseg_monai.dataset.cases import FILE_KEYS, SOFT_LABEL, as_list, main_file
from medseg_monai.images.paired import all_files
from medseg_monai.images.photos import Array, PathLike
from medseg_monai.training.diskcache import DiskCache, StoredArray
from medseg_monai.training.sampling import case_id, sample_seed
from medseg_monai.transforms.photo_augment import SEED_KEY
from medseg_monai.transforms.pipeline import Pipeline
from medseg_monai.transforms.stacks import LoadStackd

Case = dict[Hashable, Any]


class CachedDataset(Dataset[Case]):
    """Cases after ``load`` (cached) and ``augment`` (applied each time).

    An entry's key is the content of the case's files and the settings of ``load``: it survives renaming and
    copying, and a changed picture or network size makes a new entry.

    Args:
        data: cases with paths under ``image`` and, if they have one, ``label``.
        load: the deterministic part, `medseg_monai.transforms.load`.
        augment: the part after it, `medseg_monai.transforms.augment` or ``normalise``; None for neither.
        cache_dir: folder of the cache, shared by all data sets and processes; None for none.
        seed: with the epoch and the case's id it determines the case's random changes.
        in_memory: cache in memory too. Each worker process of a ``DataLoader`` has its own copy,
            unless `fill` was called before.
        max_bytes: size limit of the folder; the least recently used entries are deleted first.

    Raises:
        TypeError: ``load`` has a transform without ``settings``, whose results could not be distinguished.
    """

    def __init__(
        self,
        data: Sequence[Mapping[Hashable, Any]],
        load: Compose,
        augment: Compose | None = None,
        *,
        cache_dir: PathLike | None = None,
        seed: int = 0,
        in_memory: bool = False,
        max_bytes: int = 10 * 2**30,
    ) -> None:
        self.data = list(data)
        self.load = load
        self.augment = augment
        self.seed = seed
        self.cache = DiskCache(cache_dir, max_bytes=max_bytes) if cache_dir else None
        self._settings = _settings_of(load) if cache_dir else ""
        self._stack = _stack_of(load)
        self._reads = _keys_of(load)
        self._in_parts = _taken_in_parts(augment)
        self._keys: dict[tuple[str, ...], str] = {}
        self._memory: dict[int, Case] | None = {} if in_memory else None

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Case]:
        """Each case once, as in epoch 0."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, number: int) -> Case:
        """The case ``number % len``, changed as in epoch ``number // len`` (what `SeededSampler` yields)."""
        epoch, index = divmod(number, len(self))
        if epoch < 0:
            raise IndexError(f"case {number} of {len(self)}")
        if self.augment is None:
            return self.loaded(index)
        seed = {SEED_KEY: sample_seed(self.seed, epoch, case_id(self.data[index]))}
        try:
            changed: Case = self.augment(self._opened(index) | seed)
        except OSError:  # the entry has gone meanwhile: another process has made room
            changed = self.augment(self.loaded(index) | seed)
        changed.pop(SEED_KEY, None)
        return changed

    def _opened(self, index: int) -> Case:
        """A case after ``load``, the arrays from which ``augment`` takes a patch still on disk if they are there."""
        if self.cache is None or self._memory is not None or self._stack is not None or not self._in_parts:
            return self.loaded(index)
        case = self.data[index]
        names = self._in_parts - {"label"} if SOFT_LABEL in self._reads and SOFT_LABEL in case else self._in_parts
        try:
            arrays = self.cache.get_in_parts(self._key(case, self.cache), names)
        except OSError:
            arrays = None
        return self.loaded(index) if arrays is None else _from_arrays(case, arrays)

    def loaded(self, index: int) -> Case:
        """A case after ``load``, from memory, from disk, or loaded now and cached."""
        if self._memory is not None and index in self._memory:
            return dict(self._memory[index])
        case = self.load(self.data[index]) if self.cache is None else self._through_disk(index, self.cache)
        if self._memory is not None:
            self._memory[index] = dict(case)
        return case

    def fill(self, *, threads: int = 1) -> None:
        """Load all cases now, in threads (decoding runs in parallel); raises as ``load`` does."""
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for _ in pool.map(self._load_and_drop, range(len(self))):
                pass

    def _load_and_drop(self, index: int) -> None:
        self.loaded(index)

    def _through_disk(self, index: int, cache: DiskCache) -> Case:
        case = self.data[index]
        if self._stack is None:
            return self._entry(case, self.load, cache)
        load_part = self._stack.load_part
        return self._stack.join(case, [self._entry(part, load_part, cache) for part in self._stack.parts(case)])

    def _entry(
        self, case: Mapping[Hashable, Any], load: Callable[[Mapping[Hashable, Any]], Any], cache: DiskCache
    ) -> Case:
        """The result of `load` for a case, or for one part of a stack."""
        try:
            key = self._key(case, cache)
        except OSError:
            return dict(load(case))  # raises an error that says what is wrong with the file
        arrays = cache.get(key)
        if arrays is not None:
            return _from_arrays(case, arrays)
        loaded = dict(load(case))
        cache.put(key, _to_arrays(loaded))
        return loaded

    def _key(self, case: Mapping[Hashable, Any], cache: DiskCache) -> str:
        images, labels, soft = (as_list(case.get(key)) if key in self._reads else [] for key in FILE_KEYS)
        files = (*map(str, images), "|", *map(str, labels), "|", *map(str, soft))
        if files not in self._keys:  # computed once: files are assumed not to change during a training
            contents = [cache.hashes.of(part) for file in images + labels + soft for part in all_files(file)]
            text = json.dumps([self._settings, len(images), contents, *([len(soft)] if soft else [])])
            self._keys[files] = hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
        return self._keys[files]


def _stack_of(load: Compose) -> LoadStackd | None:
    """The transform that loads neighbouring slices, if any. Slices are cached one by one, each once, however many stacks contain it."""
    first = load.transforms[0]
    return first if isinstance(first, LoadStackd) and len(load.transforms) == 1 else None


def _keys_of(load: Compose) -> set[str]:
    """The keys with files that an entry depends on: image and label always, soft labels only where they are read."""
    read = {str(key) for transform in load.transforms for key in getattr(transform, "keys", ())}
    return {"image", "label"} | (read & {SOFT_LABEL})


def _taken_in_parts(augment: Compose | None) -> set[str]:
    """The keys that the first transform of ``augment`` takes parts of; none with MONAI's own ``Compose``, which wraps an `OSError`."""
    first = augment.transforms[0] if isinstance(augment, Pipeline) and augment.transforms else None
    return set(getattr(first, "taken_in_parts", ()))


def _settings_of(load: Compose) -> str:
    """The settings of all transforms, as JSON."""
    for transform in load.transforms:
        if not hasattr(transform, "settings"):
            raise TypeError(f"{type(transform).__name__} has no settings: move it to augment, or use no cache_dir")
    return json.dumps([transform.settings for transform in load.transforms], sort_keys=True)


def _to_arrays(case: Mapping[Hashable, Any], prefix: str = "") -> dict[str, Array]:
    """All tensors in a case, those in dictionaries as ``outer/inner``."""
    arrays: dict[str, Array] = {}
    for key, value in case.items():
        if isinstance(value, Tensor):
            arrays[f"{prefix}{key}"] = value.numpy()
        elif isinstance(value, Mapping):
            arrays |= _to_arrays(value, f"{prefix}{key}/")
    return arrays


def _from_arrays(case: Mapping[Hashable, Any], arrays: Mapping[str, Array | StoredArray]) -> Case:
    """The case as ``load`` would have returned it, except for arrays that are read in parts."""
    loaded: Case = dict(case)
    for name, array in arrays.items():
        outer, _, inner = name.partition("/")
        value = array if isinstance(array, StoredArray) else torch.from_numpy(array)
        if inner:
            loaded.setdefault(outer, {})[inner] = value
        else:
            loaded[outer] = value
    if "image_meta_dict" in loaded:
        loaded["image_meta_dict"] = {"filename_or_obj": main_file(case["image"]), **loaded["image_meta_dict"]}
    return loaded
