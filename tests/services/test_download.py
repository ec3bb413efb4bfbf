"""A download: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mediajobs_dagster.errors import (
    DiskFullError,
    MediaJobsError,
    ServiceAnswerError,
    ServiceRefusedError,
    ServiceTooLargeError,
)
from mediajobs_dagster.services.answers import Download
from tests.services.conftest import Bench
from tests.services.server import Behaviour, head, serving

CONTENT = os.urandom(300_000)


def fetch(bench: Bench, url: str, path: Path, **options: object) -> Download:
    """One download, of up to a megabyte."""
    options = {"max_bytes": 1_000_000, **options}
    return bench.client.download(url, path, service="web", op="fetch", **options)  # pyright: ignore[reportArgumentType]


def test_a_file_is_fetched(bench: Bench, tmp_path: Path) -> None:
    """Byte for byte, with progress up to the last one, and recorded once."""
    told: list[tuple[int, int | None]] = []
    with serving(lambda exchange: exchange.answer(CONTENT, headers={"ETag": "x"})) as server:
        download = fetch(
            bench, f"{server.url}/a", tmp_path / "f", params={"n": 1}, on_bytes=lambda *now: told.append(now)
        )
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert (download.path, download.bytes, download.headers["etag"]) == (tmp_path / "f", len(CONTENT), "x")
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 2
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)
    assert server.exchanges[0].target == "/a?n=1"
    assert server.exchanges[0].headers["Accept-Encoding"] == "identity"
    assert (bench.call.status, bench.call.bytes) == ("ok", len(CONTENT))
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_of_unknown_length_is_fetched(bench: Bench, tmp_path: Path) -> None:
    """Progress then does not say of how much."""
    told: list[tuple[int, int | None]] = []
    with serving(lambda exchange: exchange.end(head(200, {}) + CONTENT)) as server:
        fetch(bench, server.url, tmp_path / "f", on_bytes=lambda *now: told.append(now))
    assert told[-1] == (len(CONTENT), None)
    assert (tmp_path / "f").read_bytes() == CONTENT


FAILURES: dict[str, tuple[Behaviour, type[MediaJobsError]]] = {
    "refused": (lambda e: e.answer(status=404), ServiceRefusedError),
    "cut off": (lambda e: e.end(head(200, {"Content-Length": "999"}) + b"x"), ServiceAnswerError),
    "declares too much": (lambda e: e.answer(b"", headers={"Content-Length": "1000001"}), ServiceTooLargeError),
    "is too much": (lambda e: e.end(head(200, {}) + b"x" * 1_000_001), ServiceTooLargeError),
}


@pytest.mark.parametrize(("behave", "kind"), FAILURES.values(), ids=FAILURES)
def test_a_failure_leaves_what_was_there(
    bench: Bench, tmp_path: Path, behave: Behaviour, kind: type[MediaJobsError]
) -> None:
    """No half of a file under any name, and the file of an earlier download as it was."""
    (tmp_path / "f").write_bytes(b"earlier")
    with serving(behave) as server, pytest.raises(kind):
        fetch(bench, server.url, tmp_path / "f")
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"earlier"


def test_a_broken_download_begins_anew(bench: Bench, tmp_path: Path) -> None:
    """Nothing of the first try is in the file, though it was longer."""
    told: list[int] = []
    with serving(
        lambda e: e.answer(b"short") if e.number else e.end(head(200, {"Content-Length": "999999"}) + CONTENT)
    ) as server:
        fetch(bench, server.url, tmp_path / "f", on_bytes=lambda sent, _: told.append(sent))
    assert (tmp_path / "f").read_bytes() == b"short"
    assert told[-1] == 5
    assert (bench.call.tries, bench.call.bytes) == (2, 5)


def test_a_listener_that_raises_ends_the_download(bench: Bench, tmp_path: Path) -> None:
    """With what it raised, on record as a fault of ours, and without a trace on the disk."""

    def stop(*_: object) -> None:
        raise ZeroDivisionError

    with serving(lambda exchange: exchange.answer(CONTENT)) as server, pytest.raises(ZeroDivisionError):
        fetch(bench, server.url, tmp_path / "f", on_bytes=stop)
    assert bench.call.status == "INTERNAL_ERROR"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_of(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an error of the machine, not of the service."""
    real_open = os.fdopen

    def on_full_disk(handle: int, mode: str) -> object:
        os.close(handle)
        return real_open(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr(os, "fdopen", on_full_disk)
    with serving(lambda exchange: exchange.answer(CONTENT)) as server, pytest.raises(DiskFullError) as caught:
        fetch(bench, server.url, tmp_path / "f")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []
