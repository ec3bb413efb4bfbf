"""The events of calendars and APIs, synced as real jobs against servers on loopback."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import EventFilter
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.schedule_sync import JOB_TYPE
from mediajobs_dagster.models import AttemptStatus, Event, EventStatus, JobStatus, NewEvent, Tick, new_trace_id
from tests.platform import Platform
from tests.services.events.feeds import calendar, entry
from tests.services.server import Behaviour, Exchange, Server, head, serving

OpenPlatform = Callable[..., Platform]
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def sync(platform: Platform, at: datetime = NOW) -> AttemptEnded:
    """One attempt at a sync whose tick is that moment."""
    request = JOB_TYPE.request(Tick(schedule=JOB_TYPE.name, created_at=at), trace_id=new_trace_id())
    platform.history.jobs.enqueue([request])
    (outcome,) = platform.work()
    return outcome


def figures(platform: Platform, at: datetime = NOW) -> tuple[int, ...]:
    """Sync, and tell how many were added, updated, unchanged, removed, and wrong."""
    outcome = sync(platform, at)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    return counted(outcome)


def counted(outcome: AttemptEnded) -> tuple[int, ...]:
    told = outcome.manifest.figures
    return tuple(told[name] for name in ("added", "updated", "unchanged", "removed", "errors"))


def events(platform: Platform, **filter: Any) -> dict[str, Event]:
    """What is stored, by the ids of the source."""
    return {each.external_id: each for each in platform.history.events.list(EventFilter(**filter), limit=1000)}


@pytest.fixture
def open_sync(open_platform: OpenPlatform) -> OpenPlatform:
    def open_it(server: Server, **settings: Any) -> Platform:
        return open_platform(
            registry=Registry([JOB_TYPE]),
            **{"calendars": f"team={server.url}/feed.ics", "service_tries": 1} | settings,
        )

    return open_it


def test_a_calendar_is_synced(open_sync: OpenPlatform) -> None:
    """Each event is counted once, by what came of it; the second time nothing changes."""
    feed = [calendar(entry("1"), entry("2"), entry("3"))]
    with serving(lambda exchange: exchange.answer(feed[0])) as server:
        platform = open_sync(server)
        assert figures(platform) == (3, 0, 0, 0, 0)
        assert figures(platform, NOW + DAY / 24) == (0, 0, 3, 0, 0)
        feed[0] = calendar(entry("1"), entry("2", ":20260306T180000Z"), entry("4"))
        last = sync(platform, NOW + DAY / 12)
    assert counted(last) == (1, 1, 1, 1, 0)
    assert last.manifest.figures["sources"] == {
        "team": {"added": 1, "updated": 1, "unchanged": 1, "removed": 1, "errors": 0}
    }
    stored = events(platform)
    assert set(stored) == {"1", "2", "4"}
    assert (stored["2"].starts_at, stored["2"].source) == (datetime(2026, 3, 6, 18, tzinfo=UTC), "team")
    (call,) = last.manifest.calls
    assert (call.service, call.op, call.target) == ("team", "calendar", f"{server.url}/<redacted>")


def test_a_feed_that_has_not_changed_is_not_sent_again(open_sync: OpenPlatform) -> None:
    """But it is read again, because time goes on: the window moves, and what was to come is over."""
    feed = calendar(entry("1", ":20260303T180000Z", "RRULE:FREQ=DAILY", "DURATION:PT1H"))

    def behave(exchange: Exchange) -> None:
        is_same = exchange.headers["If-None-Match"] == '"1"'
        exchange.answer(b"" if is_same else feed, 304 if is_same else 200, {"ETag": '"1"'})

    with serving(behave) as server:
        platform = open_sync(server, events_days_ahead=2)
        assert figures(platform) == (3, 0, 0, 0, 0)
        last = sync(platform, NOW + DAY)
    assert counted(last) == (1, 1, 2, 0, 0)
    assert last.manifest.calls[0].bytes == 0


def test_what_leaves_the_window_is_not_removed(open_sync: OpenPlatform) -> None:
    """An event that is moved out of it gets its new day. What ended long ago stays as it was."""
    feed = [calendar(entry("1"), entry("2"), entry("old", ":20260302T180000Z"))]
    with serving(lambda exchange: exchange.answer(feed[0])) as server:
        platform = open_sync(server)
        assert figures(platform) == (3, 0, 0, 0, 0)
        feed[0] = calendar(entry("1", ":20260901T180000Z"), entry("2"), entry("far", ":20260801T180000Z"))
        assert figures(platform, NOW + 4 * DAY) == (0, 2, 0, 0, 0)  # one moved, one is over
    assert set(events(platform)) == {"1", "2", "old"}
    assert f"{events(platform)['1'].starts_at:%m-%d}" == "09-01"


def test_several_sources_are_counted_together(open_sync: OpenPlatform) -> None:
    """The same id at two sources is two events. One that fails costs the other nothing, and removes nothing."""
    feeds: dict[str, bytes | None] = {"/a": calendar(entry("1")), "/b": calendar(entry("1"), entry("2"))}

    def behave(exchange: Exchange) -> None:
        body = feeds[exchange.target]
        exchange.answer(body or b"", 200 if body else 500)

    with serving(behave) as server:
        platform = open_sync(server, calendars=f"a={server.url}/a b={server.url}/b")
        assert figures(platform) == (3, 0, 0, 0, 0)
        feeds["/b"] = None
        last = sync(platform, NOW + DAY / 24)
    assert (last.status, counted(last)) == (AttemptStatus.SUCCESS, (0, 0, 1, 0, 1))
    assert len(events(platform, source="b")) == 2
    assert any(note.startswith("b failed (SERVICE_UNAVAILABLE): ") for note in last.manifest.notes)


def test_without_a_source_there_is_nothing_to_do(open_platform: OpenPlatform) -> None:
    """Its schedule is off then; asked for by hand, it says what to set."""
    platform = open_platform(registry=Registry([JOB_TYPE]))
    assert not JOB_TYPE.is_configured(platform.settings)
    outcome = sync(platform)
    assert outcome.error
    assert (outcome.error.code, "MEDIAJOBS_CALENDARS" in outcome.error.message) == ("JOB_SETTINGS_INVALID", True)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"calendars": "team=nonsense"}, "JOB_SETTINGS_INVALID"),
        ({"event_sources": "/nope.toml"}, "JOB_SETTINGS_INVALID"),
        ({"calendars": "team=http://127.0.0.1:9/feed.ics", "private_addresses": ""}, "ADDRESS_REFUSED"),
    ],
)
def test_a_wrong_setting_is_alerted_of_and_opens_no_breaker(
    open_platform: OpenPlatform, settings: dict[str, Any], code: str
) -> None:
    """Only operators can mend it; another try cannot help, and other jobs need not wait for it."""
    platform = open_platform(registry=Registry([JOB_TYPE]), breaker_failures=1, alert_disk_percent=0, **settings)
    request = JOB_TYPE.request(Tick(schedule=JOB_TYPE.name, created_at=NOW), trace_id=new_trace_id())
    platform.history.jobs.enqueue([request])
    (outcome,) = platform.work(platform.media.listeners.tell)
    assert outcome.error
    assert (outcome.error.code, outcome.verdict.status) == (code, JobStatus.DEAD)
    (alert,) = platform.media.alerts.list()
    assert alert.details["errorCode"] == code
    (standing,) = [each for each in platform.media.breakers.all() if each.name == JOB_TYPE.name]
    assert standing.state == "closed"


def test_an_extra_that_is_missing_is_named(open_sync: OpenPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine may have it."""
    monkeypatch.setitem(sys.modules, "icalendar", None)
    with serving(lambda exchange: exchange.answer(calendar())) as server:
        outcome = sync(open_sync(server))
    assert outcome.error
    assert (outcome.error.code, "mediajobs[discovery]" in outcome.error.message) == ("EXTRA_MISSING", True)


