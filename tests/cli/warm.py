"""Runs many commands, each in a fork of one process that has imported everything: a fork takes no time, an import does.

`python -m tests.cli.warm` reads one JSON request a line and answers each with a line. A request may ask for what only a
process of its own can have: a file system that is full, and a user who must obey the modes of files even as root.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.conftest import Answer

_DISK_BYTES = 2 << 20

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION = 0x20080522


@dataclass(frozen=True)
class Request:
    """A command, and the world in which it is run."""

    arguments: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    folder: str = "."
    """The working folder."""
    full: str | None = None
    """A folder whose file system has no room left."""
    longest_s: float = 30.0
    """How long it may run before it is killed, seconds."""


class Warm:
    """The process that answers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, request: Request) -> Answer:
        """What a command printed and how it ended."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._process.stdout.readline()))


@contextmanager
def warm_process() -> Generator[Warm]:
    """Start it, and end it with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Warm(process)
        assert process.stdin
        process.stdin.close()


def _answer(request: Request) -> dict[str, Any]:
    # Pipes, because a limit on the size of files counts for output in files too. What a command says fits into one.
    pipes = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        _become(request, *(end for _, end in pipes))
    code = _wait(child, request.longest_s)
    said: list[str] = []
    for reading, writing in pipes:
        os.close(writing)
        os.set_blocking(reading, False)
        try:
            said.append(os.read(reading, 1 << 16).decode())
        except BlockingIOError:  # nothing was said, and somebody who has survived could still say something
            said.append("")
        os.close(reading)
    return {"code": code, "out": said[0], "err": said[1]}


def _wait(child: int, longest_s: float) -> int:
    """The exit code of a command; a negative one is the number of the signal that ended it."""
    give_up = time.monotonic() + longest_s
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > give_up:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)
    with suppress(ProcessLookupError):  # what it has started, such as another server
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(ended[1])


def _become(request: Request, out: int, err: int) -> None:
    """In the fork: be the command, and end."""
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        for name in [name for name in os.environ if name.startswith("MEDIAJOBS_")]:
            del os.environ[name]
        os.environ.update(request.environment)
        tempfile.tempdir = None
        os.chdir(request.folder)
        if request.full:
            _fill(Path(request.full))
        _obey_modes()
        sys.argv = ["mediajobs", *request.arguments]
        from mediajobs_dagster.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as an interpreter would show it
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _fill(folder: Path) -> None:
    """Lay a small disk over `folder`, its files on it and no room left; where nobody may mount, forbid to write."""
    kept = [(path.relative_to(folder), path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    folders = [path.relative_to(folder) for path in folder.rglob("*") if path.is_dir()]
    size = _DISK_BYTES + sum(len(content) for _, content in kept)
    if not _mount(folder, size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        return
    for each in folders:
        (folder / each).mkdir(parents=True)
    for name, content in kept:
        (folder / name).write_bytes(content)
    with (folder / "other.bin").open("wb", buffering=0) as filling:
        for chunk in (1 << 16, 1):
            try:
                while True:
                    filling.write(bytes(chunk))
            except OSError:
                pass


def _mount(folder: Path, size: int) -> bool:
    """Mount a disk of `size` bytes that only this process sees: as root, or in a space of users of its own."""
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        if libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER):
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    libc.mount(b"none", b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE: nobody else sees the next one
    options = f"size={size},uid={user},gid={group}".encode()
    return libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, options) == 0


def _obey_modes() -> None:
    """Root may write where the modes of files forbid it; take that right away, from programs that it starts too."""
    if not sys.platform.startswith("linux") or os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for which in range(3):  # effective, permitted, inheritable
        sets[which] &= ~(1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
    assert libc.capset(header, sets) == 0


def serve() -> None:
    """Answer until nobody asks any more."""
    import mediajobs_dagster.cli.main
    import mediajobs_dagster.preload  # noqa: F401  # so that no fork has to import it

    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(Request(**json.loads(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
