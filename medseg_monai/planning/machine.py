"""What a training can use of this machine: cores, instruction set, memory, device.

A container or a batch system often grants less than the machine has. What counts here is what the process may really use: the cores of
its affinity and of its control group (cgroup) quota, and the least of free memory, the control group's limit and `ulimit -v`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from medseg_monai.engines.precision import precision_of

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60
"""From here on a limit of the first kind of control groups means none: they write a number near 2^63."""


@dataclass(frozen=True)
class Machine:
    """What a training can use.

    Attributes:
        device: ``cpu``, ``cuda:0``, ``mps``.
        name: the GPU's, or the instruction set that torch uses on the CPU.
        cores: that this process may use at once.
        precision: the dtype that ``auto`` stands for here: ``bfloat16``, ``float16`` or ``float32``.
        memory_gb: that is free on the device now, in GB of 10^9 bytes; infinite if the system does not say.
    """

    device: str
    name: str
    cores: int
    precision: str
    memory_gb: float

    def __str__(self) -> str:
        """For people."""
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        what = f"CPU ({cores}, {self.name})" if self.device == "cpu" else f"{self.device} ({self.name}; {cores})"
        memory = "" if math.isinf(self.memory_gb) else f", {self.memory_gb:.1f} GB of memory free"
        return f"{what}, {self.precision}{memory}"


def this_machine(device: str | torch.device = "cpu", precision: str = "auto") -> Machine:
    """What can be used of this machine now."""
    kind = torch.device(device)
    dtype = precision_of(precision, kind) or torch.float32
    if kind.type == "cuda":
        free, _ = torch.cuda.mem_get_info(kind)
        name, memory = torch.cuda.get_device_name(kind), free / 1e9
    else:  # Apple's GPU shares the machine's memory
        name = "Apple" if kind.type == "mps" else torch.backends.cpu.get_cpu_capability()
        memory = free_memory_bytes() / 1e9
    return Machine(str(device), name, usable_cores(), str(dtype).removeprefix("torch."), memory)


def usable_cores() -> int:
    """Cores that this process may use at once: those of its affinity, at most those of its control group's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quotas = [quota for folder in _groups("cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(math.ceil(quota) for quota in quotas)]))


def free_memory_bytes() -> float:
    """Memory that is still free for this process, in bytes; infinite if the system does not say."""
    limits = [_free_in_system()]
    for folder in _groups("memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes") or 0
        if limit is not None and limit < UNLIMITED:
            # pages of files that were read count as used, and are given back when memory is wanted
            limits.append(max(0.0, limit - used + _given_back(folder)))
    return min(*limits, _address_space_left(), _data_left())


def memory_limit_bytes() -> float:
    """The most memory that this process may use, however much of it is in use now, in bytes; infinite if the system does not say."""
    limits = [math.inf]
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for folder in _groups("memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        limits += [limit] if limit is not None and limit < UNLIMITED else []
    return min(limits)


def _free_in_system() -> float:
    """As Linux estimates it; elsewhere half of all memory."""
    with suppress(OSError, ValueError, IndexError, StopIteration):
        lines = (PROC / "meminfo").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    with suppress(AttributeError, ValueError, OSError):
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def _address_space_left() -> float:
    """What `ulimit -v` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    used = _number(PROC / "self" / "statm") or 0
    return max(0.0, limit - used * os.sysconf("SC_PAGE_SIZE"))


def _data_left() -> float:
    """By ``ulimit -d``."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    limit, used = resource.getrlimit(resource.RLIMIT_DATA)[0], data_bytes()
    return math.inf if limit == resource.RLIM_INFINITY or used is None else max(0.0, limit - used)


def data_bytes() -> int | None:
    """What the kernel counts towards ``RLIMIT_DATA`` already; None if this is not Linux."""
    with suppress(OSError, ValueError, StopIteration):
        lines = (PROC / "self" / "status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])
    return None


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control group and those above it, of the second kind or of the first with `controller`."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            root = CGROUPS
        elif controller in controllers.split(","):
            root = CGROUPS / controller
        else:
            continue
        # in a container the path may be the host's, and the group itself is the root
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_dir() and folder.is_relative_to(root))
        if not group.is_dir():
            yield root


def _quota(folder: Path) -> float | None:
    """Cores that a control group grants; None for all."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us is not None and quota_us > 0 and period_us else None


def _given_back(folder: Path) -> int:
    with suppress(OSError, ValueError):
        lines = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(lines.get("inactive_file", lines.get("total_inactive_file", 0)))
    return 0


def _number(*files: Path) -> int | None:
    """The first number in the first of these files that exists; None if there is none."""
    for file in files:
        with suppress(OSError, ValueError, IndexError):
            return int(file.read_text().split()[0])
    return None
