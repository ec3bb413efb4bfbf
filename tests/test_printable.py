"""Texts for people."""

from __future__ import annotations

import pytest

from mediajobs_dagster.printable import counted, money


@pytest.mark.parametrize(("number", "said"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1200, "1,200 jobs")])
def test_a_number_agrees_with_its_noun(number: int, said: str) -> None:
    assert counted(number, "job") == said


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        *((None, None), (0, "0.00"), (0.00001, "< 0.0001"), (0.0001, "0.0001"), (0.046, "0.046"), (0.99, "0.99")),
        *((0.999, "1.00"), (1, "1.00"), (1234.5, "1,234.50")),
    ],
)
def test_amounts_small_and_large(amount: float | None, said: str | None) -> None:
    """Of small ones two digits that count; none is told as nothing."""
    assert money(amount) == said
