"""The edits that were asked to be rendered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import Timeline, new_id, new_trace_id
from mediajobs_dagster.resilience.retention import Retention
from mediajobs_dagster.settings import Settings
from tests.history.factories import DAY, a_new_job

MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)


def a_timeline(**overrides: Any) -> Timeline:
    """A timeline with every field filled in."""
    values: dict[str, Any] = {
        "id": new_id(),
        "document": {"version": "create_video_v1", "title": 'a "title" with \u0000 and 😀', "track": []},
        "etag": new_id(),
        "created_at": MIDNIGHT,
        "trace_id": new_trace_id(),
    }
    return Timeline(**values | overrides)


def test_a_timeline_comes_back_as_it_was_added(history: History) -> None:
    timeline = a_timeline()
    assert history.timelines.add(timeline) == timeline
    assert history.timelines.get(timeline.id) == timeline
    with pytest.raises(NotFoundError, match="no timeline nowhere"):
        history.timelines.get("nowhere")


def test_the_same_edit_of_the_same_content_is_kept_once(history: History) -> None:
    """However many ask for it at the same time."""
    asked = [a_timeline(etag="same") for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        kept = list(pool.map(history.timelines.add, asked))
    assert len({timeline.id for timeline in kept}) == 1
    assert kept[0] in asked


def test_the_timelines_of_a_day(history: History) -> None:
    """Oldest first, from midnight to midnight UTC, however many there are."""
    inside = [a_timeline(created_at=MIDNIGHT + timedelta(minutes=5 * number)) for number in range(250)]
    for timeline in reversed(inside):
        history.timelines.add(timeline)
    for moment in (MIDNIGHT - timedelta(milliseconds=1), MIDNIGHT + timedelta(days=1)):
        history.timelines.add(a_timeline(created_at=moment))
    assert list(history.timelines.of_day(MIDNIGHT.date())) == inside


def test_a_timeline_is_there_when_a_job_is_enqueued_on_it(history: History) -> None:
    """A clean-up may have removed one that was asked for again, as until then no job was about it."""
    timeline = history.timelines.add(a_timeline(created_at=MIDNIGHT - timedelta(days=40)))
    retention = Retention(Settings.load(_env_file=None), history)
    retention.clean_up(now=MIDNIGHT)
    with pytest.raises(NotFoundError):
        history.timelines.get(timeline.id)
    (enqueued,) = history.jobs.enqueue([a_new_job(subject_id=timeline.id)], about=timeline)
    assert history.timelines.get(timeline.id) == timeline
    retention.clean_up(now=MIDNIGHT)
    assert history.timelines.get(enqueued.job.subject_id) == timeline
    with ThreadPoolExecutor(6) as pool:  # it stays one, however many ask
        list(pool.map(lambda _: history.jobs.enqueue([a_new_job(subject_id=timeline.id)], about=timeline), range(12)))
    assert list(history.timelines.of_day((MIDNIGHT - timedelta(days=40)).date())) == [timeline]
