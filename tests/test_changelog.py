"""The changelog is about the version that is there."""

from __future__ import annotations

import re
from pathlib import Path

from mediajobs_dagster import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def test_the_newest_version_is_ours_and_says_what_to_do() -> None:
    """A version that is raised without a word would leave its users in the dark."""
    newest = CHANGELOG.read_text().split("\n## ")[1]
    assert newest.splitlines()[0] == __version__
    assert "Upgrade notes" in re.findall(r"^### (.+)$", newest, re.MULTILINE)