# --- what goes wrong at a feed ---------------------------------------------------------------------------------------


def endless(exchange: Exchange) -> None:
    exchange.send(head(200, {}) + b"BEGIN:VCALENDAR\r\n")
    while True:
        exchange.send(b"X-NOTHING:" + b"x" * 60_000 + b"\r\n")


def large(exchange: Exchange) -> None:
    """50 MB, of which it says so only as it goes."""
    exchange.send(head(200, {}))
    for _ in range(50):
        exchange.send(b"x" * 1_000_000)
    exchange.end()


def dripping(exchange: Exchange) -> None:
    exchange.send(head(200, {"Content-Length": "9999"}))
    exchange.drip(b"x")


def away(exchange: Exchange) -> None:
    exchange.answer(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})


FEEDS: dict[str, tuple[Behaviour, str, Blame, JobStatus]] = {
    "HTML": (
        *(lambda e: e.answer(b"<html>Sign in</html>"), "SERVICE_ANSWER_INVALID"),
        *(Blame.EXTERNAL, JobStatus.FAILED),
    ),
    "empty": (lambda e: e.answer(b""), "SERVICE_ANSWER_INVALID", Blame.EXTERNAL, JobStatus.FAILED),
    "50 MB": (large, "SERVICE_ANSWER_TOO_LARGE", Blame.EXTERNAL, JobStatus.DEAD),
    "endless": (endless, "SERVICE_ANSWER_TOO_LARGE", Blame.EXTERNAL, JobStatus.DEAD),
    "private": (away, "ADDRESS_REFUSED", Blame.INPUT, JobStatus.DEAD),
    "silent": (lambda e: e.hang(), "SERVICE_TIMEOUT", Blame.EXTERNAL, JobStatus.FAILED),
    "dripping": (dripping, "SERVICE_TIMEOUT", Blame.EXTERNAL, JobStatus.FAILED),
    "cut off": (
        *(lambda e: e.end(head(200, {"Content-Length": "999"}) + b"BEGIN:VCALENDAR"), "SERVICE_ANSWER_INVALID"),
        *(Blame.EXTERNAL, JobStatus.FAILED),
    ),
    "all broken": (
        *(lambda e: e.answer(calendar(entry("1", ":soon"))), "SERVICE_ANSWER_INVALID"),
        *(Blame.EXTERNAL, JobStatus.FAILED),
    ),
}


