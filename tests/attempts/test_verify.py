"""What verification does to a file before it is published."""

from __future__ import annotations

from pathlib import Path

import pytest
from mediajobs_dagster.media.cancellation import Cancellation

from mediajobs_dagster.attempts.verify import sha256_of
from mediajobs_dagster.errors import CancelledError


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
