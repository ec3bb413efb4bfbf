"""Runs one program in a process group of its own, limited and measured. No process is left when the call returns.

A single selectors loop reads all of its pipes, so a running command costs no thread.
"""

from __future__ import annotations

import errno
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    DeadlineError,
    FfmpegMissingError,
    InputTooLongError,
    MediaJobsError,
    OutOfMemoryError,
    StalledError,
)
from mediajobs_dagster.media.diagnosis import MemoryLimit
from mediajobs_dagster.media.pipe import Pipe
from mediajobs_dagster.media.usage import Usage
from mediajobs_dagster.models import Sample

_GATHER_S = 0.001
"""How long to let pipes fill before they are read again: programs write line by line and in small steps, and waking up
for each of them costs more than reading."""
_TICK_S = 0.1
"""How often cancellation and the limits are checked."""
_GRACE_S = 0.5
"""The time from SIGTERM to SIGKILL. The output is thrown away, so there is no reason to wait longer."""
_AT_WORK = 0.1
"""A process that used at least this share of a core was at work. On a crowded machine it gets no more than that."""
_CPU_MARKS = 4
"""Marks of CPU time, a quarter of the stall limit apart: the oldest is that old when a process has stalled."""
_NEAR = 1 / 3
"""Share of the limit on memory from which on a failed allocation is put down to it: ffmpeg asks for much at once."""
_FIRST_TO_GO = "500"

# A hostile file that takes ffmpeg over must not find our credentials in its environment.
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "FONTCONFIG_FILE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy"),
)


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Parts of objects are served on this machine (`storage.by_range`), where no proxy would find them.
    return passed_on | {"no_proxy": ",".join(filter(None, [passed_on.get("no_proxy"), "127.0.0.1"]))}


@dataclass(frozen=True)
class Limits:
    """The limits of one process."""

    stall_s: float = 60.0
    """It is stopped after this long without progress, seconds."""
    total_s: float = 6 * 3600.0
    """It is stopped after this long in any case, seconds."""
    memory_mb: int = 0
    """Private writable memory, MiB; 0: no limit. Held on Linux only: macOS does not honour the limit."""
    memory_is_configured: bool = True
    """Whether an operator chose `memory_mb`; if not, it was reckoned from the input."""
    output_mb: int = 0
    """The size of any file that it writes, MiB; 0: no limit."""
    follow_input: bool = False
    """Whether `total_s` is what the input allows. Then a process that uses it up at work is the input's fault."""
    raised_by: tuple[str, ...] = ("MEDIAJOBS_BASE_TIMEOUT_S", "MEDIAJOBS_JOB_TIMEOUT_S")
    """The settings that raise `total_s` where it follows the input; none: it is fixed."""
    makes_something_soon: bool = False
    """Whether a process that is at work for `stall_s` and makes nothing was given that work by its input.

    An encoder that looks far ahead makes nothing for a while either.
    """
    sample_interval_s: float = 2.0
    """How often CPU and memory are sampled, seconds."""


def _inherited() -> list[MemoryLimit]:
    """The limits that this process was started under, by `ulimit` or a service manager; a child inherits them."""
    soft = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return [MemoryLimit(limit >> 20, is_configured=True) for limit in soft if limit != resource.RLIM_INFINITY]