@pytest.mark.parametrize("fault", FEEDS.values(), ids=FEEDS)
def test_a_feed_that_fails_loses_nothing(
    open_sync: OpenPlatform, fault: tuple[Behaviour, str, Blame, JobStatus]
) -> None:
    """What is stored stays, the error says what happened, and the next time all is as before."""
    behave, code, blame, status = fault
    behaviours: list[Behaviour] = [lambda exchange: exchange.answer(calendar(entry("1"), entry("2")))]
    with serving(lambda exchange: behaviours[0](exchange)) as server:
        platform = open_sync(server, service_timeout_s=0.4 if code == "SERVICE_TIMEOUT" else 20.0)
        assert figures(platform) == (2, 0, 0, 0, 0)
        before = events(platform)
        behaviours.insert(0, behave)
        outcome = sync(platform, NOW + DAY / 24)
        assert outcome.error
        assert (outcome.error.code, outcome.error.blame) == (code, blame), outcome.error.message
        assert platform.history.jobs.get(outcome.job.id).status is status
        assert (events(platform), counted(outcome)) == (before, (0, 0, 0, 0, 1))
        if status is JobStatus.FAILED:  # or it would be tried again beside the next one
            platform.history.jobs.cancel(outcome.job.id)
        del behaviours[0]
        assert figures(platform, NOW + DAY / 12) == (0, 0, 2, 0, 0)


