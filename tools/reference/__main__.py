"""`python -m tools.reference`: write every page."""

from __future__ import annotations

from pathlib import Path

from tools.reference.pages import PAGES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