class Child:
    """One run of a program. Read its figures when `run` has returned or raised; its group is gone then."""

    def __init__(self, program: Path, name: str, limits: Limits, cancel: Cancellation) -> None:
        self.exit_code: int | None = None
        """Negative: the signal that ended it. None: it never started."""
        self._program = program
        self._name = name
        self._limits = limits
        self._cancel = cancel
        self._process: subprocess.Popen[bytes] | None = None
        self._usage: Usage | None = None
        self._started = self._moved_at = time.monotonic()
        self._bytes_read = 0
        self._cpu_before: deque[float] = deque([0.0], maxlen=_CPU_MARKS)
        self._reading_due = self._started + limits.stall_s / 4

    @property
    def cpu_seconds(self) -> float:
        """User and system time by the kernel's account."""
        return self._usage.cpu_seconds if self._usage else 0.0

    @property
    def max_rss_mb(self) -> float | None:
        """Peak resident memory, MiB; None: it ended before it could be measured."""
        return self._usage.max_rss_mb if self._usage else None

    def memory_limit_reached(self, wanted_mb: float | None) -> MemoryLimit | None:
        """The limit on memory that a failed allocation is due to; None: it is due to none.

        `wanted_mb` is the size of that allocation, if known. Memory that was granted just before may not have been
        seen, so one that would have fitted into a limit is taken to have met it; into the configured one twice, because
        an input may declare what just fits.
        """
        used_mb = max(self._usage.data_mb, self._usage.max_rss_mb or 0.0) if self._usage else 0.0
        own = MemoryLimit(self._limits.memory_mb, self._limits.memory_is_configured)
        reached = [limit for limit in (*_inherited(), own) if limit.mb and used_mb >= _NEAR * limit.mb]
        if not reached and wanted_mb:
            granted_mb = own.mb / 2 if own.is_configured else own.mb
            reached = [limit for limit in _inherited() if limit.mb and wanted_mb < limit.mb]
            reached += [own] if wanted_mb < granted_mb else []
        return min(reached, key=lambda limit: limit.mb, default=None)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The curve of CPU and memory."""
        return tuple(self._usage.samples) if self._usage else ()

    def moved(self) -> None:
        """Report that the process made progress: the stall limit counts from now."""
        self._moved_at = time.monotonic()

    def look_at_peak(self) -> None:
        """Note the peak of memory now; worth it when the process is about to end."""
        if self._usage:
            self._usage.look_at_peak()

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | None,
        stderr: Pipe,
        stdout: Pipe | None = None,
        progress: Pipe | None = None,
    ) -> int:
        """Run it to its end and return the exit code.

        Raises FfmpegMissingError or OutOfMemoryError when it cannot be started, StalledError or DeadlineError when a
        limit stopped it, the error of the cancellation, and whatever the sink of a pipe raises.
        """
        pipes = [pipe for pipe in (stderr, stdout, progress) if pipe]
        try:
            self._process = self._start(arguments, cwd, stderr, stdout, progress)
            for pipe in pipes:
                pipe.close_write_end()
            self._usage = Usage(self._process.pid, self._limits.sample_interval_s)
            self._limit(self._process.pid)
            self._watch(pipes, stderr)
            return self._wait()
        finally:
            # Whatever ended the call, a KeyboardInterrupt included: no process and no descriptor is left.
            self._kill()
            for pipe in pipes:
                pipe.close()

    def _start(
        self, arguments: Sequence[str], cwd: Path | None, stderr: Pipe, stdout: Pipe | None, progress: Pipe | None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self._program, *arguments],
                cwd=cwd,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout.write_end if stdout else subprocess.DEVNULL,
                stderr=stderr.write_end,
                pass_fds=[progress.write_end] if progress else [],
                start_new_session=True,
            )
        except OSError as error:
            if error.errno in (errno.ENOMEM, errno.EAGAIN):
                raise OutOfMemoryError(
                    f"{self._name} could not be started: {error.strerror}. Give the worker more memory or processes, "
                    "or lower its concurrency."
                ) from error
            raise FfmpegMissingError(f"{self._name} could not be started: {error}. Check its path and mode.") from error

    def _limit(self, pid: int) -> None:
        # Set from outside: code between fork and exec is not safe in a process with threads.
        if sys.platform != "linux":
            return
        # Not the address space: each thread reserves tens of megabytes of it and uses hardly any.
        limits = ((resource.RLIMIT_DATA, self._limits.memory_mb), (resource.RLIMIT_FSIZE, self._limits.output_mb))
        for kind, mb in limits:
            _, most = resource.getrlimit(kind)
            limit = mb * 2**20 if most == resource.RLIM_INFINITY else min(mb * 2**20, most)
            if mb:
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, kind, (limit, limit))
        if self._limits.memory_mb:
            # When the machine runs out of memory all the same, this is what the kernel shall end, and not a worker.
            with suppress(OSError):
                Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST_TO_GO)

    def _watch(self, pipes: Sequence[Pipe], stderr: Pipe) -> None:
        assert self._usage  # set by run
        with selectors.DefaultSelector() as selector:
            for pipe in pipes:
                selector.register(pipe, selectors.EVENT_READ, pipe)
            while selector.get_map():
                ready = selector.select(_TICK_S)
                self._usage.look()  # first: what the pipes' listeners do may end the process
                waits = bool(ready)
                for key, _ in ready:
                    pipe: Pipe = key.data
                    if pipe is stderr:
                        self.look_at_peak()  # it may say that it got no memory, and still has what it got before
                    goes_on = pipe.pump()
                    if not goes_on:
                        selector.unregister(pipe)
                    # When one pipe has ended, the others are about to.
                    waits = waits and goes_on and not pipe.was_full
                self._check()
                if waits:
                    time.sleep(_GATHER_S)

    def _check(self) -> None:
        self._cancel.check()
        now = time.monotonic()
        if now - self._started > self._limits.total_s:
            raise self._late(now)
        if now >= self._reading_due:
            self._reading_due = now + self._limits.stall_s / 4
            self._look_at_reading()
        if now - self._moved_at > self._limits.stall_s:
            raise self._stalled()

    def _late(self, now: float) -> MediaJobsError:
        limit = self._limits.total_s
        if self._limits.follow_input and self._cpu_so_far() > _AT_WORK * (now - self._started):
            settings = " or ".join(self._limits.raised_by)
            return InputTooLongError(
                f"{self._name} worked on the input for {limit:.0f} s, and was stopped: "
                + (
                    f"that is all its size and length allow. Raise {settings} if such inputs are intended."
                    if settings
                    else "no input may take longer."
                )
            )
        return DeadlineError(
            f"{self._name} took longer than its limit of {limit:g} s and was stopped. "
            "Raise MEDIAJOBS_JOB_TIMEOUT_S if such long jobs are intended."
        )

    def _stalled(self) -> MediaJobsError:
        limit = self._limits.stall_s
        # One that hangs uses no CPU. One that works all the time and makes nothing was given that work by its input.
        busy = self._cpu_so_far() - self._cpu_before[0]
        if self._limits.makes_something_soon and busy > _AT_WORK * limit:
            return InputTooLongError(
                f"{self._name} worked on the input for {limit:g} s without making anything of it, and was stopped. "
                "MEDIAJOBS_STALL_TIMEOUT_S is the limit."
            )
        return StalledError(
            f"{self._name} made no progress for {limit:g} s and was stopped. The input or the disk "
            "may hang; MEDIAJOBS_STALL_TIMEOUT_S is the limit."
        )

    def _cpu_so_far(self) -> float:
        return self._usage.cpu_so_far() if self._usage else 0.0

    def _look_at_reading(self) -> None:
        self._cpu_before.append(self._cpu_so_far())
        # Moving the index to the front of a large MP4, or seeking in a file without one, takes long and is not part of
        # ffmpeg's progress; but ffmpeg reads meanwhile.
        read = self._usage.bytes_read() if self._usage else None
        if read is not None and read > self._bytes_read:
            self._bytes_read = read
            self.moved()

    def _wait(self) -> int:
        # All pipes are closed, so it is about to end; one that closed them and lives on is still held to the limits.
        pause = 0.0005
        while not self._reap(os.WNOHANG):
            self._check()
            time.sleep(pause)
            pause = min(2 * pause, _TICK_S)
        assert self.exit_code is not None  # it was reaped
        return self.exit_code

    def _kill(self) -> None:
        if self._process is None or self.exit_code is not None:
            return
        self.look_at_peak()
        deadline = time.monotonic() + _GRACE_S
        try:
            self._signal(signal.SIGTERM)
            while time.monotonic() < deadline and not self._reap(os.WNOHANG):
                time.sleep(0.005)
        finally:
            # The group's id stays in use while any member lives, so this reaches the rest of the group or nobody.
            self._signal(signal.SIGKILL)
            if self.exit_code is None:
                self._reap(0)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process  # only called once it has started
        # macOS answers EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _reap(self, flags: int) -> bool:
        assert self._process  # only called once it has started
        pid, status, total = os.wait4(self._process.pid, flags)
        if not pid:
            return False
        # Popen would wait for the process itself and lose the kernel's account of it; this tells it that it is done.
        self.exit_code = self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._usage:
            self._usage.close(total)
        return True