# --- an API ----------------------------------------------------------------------------------------------------------

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "sync-events.md"
SHOWN = re.search(r"```toml\n(\[\[source.*?)```", GUIDE.read_text(), re.DOTALL)
assert SHOWN


def a_game(number: int, **more: Any) -> dict[str, Any]:
    """A game as the API tells it, of the third to the eleventh of March."""
    day = f"2026-03-{3 + number % 8:02}"
    team = {"id": 1, "abbreviation": "LAL", "city": "Los Angeles", "name": "Lakers", "full_name": "Los Angeles Lakers"}
    other = team | {"id": 2, "full_name": "Boston Celtics"}
    values = {"id": number, "date": day, "season": 2025, "status": "Final", "period": 4, "time": "Final"}
    scores = {"home_team_score": 101, "visitor_team_score": 99, "home_team": team, "visitor_team": other}
    return values | scores | {"datetime": f"{day}T23:30:00.000Z"} | more


def games(listed: list[dict[str, Any]]) -> Behaviour:
    """The API: a hundred games a page, the next page by the id of the last game."""

    def behave(exchange: Exchange) -> None:
        query = parse_qs(urlsplit(exchange.target).query)
        rest = [each for each in listed if each["id"] > int(query.get("cursor", ["-1"])[0])]
        page = rest[: int(query["per_page"][0])]
        following = {"next_cursor": page[-1]["id"]} if len(rest) > len(page) else {}
        exchange.answer({"data": page, "meta": {"per_page": 100, **following}})

    return behave


@pytest.fixture
def open_api(open_platform: OpenPlatform, tmp_path: Path) -> OpenPlatform:
    """The API of the guide, described as the guide does."""

    def open_it(server: Server, **settings: Any) -> Platform:
        described = str(SHOWN and SHOWN[1]).replace("https://api.balldontlie.io", server.url)
        (tmp_path / "events.toml").write_text(described)
        given = {"event_sources": tmp_path / "events.toml", "service_tries": 1, "private_addresses": ""}
        return open_platform(registry=Registry([JOB_TYPE]), **given | settings)

    return open_it


def test_the_games_of_the_guide_are_synced(open_api: OpenPlatform) -> None:
    """230 of them, a hundred a page; the API is asked for three days back to seven ahead, with the key."""
    listed = [a_game(number) for number in range(230)]
    with serving(games(listed)) as server:
        platform = open_api(server)
        assert figures(platform) == (230, 0, 0, 0, 0)
        assert figures(platform, NOW + DAY / 24) == (0, 0, 230, 0, 0)
        listed[3] = a_game(3, status="Postponed")
        listed[4] = a_game(4, datetime="2026-03-09T23:30:00Z")
        del listed[5]
        assert figures(platform, NOW + DAY / 12) == (0, 2, 227, 1, 0)
    stored = events(platform)
    assert (len(stored), stored["3"].status) == (229, EventStatus.POSTPONED)
    assert stored["4"].starts_at == datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
    assert stored["0"].title == "Boston Celtics at Los Angeles Lakers"
    assert stored["0"].participants == ("Boston Celtics", "Los Angeles Lakers")
    assert stored["0"].raw == listed[0]
    first, second, *_ = server.exchanges
    assert first.target == "/nba/v1/games?start_date=2026-03-01&end_date=2026-03-11&per_page=100"
    assert second.target == f"{first.target}&cursor=99"
    assert first.headers["Authorization"] == "your-api-key"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *(("Final", "finished"), ("Final/OT", "finished"), ("1st Qtr", "in_progress"), ("Halftime", "in_progress")),
        *(("2026-03-05T00:30:00Z", "scheduled"), ("7:00 pm ET", "scheduled"), ("Postponed", "postponed")),
        ("Canceled", "cancelled"),
    ],
)
def test_the_status_texts_of_the_guide(open_api: OpenPlatform, text: str, status: str) -> None:
    """Each is one of ours."""
    with serving(games([a_game(1, status=text)])) as server:
        platform = open_api(server)
        assert figures(platform) == (1, 0, 0, 0, 0)
    assert events(platform)["1"].status == status


