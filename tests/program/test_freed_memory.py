"""Freed memory is kept for the next step: counted in pages that the system hands out, in processes of their own."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from medseg_monai.program.freed_memory import CHOSEN_BY_USER

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
LIBC, VERSION = platform.libc_ver()

pytestmark = [
    pytest.mark.skipif(LIBC != "glibc", reason="glibc's allocator"),
    pytest.mark.skipif(
        LIBC == "glibc" and tuple(map(int, VERSION.split("."))) < (2, 35), reason="older versions keep no large blocks"
    ),
    pytest.mark.skipif(HUGE_PAGES.is_file() and "[always]" in HUGE_PAGES.read_text(), reason="pages are huge here"),
]

STEPS = """
import resource
from medseg_monai.program.freed_memory import keep_freed_memory
kept = {keep} and keep_freed_memory()
size = 64 * 2**20
def step():
    b"x" * size
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

RETURNED = """
import resource
from medseg_monai.program.freed_memory import keep_freed_memory, return_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
keep_freed_memory()
before = resident()
size = 128 * 2**20
b"x" * size
kept = resident() - before
return_freed_memory()
print(kept, resident() - before)
"""


ENDED = RETURNED.replace(
    "import keep_freed_memory, return_freed_memory", "import end_keeping, keep_freed_memory"
).replace("return_freed_memory()", "end_keeping()\nb'x' * size")
"""After the end a block is returned when it is freed."""


def answer(script: str, **environment: str) -> list[str]:
    ours: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_USER}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**ours, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_next_step_gets_the_same_pages() -> None:
    _, without = answer(STEPS.format(keep=False))
    kept, with_it = answer(STEPS.format(keep=True))
    assert int(without) > 4 * 64 * 2**20 / 65536  # pages have at most 64 KB
    assert kept == "True"
    assert int(with_it) < int(without) / 20


@pytest.mark.parametrize("name", CHOSEN_BY_USER)
def test_what_the_user_chose_stays(name: str) -> None:
    value = "glibc.malloc.trim_threshold=131072" if name == "GLIBC_TUNABLES" else "131072"
    kept, pages = answer(STEPS.format(keep=True), **{name: value})
    assert kept == "False"
    assert int(pages) > 4 * 64 * 2**20 / 65536


def test_kept_memory_can_be_returned() -> None:
    kept, rest = map(int, answer(RETURNED))
    assert kept > 100 * 2**20
    assert rest < kept / 10


def test_after_the_end_nothing_is_kept() -> None:
    kept, rest = map(int, answer(ENDED))
    assert kept > 100 * 2**20
    assert rest < kept / 10
