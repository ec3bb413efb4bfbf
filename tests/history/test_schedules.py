"""How far schedules have come: two processes that look at once advance one only once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.models import AttemptStatus
from tests.history.factories import an_attempt

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_schedule_is_advanced_once(history: History) -> None:
    """The second of two that read the same row writes nothing, not even its entry."""
    history.schedules.begin("nightly", "0 3 * * * UTC", NOON)
    row = history.schedules.get("nightly")
    assert row is not None
    assert (row.last_moment, row.missed_at, row.missed, row.missed_in_all) == (NOON, None, 0, 0)
    entries = [an_attempt(job_name="nightly", status=AttemptStatus.SKIPPED) for _ in range(2)]
    told = [history.schedules.advance(row, NOON + HOUR, missed=3, at=NOON + HOUR, entry=each) for each in entries]
    assert told == [True, False]
    assert [each.id for each in history.attempts.list(AttemptFilter())] == [entries[0].id]
    after = history.schedules.all()["nightly"]
    assert (after.last_moment, after.missed_at, after.missed_in_all) == (NOON + HOUR, NOON + HOUR, 3)
    assert history.schedules.advance(after, NOON + 2 * HOUR, missed=2, at=NOON + 2 * HOUR)
    assert history.schedules.all()["nightly"].missed_in_all == 5


def test_a_schedule_begins_anew_and_keeps_its_count(history: History) -> None:
    """With other times, what lay before is not missed; what was missed stays on record."""
    history.schedules.begin("nightly", "0 3 * * * UTC", NOON)
    row = history.schedules.all()["nightly"]
    history.schedules.advance(row, NOON + HOUR, missed=1, at=NOON)
    history.schedules.begin("nightly", "0 4 * * * UTC", NOON + 3 * HOUR)
    row = history.schedules.all()["nightly"]
    assert (row.times, row.last_moment, row.missed_in_all) == ("0 4 * * * UTC", NOON + 3 * HOUR, 1)