def test_a_broken_game_costs_no_other(open_api: OpenPlatform) -> None:
    """A malformed date, a text that nobody knows, an id that is given twice, one that is missing, and no object."""
    listed: list[Any] = [
        a_game(1),
        a_game(2, datetime="tomorrow", status="Final", date="2026-13-99"),
        a_game(3, status="Eaten by bears"),
        *(a_game(4), a_game(4, status="Postponed")),
    ]
    with serving(games(listed)) as server:
        platform = open_api(server)
        platform.history.events.upsert(
            "nba", [event_of(number) for number in (2, 3, 9)], asked_at=platform.history.now()
        )
        outcome = sync(platform)
    assert counted(outcome) == (2, 0, 0, 1, 2)
    assert set(events(platform)) == {"1", "2", "3", "4"}
    assert events(platform)["4"].status is EventStatus.POSTPONED
    notes = " ".join(outcome.manifest.notes)
    assert "its beginning cannot be read" in notes
    assert "'eaten by bears' is not among those of the settings" in notes


def event_of(number: int) -> NewEvent:
    """A game that is known already."""
    return NewEvent(external_id=str(number), title="x", starts_at=NOW + DAY, status=EventStatus.SCHEDULED)


@pytest.mark.parametrize(
    "odd", [{"status": "Final"}, "text", None, 7, a_game(0) | {"id": None}, a_game(0) | {"id": True}]
)
def test_a_game_without_an_id_leaves_doubt(open_api: OpenPlatform, odd: Any) -> None:
    """It may be any of those that are known, so none of them is removed."""
    with serving(lambda e: e.answer({"data": [a_game(1), odd], "meta": {}})) as server:
        platform = open_api(server)
        platform.history.events.upsert("nba", [event_of(9)], asked_at=platform.history.now())
        assert figures(platform) == (1, 0, 0, 0, 1)
    assert set(events(platform)) == {"1", "9"}


def with_retry_after(value: str) -> Behaviour:
    return lambda e: e.answer(status=429, headers={"Retry-After": value})


ANSWERS: dict[str, tuple[Behaviour, str, JobStatus, int]] = {
    **{
        str(code): (lambda e, code=code: e.answer(b"no", code), "SERVICE_REFUSED", JobStatus.DEAD, 0)
        for code in (400, 401, 403, 404)
    },
    "429": (lambda e: e.answer(status=429), "SERVICE_LIMITED", JobStatus.FAILED, 0),
    "429 for an hour": (with_retry_after("3600"), "SERVICE_LIMITED", JobStatus.FAILED, 3600),
    "429 until a date": (with_retry_after("Fri, 31 Dec 2100 23:59:59 GMT"), "SERVICE_LIMITED", JobStatus.FAILED, 86400),
    "500": (lambda e: e.answer(status=500), "SERVICE_UNAVAILABLE", JobStatus.FAILED, 0),
    "503 for a while": (
        *(lambda e: e.answer(status=503, headers={"Retry-After": "120"}), "SERVICE_UNAVAILABLE"),
        *(JobStatus.FAILED, 120),
    ),
    "garbage": (lambda e: e.answer(b"\x00garbage"), "SERVICE_ANSWER_INVALID", JobStatus.FAILED, 0),
    "other JSON": (lambda e: e.answer({"games": []}), "SERVICE_ANSWER_INVALID", JobStatus.FAILED, 0),
    "cut off": (
        *(lambda e: e.end(head(200, {"Content-Length": "99"}) + b'{"data": ['), "SERVICE_ANSWER_INVALID"),
        *(JobStatus.FAILED, 0),
    ),
}


