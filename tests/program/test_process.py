"""Memory for large maps: in huge pages where Linux offers them, unless the user has decided otherwise."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from medseg_monai.program.process import take_huge_pages

OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HUGE_KB = """
import re
from pathlib import Path
from medseg_monai.program.process import take_huge_pages
take_huge_pages()
import torch
large = torch.zeros(2**24)
print(sum(map(int, re.findall(r"AnonHugePages: +([0-9]+) kB", Path("/proc/self/smaps").read_text()))))
"""


@pytest.mark.skipif(not OFFERED.is_file() or "[never]" in OFFERED.read_text(), reason="no huge pages here")
@pytest.mark.parametrize(("wanted", "least", "most"), [(None, 32 * 1024, 10**9), ("0", 0, 1024)])
def test_torch_takes_memory_in_huge_pages_unless_the_user_does_not_want_it(
    wanted: str | None, least: int, most: int
) -> None:
    """64 MB of zeros: at least half of it, which leaves room for a machine whose memory is in pieces."""
    if wanted == "0" and "[always]" in OFFERED.read_text():
        pytest.skip("the kernel gives huge pages to everybody")
    # with the second, glibc writes to memory, in small pages, before torch asks for large ones
    without = ("THP_MEM_ALLOC_ENABLE", "MALLOC_PERTURB_")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {} if wanted is None else {"THP_MEM_ALLOC_ENABLE": wanted}
    done = subprocess.run([sys.executable, "-c", HUGE_KB], env=environment, capture_output=True, text=True, check=True)
    assert least <= int(done.stdout) <= most


@pytest.mark.parametrize(
    ("command", "huge"),
    [("predict unet no-such", True), ("evaluate unet -d no-such", True), ("train unet -d no-such", False)],
)
def test_prediction_and_evaluation_do_training_does_not(
    medseg: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, command: str, huge: bool
) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")  # restored afterwards, whatever the command sets
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    assert "no-such" in medseg(*command.split()).err
    assert ("THP_MEM_ALLOC_ENABLE" in os.environ) == huge


def test_the_users_choice_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    take_huge_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
