"""Cores and memory as a container grants them: made-up control groups, whose numbers are counted by hand."""

import math
import os
import resource
from pathlib import Path

import pytest
import torch

from medseg_monai.planning import machine
from medseg_monai.planning.machine import free_memory_bytes, memory_limit_bytes, this_machine, usable_cores

MEMINFO = "MemTotal: 1000 kB\nMemFree: 5 kB\nMemAvailable: 800 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A machine with 8 cores and 800 kB; files below its /proc and /sys/fs/cgroup by name."""

    def make(cgroup: str, files: dict[str, str]) -> None:
        (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
        (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup)
        for name, content in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
        monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_address_space_left", lambda: math.inf)
    return make


def test_without_limits_all_cores_and_what_the_system_says_is_free(system) -> None:
    system("0::/user\n", {"user/cpu.max": "max 100000\n", "user/memory.max": "max\n"})
    assert usable_cores() == 8
    assert free_memory_bytes() == 800 * 1024


def test_the_tightest_group_above_counts(system) -> None:
    system(
        "0::/batch/job\n",
        {
            "batch/cpu.max": "150000 100000\n",
            "batch/job/cpu.max": "400000 100000\n",
            "batch/memory.max": "500000\n",
            "batch/memory.current": "300000\n",
            "batch/memory.stat": "anon 1\ninactive_file 50000\n",
            "batch/job/memory.max": "max\n",
        },
    )
    assert usable_cores() == 2  # one and a half are rounded up: threads share them
    assert free_memory_bytes() == 500000 - 300000 + 50000


def test_a_container_sees_its_own_group_as_the_root(system) -> None:
    system("0::/docker/0123\n", {"cpu.max": "300000 100000\n", "memory.max": "400000\n", "memory.current": "0\n"})
    assert usable_cores() == 3
    assert free_memory_bytes() == 400000


def test_control_groups_of_the_first_kind(system) -> None:
    system(
        "4:cpu,cpuacct:/job\n5:memory:/job\n",
        {
            "cpu/job/cpu.cfs_quota_us": "200000\n",
            "cpu/job/cpu.cfs_period_us": "100000\n",
            "memory/job/memory.limit_in_bytes": "600000\n",
            "memory/job/memory.usage_in_bytes": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert usable_cores() == 2
    assert free_memory_bytes() == 500000


def test_a_quota_of_less_than_a_core_is_one(system) -> None:
    system("0::/\n", {"cpu.max": "20000 100000\n"})
    assert usable_cores() == 1


def test_files_that_cannot_be_read_say_nothing(system) -> None:
    system("nonsense\n0::/x\n", {"x/cpu.max": "", "x/memory.max": "lots\n"})
    assert usable_cores() == 8
    assert free_memory_bytes() == 800 * 1024


def test_this_machine_says_what_torch_would_use() -> None:
    found = this_machine("cpu")
    assert found.cores == usable_cores()
    assert found.name == torch.backends.cpu.get_cpu_capability()
    assert found.precision in ("float32", "bfloat16")
    assert 0 < found.memory_gb < 100_000
    assert found.name in str(found)


def test_a_gpus_name_and_what_is_free_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7_000_000_000, 8_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Made-up 9000")
    found = this_machine("cuda:1", "fp16")
    assert (found.device, found.name, found.memory_gb, found.precision) == ("cuda:1", "Made-up 9000", 7.0, "float16")


def test_cores_are_this_processs_own(monkeypatch: pytest.MonkeyPatch, system) -> None:
    system("", {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(5 if process == 0 else 8)), raising=False)
    assert usable_cores() == 5
    monkeypatch.delattr(os, "sched_getaffinity")  # as on a Mac
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_what_ulimit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 of 1000 pages are taken."""
    page = os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "statm").write_text("10 4 2 1 0 3 0\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000 * page, resource.RLIM_INFINITY))
    assert machine._address_space_left() == 990 * page
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert machine._address_space_left() == math.inf


def test_what_ulimit_leaves_for_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5 kB 2 are taken; a system that does not count them sets no limit."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tpython\nVmPeak:\t  9 kB\nVmData:\t  2 kB\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    limits = {resource.RLIMIT_DATA: 5 * 1024}
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (limits.get(kind, resource.RLIM_INFINITY), resource.RLIM_INFINITY)
    )
    assert machine._data_left() == 3 * 1024
    assert machine.free_memory_bytes() == 3 * 1024
    limits[resource.RLIMIT_DATA] = resource.RLIM_INFINITY
    assert machine._data_left() == math.inf
    limits[resource.RLIMIT_DATA] = 1
    (tmp_path / "self" / "status").unlink()
    assert machine._data_left() == math.inf


def test_what_a_container_grants_is_the_limit_whatever_is_free(system) -> None:
    system(
        "0::/batch/job\n",
        {"batch/memory.max": "500000\n", "batch/memory.current": "499000\n", "batch/job/memory.max": "max\n"},
    )
    assert memory_limit_bytes() == 500000
    system("0::/user\n", {"user/memory.max": "max\n"})
    assert memory_limit_bytes() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
