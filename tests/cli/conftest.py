"""Calls the command line as a shell would, but in this process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a call printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is to be one JSON document."""
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def mediajobs(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `mediajobs` with these arguments on the platform of the `platform` fixture; settings are keywords."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MEDIAJOBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDIAJOBS_SCRATCH_RESERVE_MB", "1")

    def call(*arguments: object, **settings: object) -> Answer:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["mediajobs", *map(str, arguments)])
            for name, value in settings.items():
                patch.setenv(f"MEDIAJOBS_{name.upper()}", str(value))
            capfd.readouterr()
            with pytest.raises(SystemExit) as ending:
                main()
            captured = capfd.readouterr()
            return Answer(int(ending.value.code or 0), captured.out, captured.err)

    return call
