"""Texts for people."""

from __future__ import annotations

import pytest

from mediajobs_dagster.printable import counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1200, "1,200 jobs")])
def test_a_number_agrees_with_its_noun(number: int, said: str) -> None:
    assert counted(number, "job") == said


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert counted(2, "entry", "entries") == "2 entries"
