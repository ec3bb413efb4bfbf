"""Measures a child process: samples while it runs, and the kernel's totals when it has ended."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import psutil

from mediajobs_dagster.models import Sample

_MAX_SAMPLES = 120
_PEAK_INTERVAL_S = 0.02
_STATUS_BYTES = 1 << 16
"""One read returns the whole file: some 1.5 KiB, and more where the user is in many groups."""


class Usage:
    """CPU and memory of the process `pid`: a thin curve while it runs, exact totals at its end."""

    def __init__(self, pid: int, sample_interval_s: float) -> None:
        self.cpu_seconds = 0.0
        self.max_rss_mb: float | None = None
        self.data_mb = 0.0
        """The most private writable memory seen, MiB: what the limit on memory counts. 0 where nothing tells."""
        self.samples: list[Sample] = []
        self._pid = pid
        self._io = Path(f"/proc/{pid}/io")
        # Kept open, because it is read every few milliseconds, and opening it takes longer than reading it.
        self._status = _opened(f"/proc/{pid}/status")
        # The kernel counts the parent's memory at the moment of the start into the child's peak (measured: a `sleep`
        # started by a process that once held 400 MB is said to have used 413). A peak is the child's own only above it.
        self._inherited_mb = _peak_mb(resource.getrusage(resource.RUSAGE_SELF))
        self._seen_mb: float | None = None
        self._peak_due = 0.0
        self._started = time.monotonic()
        self._interval = sample_interval_s
        self._sample_due = self._started + sample_interval_s
        self._sampled_at, self._sampled_cpu = self._started, 0.0

    def look(self) -> None:
        """Take a sample and the peak of memory, each if it is due. Cheap enough for every turn of a loop."""
        now = time.monotonic()
        if now >= self._peak_due:
            self._peak_due = now + _PEAK_INTERVAL_S
            self.look_at_peak()
        if now >= self._sample_due:
            self._sample_due = now + self._interval
            self._sample(now)

    def look_at_peak(self) -> None:
        """Note the process's own peak of memory. It is gone once the process is, so the last look counts."""
        if self._status is None:
            return
        try:
            status = os.pread(self._status, _STATUS_BYTES, 0)
        except OSError:  # ended
            return
        kib = _field(status, b"VmHWM:")
        if kib is not None:
            self._seen_mb = max(self._seen_mb or 0.0, kib / 1024)
        self.data_mb = max(self.data_mb, (_field(status, b"VmData:") or 0) / 1024)

    def bytes_read(self) -> int | None:
        """Bytes the process has read so far, from any source; None where the system does not tell."""
        # rchar counts every read, from a cache or a socket too; psutil tells disk reads only.
        try:
            return _field(self._io.read_bytes(), b"rchar:")
        except OSError:  # ended, not readable, or a system without /proc
            return None

    def cpu_so_far(self) -> float:
        """User and system time so far, seconds; 0 when the process has ended."""
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system

    def close(self, total: resource.struct_rusage) -> None:
        """Take the kernel's totals for the ended process. Always called: it keeps a file open until then."""
        if self._status is not None:
            os.close(self._status)
            self._status = None
        self.cpu_seconds = total.ru_utime + total.ru_stime
        peak = _peak_mb(total)
        # A process that is over before the first look leaves no figure of its own: unknown, not the parent's.
        self.max_rss_mb = peak if peak > self._inherited_mb else self._seen_mb

    def _sample(self, now: float) -> None:
        try:
            process = psutil.Process(self._pid)  # still ours: it has not been waited for
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:  # ended between two looks
            return
        if not memory.rss:  # ended, and not collected yet: its memory is gone
            return
        cpu = times.user + times.system
        share = max(0.0, cpu - self._sampled_cpu) / max(now - self._sampled_at, 1e-3)
        self._sampled_at, self._sampled_cpu = now, cpu
        self.samples.append(
            Sample(seconds=now - self._started, cpu_pct=100 * share, rss_mb=memory.rss / 2**20),
        )
        if len(self.samples) >= _MAX_SAMPLES:
            # A long run keeps a curve of the same size: every other sample goes, and they are taken half as often.
            del self.samples[::2]
            self._interval *= 2


def _opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # ended, not readable, or a system without /proc
        return None


def _field(text: bytes, name: bytes) -> int | None:
    _, _, rest = text.partition(name)
    return int(rest.split(maxsplit=1)[0]) if rest else None


def _peak_mb(usage: resource.struct_rusage) -> float:
    # KiB on Linux, bytes on macOS.
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
