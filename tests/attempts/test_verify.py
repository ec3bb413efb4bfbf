"""What verification does to a file before it is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.attempts.verify import Verification, sha256_of, verify
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import CancelledError, OutputInvalidError
from mediajobs_dagster.job_types.plan import Output
from mediajobs_dagster.models import MediaInfo


def test_a_digest_of_a_large_file_can_be_cancelled(tmp_path: Path) -> None:
    """A terabyte, all of it a hole: reading on after the cancellation would take longer than any test may."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)
    cancellation, checks = Cancellation(), 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            cancellation.cancel(CancelledError())
        cancellation.check()

    with pytest.raises(CancelledError):
        sha256_of(path, check)
    assert checks == 3


# --- by content type -------------------------------------------------------------------------------------------------


def verified(folder: Path, content: bytes, content_type: str) -> None:
    """Verify an output of that content; no ffmpeg is asked."""
    (folder / "output").write_bytes(content)

    def ask(*_: object) -> MediaInfo:
        raise AssertionError("nothing has to be probed")

    verify(Output("output", "key", content_type), Verification(folder, ask, ask, {}))


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b'{"points": []}'),
        ("application/json", b'{"points": [' + b"1.25, " * (1 << 20) + b"0]}"),
        ("text/plain", "Grüße".encode()),
        ("text/vtt", b"WEBVTT\n"),
        ("text/plain; charset=utf-8", b"so"),
        ("application/jsonl", b"{}\n{}\n"),
        ("image/svg+xml", b"<svg/>"),
        ("application/octet-stream", b"\xff\x00"),
    ],
)
def test_what_is_as_its_type_says_is_published(tmp_path: Path, content_type: str, content: bytes) -> None:
    """A type that nobody knows has to be there, and no more."""
    verified(tmp_path, content, content_type)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b""),
        ("application/json", b'{"points": ['),
        ("application/json; charset=utf-8", b'{"points": ['),
        ("application/json", b"[" * 200_000),
        ("application/json", b'{"points": [' + b"1.25, " * (1 << 20)),
        ("text/plain", "Grüße".encode("latin-1")),
        ("text/plain", "Grüße".encode()[:3]),
        ("application/octet-stream", b""),
        ("image/png", b"no picture"),
    ],
)
def test_what_is_cut_off_or_of_another_kind_is_not(tmp_path: Path, content_type: str, content: bytes) -> None:
    """Whatever a step reported, nothing broken gets a key."""
    with pytest.raises(OutputInvalidError, match="output"):
        verified(tmp_path, content, content_type)
