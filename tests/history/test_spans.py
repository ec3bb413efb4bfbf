"""Time in spans, durations in classes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from mediajobs_dagster.history.spans import CLASS_ERROR, SPANS_S, UNTIMED, class_of, cover, duration_of, start_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def random_period(chance: random.Random) -> tuple[datetime, datetime]:
    """From microseconds to years long; one end in three lies on the edge of a span."""
    since = START + timedelta(seconds=chance.uniform(0, 1e8))
    until = since + timedelta(seconds=10 ** chance.uniform(-6, 8))
    edges = [start_of(moment, chance.choice(SPANS_S)) for moment in (since, until)]
    return chance.choice((since, since, edges[0])), chance.choice((until, until, edges[1]))


@pytest.mark.parametrize("seed", range(200))
def test_a_period_is_covered_without_gap_or_overlap(seed: int) -> None:
    since, until = random_period(random.Random(seed))
    period = cover(since, until)
    pieces = [(part.since, part.until) for part in period.whole] + list(period.cut)
    moment = since
    for start, end in sorted(pieces):  # every piece begins where the one before ends
        assert start == moment
        assert end > start
        moment = end
    assert moment == max(since, until) or (since >= until and not pieces)
    for part in period.whole:
        assert start_of(part.since, part.span_s) == part.since
        assert start_of(part.until, part.span_s) == part.until
    assert all(end - start < timedelta(seconds=SPANS_S[0]) or not period.whole for start, end in period.cut)
    assert len(period.whole) <= 2 * len(SPANS_S) - 1
    shortest = sum((part.until - part.since) / timedelta(seconds=part.span_s) for part in period.whole)
    assert shortest <= 2 * (24 + 8 + 8) + (until - since) / timedelta(seconds=SPANS_S[-1])


def test_a_period_without_an_end_has_no_cut_there() -> None:
    assert [part.span_s for part in cover(None, None).whole] == [SPANS_S[-1]]
    assert cover(None, None).cut == ()
    moment = START + timedelta(minutes=30)
    assert [end for _, end in cover(moment, None).cut] == [START + timedelta(hours=1)]
    assert cover(moment, None).until is cover(None, moment).since is None
    assert cover(moment, None).whole[-1].until is cover(None, moment).whole[-1].since is None
    assert cover(None, moment).cut == ((START, moment),)


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar_are_moments_like_others(moment: datetime) -> None:
    assert cover(moment, None).whole or cover(moment, None).cut
    assert cover(None, moment).whole or cover(None, moment).cut


def test_a_class_stands_for_its_durations_within_the_error_that_is_told() -> None:
    chance = random.Random(1)
    durations = [*range(1, 3000), *(round(10 ** chance.uniform(0, 10)) for _ in range(3000))]
    for duration in durations:
        typical = duration_of(class_of(duration))
        assert typical is not None
        assert abs(typical - duration) <= duration * (CLASS_ERROR + 1e-9)
    classes = [class_of(duration) for duration in sorted(durations)]
    assert classes == sorted(classes)
    assert max(classes) < 1000


def test_no_time_and_no_duration_have_classes_of_their_own() -> None:
    assert (class_of(None), duration_of(UNTIMED)) == (UNTIMED, None)
    assert (class_of(0), duration_of(class_of(0))) == (0, 0.0)
    assert class_of(1) == 1
