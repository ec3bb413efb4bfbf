"""One long-lived process: starts it, forwards its output, stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

Say = Callable[[str, str], None]
"""Called from any thread with the name of a process and a line that it printed."""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_POLL_S = 0.02
_STABLE_S = 60.0
"""A process that lived this long, seconds, is expected to live after a restart."""
_LAST_OUTPUT_S = 1.0
"""How long to wait for the last output of a dead process, seconds. Its children may still hold the pipe open."""


@dataclass(frozen=True)
class ProcessSpec:
    """What to run, and how long it may take to stop."""

    name: str
    command: tuple[str, ...]
    grace_s: float = 10.0
    """How long it may take to stop before it is killed, seconds."""


@dataclass
class SupervisedProcess:
    """A supervised process, restarted when it dies. For use from one thread."""

    spec: ProcessSpec
    say: Say
    deaths: int = 0
    """How often in a row it died within `_STABLE_S`."""
    _process: subprocess.Popen[bytes] | None = None
    _reader: threading.Thread | None = None
    _started: float = 0.0
    _resume_at: float = 0.0
    _orphans: dict[int, float] = field(default_factory=dict[int, float])
    """Process groups whose leader died, each with the time at which its grace period ends."""

    @property
    def pid(self) -> int | None:
        """The id of the current process; None if there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process in a session of its own, so that only the supervisor gets the Ctrl-C of a terminal."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self.spec.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def restart_if_dead(self) -> None:
        """Notice that the process died; start it again after a pause."""
        self._end_orphans()
        if self._process is None:
            if time.monotonic() >= self._resume_at:
                self.start()
            return
        code = self._process.poll()
        if code is None:
            return
        now = time.monotonic()
        self._orphans[self._process.pid] = now + self.spec.grace_s
        self._process = None
        self.deaths = self.deaths + 1 if now - self._started < _STABLE_S else 1
        pause = min(_FIRST_PAUSE_S * 2 ** (self.deaths - 1), _LONGEST_PAUSE_S)
        self._resume_at = now + pause
        self._drain_output()
        self.say(self.spec.name, f"ended ({_ending(code)}); it starts again in {pause:g} s")

    def stop(self, is_hurried: Callable[[], bool]) -> None:
        """Ask it to stop, and wait. After its grace time, or in a hurry, kill it and its children."""
        if self._process is not None:
            self._process.terminate()
            give_up = time.monotonic() + self.spec.grace_s
            while self._process.poll() is None and time.monotonic() < give_up and not is_hurried():
                time.sleep(_POLL_S)
            if self._process.poll() is None:
                self.say(self.spec.name, "did not stop in time and was killed")
            _kill_group(self._process.pid)
            self._process.wait()
            self._process = None
            self._drain_output()
        for group in self._orphans:
            _kill_group(group)
        self._orphans.clear()

    def _end_orphans(self) -> None:
        for group in [group for group, until in self._orphans.items() if time.monotonic() > until]:
            _kill_group(group)
            del self._orphans[group]

    def _drain_output(self) -> None:
        # The last lines of a process often say why it ended, so they come before the message that it ended.
        if self._reader is not None:
            self._reader.join(_LAST_OUTPUT_S)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout  # `start` asked for a pipe
        with process.stdout as output:
            for line in output:
                self.say(self.spec.name, line.decode(errors="replace").rstrip())


def _kill_group(group: int) -> None:
    # The group's id is not reused while a member lives, so this kills the rest of the group or nothing.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