@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_an_api_that_fails_loses_nothing(open_api: OpenPlatform, fault: tuple[Behaviour, str, JobStatus, int]) -> None:
    """The error has its code, nothing is removed, and the job waits for as long as the service asks, a day at most."""
    behave, code, status, pause_s = fault
    with serving(behave) as server:
        platform = open_api(server)
        platform.history.events.upsert("nba", [event_of(1)], asked_at=platform.history.now())
        before, asked_at = events(platform), platform.history.now()
        outcome = sync(platform)
    assert outcome.error
    assert (outcome.error.code, outcome.error.blame) == (code, Blame.EXTERNAL), outcome.error.message
    job = platform.history.jobs.get(outcome.job.id)
    assert (job.status, events(platform)) == (status, before)
    if pause_s:
        assert job.not_before is not None
        assert pause_s <= (job.not_before - asked_at).total_seconds() <= pause_s + 900


def test_a_later_page_that_fails_keeps_the_first(open_api: OpenPlatform) -> None:
    """What came is stored, and nothing is removed: the rest may hold it."""
    whole = games([a_game(number) for number in range(230)])
    with serving(lambda e: e.answer(status=429) if "cursor=199" in e.target else whole(e)) as server:
        platform = open_api(server)
        platform.history.events.upsert("nba", [event_of(229)], asked_at=platform.history.now())
        outcome = sync(platform)
    assert (outcome.status, counted(outcome)) == (AttemptStatus.SUCCESS, (200, 0, 0, 0, 1))
    assert "SERVICE_LIMITED" in " ".join(outcome.manifest.notes)
    assert len(events(platform)) == 201


@pytest.mark.parametrize("cursor", ["same", "new"])
def test_pages_without_end_come_to_one(open_api: OpenPlatform, cursor: str) -> None:
    """The same page again and again, or always another one: it is cut off, and nothing is removed."""

    def behave(exchange: Exchange) -> None:
        following = "same" if cursor == "same" else str(exchange.number)
        exchange.answer({"data": [a_game(exchange.number)], "meta": {"next_cursor": following}})

    with serving(behave) as server:
        platform = open_api(server)
        platform.history.events.upsert("nba", [event_of(999)], asked_at=platform.history.now())
        outcome = sync(platform)
    assert outcome.status is AttemptStatus.SUCCESS
    assert "999" in events(platform)
    assert len(server.exchanges) == (2 if cursor == "same" else 100)
    assert "the rest was left out" in " ".join(outcome.manifest.notes)


def test_two_that_sync_at_once_neither_double_nor_lose(open_api: OpenPlatform) -> None:
    """Two workers with ticks of their own, on the same data, both with answers under way."""
    both, first_asked = threading.Barrier(2, timeout=60), threading.Event()
    whole = games([a_game(number) for number in range(60)])

    def behave(exchange: Exchange) -> None:
        first_asked.set()
        both.wait()
        whole(exchange)

    with serving(behave) as server, ThreadPoolExecutor(1) as pool:
        platform = open_api(server)

        def ask(hours: int) -> None:
            tick = Tick(schedule=JOB_TYPE.name, created_at=NOW + hours * DAY / 24)
            platform.history.jobs.enqueue([JOB_TYPE.request(tick, trace_id=new_trace_id())])

        ask(0)
        elsewhere = pool.submit(platform.work)
        assert first_asked.wait(60)
        ask(1)
        outcomes = [*platform.work(), *elsewhere.result()]
    assert [outcome.status for outcome in outcomes] == [AttemptStatus.SUCCESS] * 2
    assert sum(counted(outcome)[0] for outcome in outcomes) == 60
    assert [sum(counted(outcome)[:3]) for outcome in outcomes] == [60, 60]
    assert len(events(platform, with_removed=True)) == 60
