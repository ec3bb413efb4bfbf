"""Bounds on what yt-dlp makes of an answer: it reads pages whole, unpacks them whole, and writes lists out in memory.

Some hundred bytes can ask for gigabytes: a compressed page of zeros, or a manifest that says that its only part comes
two thousand million times.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Lock, Thread, get_ident
from typing import Any

import psutil

PAGE_BYTES = 32 << 20
"""Pages of video sites have a few megabytes, manifests of talks of a day too."""
MEMORY_BYTES = 512 << 20
"""What is made of a page in memory."""
_MIB = 1 << 20
_PIECE_BYTES = 1 << 20
_EVERY_S = 0.1
_PAUSE_S = 2.0


class TooMuchError(Exception):
    """An answer is larger than pages and manifests are, or takes too much memory; the message says which."""


class Stopped(BaseException):
    """Raised in the middle of whatever a thread does. No Exception, because yt-dlp goes on after those."""


def bound_unpacking(module: Any) -> None:
    """Have yt-dlp's module of HTTP unpack no more than PAGE_BYTES of an answer, and take what can be bounded only."""
    handler = module.HTTPHandler
    handler.gz = staticmethod(_gunzipped)
    handler.deflate = staticmethod(_inflated)
    module.brotli = None
    module.SUPPORTED_ENCODINGS[:] = ["gzip", "deflate"]


def _gunzipped(data: bytes) -> bytes:
    return _unpacked(data, zlib.MAX_WBITS | 16)


def _inflated(data: bytes) -> bytes:
    # With a head or without one: servers do either.
    try:
        return _unpacked(data, -zlib.MAX_WBITS)
    except zlib.error:
        return _unpacked(data, zlib.MAX_WBITS)


def _unpacked(data: bytes, window: int) -> bytes:
    if not data:
        return data
    unpacking = zlib.decompressobj(window)
    found = unpacking.decompress(data, PAGE_BYTES)
    if unpacking.unconsumed_tail:
        raise TooMuchError(f"a page or list there has more than {PAGE_BYTES // _MIB} MiB when it is unpacked")
    if not unpacking.eof:
        raise zlib.error("the answer is cut off")
    return found


def bound_reading(answer: Any) -> None:
    """Have an answer raise TooMuchError when all of it is read and that is more than PAGE_BYTES.

    What is read piece by piece, as media are, has no bound here.
    """
    read: Callable[[int | None], bytes] = answer.read

    def bounded(size: int | None = None) -> bytes:
        if size is not None and size >= 0:
            return read(size)
        length = getattr(answer.fp, "length", None)
        if isinstance(length, int) and length <= PAGE_BYTES:
            return read(None)
        found = bytearray()
        while piece := read(_PIECE_BYTES):
            found += piece
            if len(found) > PAGE_BYTES:
                raise TooMuchError(f"a page or list there has more than {PAGE_BYTES // _MIB} MiB")
        return bytes(found)

    answer.read = bounded


@contextmanager
def memory_bounded(most_bytes: int) -> Generator[None]:
    """Raise Stopped in the block, wherever it is, when the process has grown by more than `most_bytes` inside of it."""
    process, over, turn, thread_id = psutil.Process(), Event(), Lock(), get_ident()
    limit = process.memory_info().rss + most_bytes

    def watch() -> None:
        pause_s = _EVERY_S
        while not over.wait(pause_s):
            pause_s = _EVERY_S
            if process.memory_info().rss > limit:
                with turn:
                    if not over.is_set():
                        _raise_in(thread_id, Stopped)
                pause_s = _PAUSE_S  # until what is taken up is given back; whoever has caught it gets it again

    Thread(target=watch, name="memory-watch", daemon=True).start()
    try:
        yield
    finally:
        try:
            over.set()
        finally:  # it may come here, and comes once in two seconds
            over.set()
            with turn:
                _raise_in(thread_id, None)


def _raise_in(thread_id: int, kind: type[BaseException] | None) -> None:
    """Raise an exception in a thread at its next step; None: take back one that it has not met yet."""
    raised = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), raised)
