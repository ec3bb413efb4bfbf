"""The outbox of alerts: one message a cause an hour, and nothing that happened is left out of the counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from mediajobs_dagster.history import History
from mediajobs_dagster.history.alerts import GATHERING, KEPT, QUIET
from mediajobs_dagster.models import Alert, AlertKind
from tests.history.factories import NOON

DEAD = AlertKind.JOB_DEAD
CAUSE = "job_dead:upload_thumb_v1:DISK_FULL"


def add(history: History, at: datetime, *, cause: str = CAUSE, job: str = "job-1", **more: str) -> bool:
    return history.alerts.add(DEAD, cause, "It is dead", f"{job} failed", {"jobs": [job]}, now=at, **more)


def claim(history: History, at: datetime) -> Alert | None:
    return history.alerts.claim(hold_s=60, now=at)


def send(history: History, at: datetime) -> Alert:
    alert = claim(history, at)
    assert alert is not None
    history.alerts.sent(alert, now=at)
    return alert


def test_a_storm_is_one_message_with_its_count(history: History) -> None:
    """A thousand of one cause, written by several at once, before it is sent; details are of the latest."""
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda number: add(history, NOON, job=f"job-{number}"), range(1000)))
    (alert,) = history.alerts.list()
    assert (alert.count, alert.first_at, alert.last_at) == (1000, NOON, NOON)
    assert len(set(alert.details["jobs"])) == 10
    assert claim(history, NOON + GATHERING - timedelta(seconds=1)) is None
    assert send(history, NOON + GATHERING).count == 1000
    assert not history.alerts.is_due(NOON + timedelta(days=1))


def test_what_happens_within_the_hour_is_told_an_hour_later(history: History) -> None:
    """Counted since the message before, and sent an hour after it: a cause that goes on is a message an hour."""
    add(history, NOON)
    first_sent = NOON + GATHERING
    send(history, first_sent)
    for minute in range(1, 31):
        add(history, NOON + timedelta(minutes=minute))
    assert claim(history, first_sent + QUIET - timedelta(seconds=1)) is None
    again = send(history, first_sent + QUIET)
    assert (again.count, again.first_at) == (30, NOON + timedelta(minutes=1))
    # Quiet for more than an hour: told at once.
    later = NOON + timedelta(hours=5)
    add(history, later)
    assert send(history, later + GATHERING).count == 1


def test_causes_do_not_wait_for_each_other(history: History) -> None:
    """An hour of silence is a cause's own; and the one that waits longest is sent first."""
    add(history, NOON + timedelta(seconds=1), cause="b")
    add(history, NOON, cause="a")
    assert [send(history, NOON + timedelta(minutes=1)).cause for _ in range(2)] == ["a", "b"]


def test_what_happens_while_it_is_being_sent_is_told_too(history: History) -> None:
    """The message says one, and the second occurrence has a message of its own an hour later."""
    add(history, NOON)
    sending = claim(history, NOON + GATHERING)
    assert sending is not None
    add(history, NOON + GATHERING, job="job-2")
    sent_at = NOON + GATHERING + timedelta(seconds=5)
    history.alerts.sent(sending, now=sent_at)
    rest, first = history.alerts.list()
    assert (first.count, first.sent_at) == (1, sent_at)
    assert (rest.count, rest.sent_at, rest.due_at, rest.tries) == (1, None, sent_at + QUIET, 0)


def test_one_occurrence_that_several_see_counts_once(history: History) -> None:
    """Whether it was sent meanwhile or not; another occurrence counts."""
    assert add(history, NOON, occurrence="opened at 11:00")
    assert not add(history, NOON, occurrence="opened at 11:00")
    send(history, NOON + GATHERING)
    assert not add(history, NOON + timedelta(hours=9), occurrence="opened at 11:00")
    assert add(history, NOON + timedelta(hours=9), occurrence="opened at 20:00")
    assert [each.count for each in history.alerts.list()] == [1, 1]
    assert history.alerts.latest_occurrence(CAUSE) == "opened at 20:00"


def test_two_senders_never_get_the_same(history: History) -> None:
    """Twenty messages, four senders at once: each is claimed once; a dead sender loses it when its time is over."""
    for number in range(20):
        add(history, NOON, cause=f"cause-{number:02}")
    due = NOON + GATHERING
    with ThreadPoolExecutor(4) as pool:
        taken = [each for each in pool.map(lambda _: claim(history, due), range(30)) if each]
    assert len({each.id for each in taken}) == len(taken) == 20
    assert claim(history, due + timedelta(seconds=59)) is None
    back = claim(history, due + timedelta(seconds=60))
    assert back is not None
    assert back.tries == 2


def test_what_could_not_be_sent_waits_and_keeps_who_has_it(history: History) -> None:
    """The pause, the reason and the targets that were reached; meanwhile it goes on counting."""
    add(history, NOON)
    alert = claim(history, NOON + GATHERING)
    assert alert is not None
    told = alert.model_copy(update={"reached": ("one",)})
    history.alerts.not_sent(told, "target 2 is down", again_in_s=30, now=NOON + GATHERING)
    add(history, NOON + timedelta(hours=2))
    assert claim(history, NOON + GATHERING + timedelta(seconds=29)) is None
    again = claim(history, NOON + timedelta(hours=2))
    assert again is not None
    assert (again.reached, again.error, again.count) == (("one",), "target 2 is down", 2)


def test_old_ones_are_not_sent_any_more(history: History) -> None:
    """After three days it is no news: it stays in the list, and the next occurrence begins anew."""
    add(history, NOON)
    late = NOON + KEPT + timedelta(seconds=1)
    assert claim(history, late) is None
    add(history, late)
    assert [each.count for each in history.alerts.list()] == [1, 1]
    assert send(history, late + GATHERING).first_at == late


def test_the_list_is_filtered_and_paged(history: History) -> None:
    """Newest first, by kind and time."""
    for minute in range(5):
        add(history, NOON + timedelta(minutes=minute), cause=f"cause-{minute}")
    history.alerts.add(AlertKind.TEST, "test", "A test", "of it", now=NOON)
    causes = [each.cause for each in history.alerts.list(kinds=[DEAD], limit=2)]
    assert causes == ["cause-4", "cause-3"]
    last = history.alerts.list(kinds=[DEAD], limit=2)[-1].id
    rest = history.alerts.list(kinds=[DEAD], after=last, since=NOON + timedelta(minutes=1))
    assert [each.cause for each in rest] == ["cause-2", "cause-1"]
