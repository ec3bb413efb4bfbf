"""What a header says of when to come back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mediajobs_dagster.services.faults import fault_of_status, retry_after_s

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Wed, 04 Mar 2026 12:01:30 GMT", 90),
        ("Wed, 04 Mar 2026 12:01:30 -0000", 90),
        ("Wednesday, 04-Mar-26 12:01:30 GMT", 90),
        ("Wed, 04 Mar 2026 13:01:30 +0100", 90),
        ("Wed, 04 Mar 2026 11:59:00 GMT", 0),
        ("999999999999999", 365 * 24 * 3600),
        ("Wed, 04 Mar 9999 12:00:00 GMT", 365 * 24 * 3600),
    ],
)
def test_both_forms_are_read(value: str, seconds: float) -> None:
    """Seconds, or a date (RFC 9110, section 5.6.7); a moment that is over is now, and a year is long enough."""
    assert retry_after_s(value, NOON) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "٣", "9" * 5000, "Wed, 99 Mar 2026 12:00:00 GMT"])
def test_what_is_neither_asks_for_nothing(value: str | None) -> None:
    """A service that writes nonsense is asked again after a pause of our own."""
    assert retry_after_s(value, NOON) is None


def test_a_page_for_people_is_left_out() -> None:
    """Its status says as much; a short message of the service is told."""
    page, message = (
        fault_of_status("The calendar", 404, answer, None).error.message
        for answer in ("\n<!DOCTYPE html><html><body>Not here</body></html>", '{"error": "no such calendar"}')
    )
    assert page.startswith("The calendar was answered with 404 Not Found. ")
    assert "no such calendar" in message
