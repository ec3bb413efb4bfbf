"""Exclusive use of a data folder and of a port. The error for a second user names the first one."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from mediajobs_dagster.errors import AlreadyRunningError, PortTakenError, SettingsError

_LOCK = "up.lock"
_TRIES, _PAUSE_S = 10, 0.02


@contextmanager
def sole_user_of(folder: Path, note: str, *, works_with: str = "") -> Generator[None]:
    """Lock the folder for this process; `note` tells others who has it, `works_with` what `used_with` tells them.

    The kernel releases the lock when the process ends, however it ends. Raises AlreadyRunningError, SettingsError.
    """
    with _used(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        if not _is_locked(lock):
            holder = _note_in(lock)[0] or "another process"
            raise AlreadyRunningError(
                f"mediajobs is up on {folder} already: {holder}. Use that one, stop it, or set MEDIAJOBS_HOME to "
                "another folder."
            )
        with _used(folder):
            os.truncate(lock, 0)
            os.write(lock, f"{note}\n{works_with}".encode())
        yield
    finally:
        os.close(lock)


def _is_locked(lock: int) -> bool:
    """Lock it for this process. Who only asks whether it is used holds it for a moment, so that is waited for."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def user_of(folder: Path) -> str | None:
    """Who is the sole user of the folder at the moment, in its own words; None: nobody."""
    found = _user(folder)
    return found and (found[0] or "another process")


def is_used(folder: Path) -> bool:
    """Whether a process is the sole user of the folder at the moment."""
    return _user(folder) is not None


def used_with(folder: Path) -> str | None:
    """What the sole user of the folder says that it works with; None if the folder has none at the moment."""
    found = _user(folder)
    return found and found[1]


def _user(folder: Path) -> tuple[str, str] | None:
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # nobody has ever been, or none of this user
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _note_in(lock)
    finally:
        os.close(lock)
    return None


def _note_in(lock: int) -> tuple[str, str]:
    """Who holds the lock, and what with."""
    note, _, works_with = os.pread(lock, 1000, 0).decode(errors="replace").partition("\n")
    return note.strip(), works_with.strip()


@contextmanager
def _used(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used: {error.strerror}. Point MEDIAJOBS_HOME elsewhere.") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def check_port(host: str, port: int, *, option: str = "--port") -> None:
    """Raise PortTakenError if the port is in use; the error names the process if the system tells."""
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SettingsError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another.") from error
    raise PortTakenError(f"Port {port} is taken by {_holder(port)}. Stop that, or choose another port with {option}.")


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:  # a name
        return False
    return True


def _holder(port: int) -> str:
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        found = [each.pid for each in listening if each.laddr and each.laddr.port == port]
        pid = next((pid for pid in found if pid), None)
        return f"process {pid} ({' '.join(psutil.Process(pid).cmdline())[:120]})" if pid else "another process"
    except psutil.Error:  # it has just ended, or the system does not tell everybody
        return "another process"
