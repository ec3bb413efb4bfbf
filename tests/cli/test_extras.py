"""A command that needs an extra which is not installed says which one, in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.servers.mediajobs_up import free_port


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("opentimelineio", "otio", ("export", "edit.otio")),
        ("yt_dlp", "ingest", ("ingest", "https://video.example.com/watch")),
        ("celery", "cluster", ("worker",)),
        ("redis", "cluster", ("worker",)),
        ("watchfiles", "reload", ("up", "--reload", "--port", str(free_port()))),
    ],
)
def test_a_missing_extra_is_named(
    mediajobs: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    package: str,
    extra: str,
    arguments: tuple[str, ...],
) -> None:
    """With the command that installs it."""
    (tmp_path / "edit.otio").write_text("{}")
    for name in [name for name in sys.modules if name.startswith("mediajobs_dagster.orchestration.celery")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # Python's way to say that a package is not there
    answer = mediajobs(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("EXTRA_MISSING: ")
    assert answer.err.endswith(f"pip install 'mediajobs[{extra}]'\n")
    assert answer.err.count("\n") == 1
