"""The documentation says what the code says, and its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.models import Attempt, Job, Upload, Value
from tools.media import PAGE, media_page
from tools.reference.commands import PRINTED, with_json
from tools.reference.pages import PAGES

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    """When this fails, `make docs` writes the page anew."""
    assert (REFERENCE / name).read_text() == PAGES[name]()


def test_the_page_about_media_says_what_the_zoo_holds() -> None:
    """When this fails, `make docs` writes it anew."""
    assert PAGE.read_text() == media_page()


def test_there_is_no_page_that_nobody_writes() -> None:
    """A page that is no longer written is removed."""
    assert {path.name for path in REFERENCE.iterdir()} == set(PAGES)


def test_every_command_that_prints_json_is_described() -> None:
    """And no other."""
    assert set(PRINTED) == with_json()


@pytest.mark.parametrize("kind", [Manifest, Job, Attempt, Upload])
def test_every_field_that_a_program_reads_says_what_it_is(kind: type[Value]) -> None:
    """A name alone leaves a reader to guess: whose milliseconds, since when."""
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """To a file that is there, and to a heading that is in it."""
    assert [link for link in _links(document) if not _leads_somewhere(document, *link)] == []


def _links(document: Path) -> Iterator[tuple[str, str]]:
    without_code = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    return ((found[1], found[2] or "") for found in LINK.finditer(without_code))


def _leads_somewhere(document: Path, path: str, heading: str) -> bool:
    target = (document.parent / path).resolve() if path else document
    if not heading:
        return target.exists()
    return target.is_file() and heading in {_anchor(line) for line in target.read_text().splitlines()}


def _anchor(line: str) -> str:
    """A heading as GitHub addresses it."""
    text = re.sub(r"^#+ ", "", line).lower() if line.startswith("#") else ""
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
