"""The cores and memory that this process may use, by affinity and cgroup, and how many threads an ffmpeg gets.

In a container the machine's own figures mislead: an ffmpeg that starts 64 threads under a quota of two cores is
throttled, and pays memory for every thread.
"""

from __future__ import annotations

import math
import os
import re
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition

import psutil

from mediajobs_dagster.cancellation import Cancellation

_ROOT = Path("/")
_COUNTED = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_MEMORY_EACH = 512 * 2**20
"""Bytes that a light ffmpeg usually needs at most. One that needs more waits until there is room (`MemoryRoom`)."""
_LARGEST_SHARE = 0.75
"""Share of the memory that one command may take: the rest is for us, and for what else runs here."""
_ROOM_SHARE = 0.4
"""Share of the memory for the commands of one process, side by side. A machine has a run for each lane."""
_WAIT_S = 0.2


@dataclass(frozen=True)
class Budget:
    """Cores (a quota may grant a part of one) and memory granted to this process."""

    cores: float
    memory_bytes: int

    def threads(self, configured: int = 0, concurrency: int = 1) -> int:
        """Threads for each of `concurrency` ffmpegs at work side by side; `configured` wins unless it is 0."""
        return configured or max(1, math.ceil(self.cores / concurrency))

    def side_by_side(self, threads: int) -> int:
        """How many attempts to run side by side, when each ffmpeg uses `threads` threads (0: all there are).

        One more than the cores suffice for: while one waits for the disk or the network, its core has work. Memory may
        allow fewer.
        """
        if not threads:
            return 1
        return max(1, min(math.ceil(self.cores / threads) + 1, self.memory_bytes // _MEMORY_EACH))

    @property
    def largest_command_bytes(self) -> int:
        """The most memory that one command may take."""
        return int(self.memory_bytes * _LARGEST_SHARE)

    @property
    def room_bytes(self) -> int:
        """The memory for all commands of one process."""
        return int(self.memory_bytes * _ROOM_SHARE)


class MemoryRoom:
    """Memory that the commands of one process share. A command starts when what it takes at most is free.

    In the order of asking, so that no large one waits for ever. One that needs more than there is runs by itself.
    """

    def __init__(self, size: float = math.inf) -> None:
        """`size` is how much there is, bytes."""
        self._size, self._taken = size, 0
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def taken(self, wanted: int, cancel: Cancellation) -> Generator[None]:
        """Wait for `wanted` bytes, and hold them inside the block. Raises the error of the cancellation."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                while self._waiting[0] is not me or (self._taken and self._taken + wanted > self._size):
                    cancel.check()
                    self._changed.wait(_WAIT_S)
                self._taken += wanted
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


def granted_budget(root: Path = _ROOT) -> Budget:
    """The budget of this process. `root` is where `/proc` and `/sys` are found."""
    return Budget(
        cores=min([float(_affinity()), *_cpu_quotas(root)]),
        memory_bytes=min([psutil.virtual_memory().total, *_memory_limits(root)]),
    )


@dataclass(frozen=True)
class OomWatch:
    """The files where the kernel counts the processes that it killed for lack of memory. Every command reads them."""

    files: tuple[Path, ...]

    @classmethod
    def of_process(cls, root: Path = _ROOT) -> OomWatch:
        """The counters of this process's cgroups; `root` is where `/proc` and `/sys` are found."""
        # memory.events is cgroup v2, memory.oom_control is v1.
        names = ("memory.events", "memory.oom_control")
        files = (folder / name for folder in _cgroups(root, "memory") for name in names)
        return cls(tuple(file for file in files if _COUNTED.search(_read(file))))

    def kills(self) -> int:
        """How many were killed so far; 0 where the kernel does not tell."""
        counts = (_COUNTED.search(_read(file)) for file in self.files)
        return max((int(count[1]) for count in counts if count), default=0)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroups(root, "cpu"):
        # v2: "200000 100000", or "max 100000" for no quota.
        quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[int]:
    for folder in _cgroups(root, "memory"):
        # v1 says "no limit" with a number near 2^63, which loses against the machine's own memory.
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read(folder / name).strip()
            if limit.isdigit():
                yield int(limit)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders that may limit this process, innermost first, cgroup v2 and v1."""
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # v1 mounts are named after a controller; in a container the path is often outside of what is mounted.
        top = mounts / controller if controllers else mounts
        inner = top / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # missing or not readable: no limit is known then
        return ""
