"""Images side by side on a CPU's cores: an image costs less on one core than on two, which wait for each other after every layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch
from torch import Tensor


def side_by_side(function: Callable[[Tensor], Tensor], parts: Sequence[Tensor]) -> list[Tensor]:
    """`function` of each part, in order, as many at once as there are cores.

    The remaining parts, if fewer than the cores, are run one after another on all cores; so is a single one.

    Args:
        function: computes with torch on the CPU; runs in several threads at once.
        parts: its arguments.
    """
    threads = torch.get_num_threads()
    at_once = min(len(parts), threads)
    if at_once < 2:
        return [function(part) for part in parts]
    shared = len(parts) // at_once * at_once
    answers = list(_streams(at_once, threads // at_once).map(function, parts[:shared]))
    return answers + [function(part) for part in parts[shared:]]


@cache
def _streams(count: int, threads: int) -> ThreadPoolExecutor:
    return threads_on_cores(count, threads, "stream")


def threads_on_cores(count: int, threads: int, name: str) -> ThreadPoolExecutor:
    """`count` threads; what each of them computes with torch runs on `threads` cores."""
    begun = Barrier(count)
    usual = torch.get_num_threads()

    def begin() -> None:
        torch.get_num_threads()  # a thread adopts the global number on its first call, and keeps its own afterwards
        torch.set_num_threads(threads)

    pool = ThreadPoolExecutor(count, name, initializer=begin)
    for done in [pool.submit(begun.wait) for _ in range(count)]:
        done.result()
    torch.set_num_threads(usual)  # threads that begin later take the last number set
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_streams.cache_clear)  # a forked process has none of its parent's threads
